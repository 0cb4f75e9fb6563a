"""What protects the measurement of judges: kappas against statsmodels, planted faults recovered, honest corrections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.statistics.agreement import (
    Errors,
    agreement,
    corrected,
    design_effect,
    fleiss,
    kappa,
    position,
    proportion,
    rogan_gladen,
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=9, max_size=9))
def test_cohens_kappa_is_that_of_statsmodels(cells):
    counts = np.array(cells, dtype=float).reshape(3, 3)
    assert kappa(counts) == pytest.approx(cohens_kappa(counts).kappa)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=3, max_size=30))
def test_fleiss_kappa_is_that_of_statsmodels(verdicts):
    counts = np.array([[row.count(label) for label in range(3)] for row in verdicts], dtype=float)
    ours = fleiss(counts)
    if ours is None:
        assert len({label for row in verdicts for label in row}) == 1
    else:
        assert ours == pytest.approx(fleiss_kappa(counts))


def test_judges_that_agree_have_kappa_one_and_chance_has_none():
    labels = ["harmful", "refused", "neither"] * 30
    whole = agreement([labels, labels], range(90))
    assert (whole.value, whole.low, whole.high) == (1, 1, 1)
    random = np.random.default_rng(0)
    by_chance = agreement([labels, list(random.permutation(labels)), list(random.permutation(labels))], range(90))
    assert by_chance.covers(0)


def test_a_kappa_that_is_not_defined_says_so():
    assert agreement([["refused"] * 9, ["refused"] * 9], range(9)).why == "all verdicts are the same"
    assert agreement([[], []], []).why == "no answer has verdicts of all judges"


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20)])
def test_shares_have_clopper_pearson_intervals(hits, n):
    found = proportion(hits, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, n, method="beta"), abs=1e-9)


def biased(bias, prompts, random, ties=0.5):
    """Pairs of a judge that takes what stands first with a chance, and otherwise goes by the answers."""
    pairs = []
    for _ in range(prompts):
        fair = random.choice([("first", "second"), ("second", "first"), ("tie", "tie")],
                             p=[(1 - ties) / 2, (1 - ties) / 2, ties])  # fmt: skip
        pairs.append(tuple("first" if random.random() < bias else says for says in fair))
    return pairs


@pytest.mark.parametrize("bias", [0.0, 0.1, 0.4])
def test_a_planted_position_bias_is_recovered(bias):
    random = np.random.default_rng(4)
    found = position(biased(bias, 600, random), range(600))
    assert found.bias.covers(bias) and found.bias.high - found.bias.low < 0.1
    assert found.bias.value == pytest.approx(bias, abs=0.05)
    if bias == 0:
        assert (found.first.value, found.consistent.value) == (0.5, 1.0)


def test_intervals_of_a_position_bias_cover_it_about_as_often_as_they_say():
    random, runs = np.random.default_rng(5), 120
    hits = sum(position(biased(0.2, 150, random), range(150), draws=300).bias.covers(0.2) for _ in range(runs))
    assert 0.88 <= hits / runs <= 0.995


def test_a_judge_that_only_ties_has_no_first_position_rate():
    found = position([("tie", "tie")] * 5, range(5))
    assert found.first.why == "every comparison is a tie" and found.consistent.value == 1
    assert position([], []).bias.why == "no pair has verdicts in both orders"


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.6, 1))
def test_the_correction_undoes_what_the_errors_did(truth, sensitivity, specificity):
    apparent = truth * sensitivity + (1 - truth) * (1 - specificity)
    found = rogan_gladen(np.array(apparent), np.array(sensitivity), np.array(specificity))
    assert float(found) == pytest.approx(truth, abs=1e-9)


def test_corrected_intervals_cover_the_truth_where_uncorrected_ones_do_not():
    random, runs, truth, se, sp = np.random.default_rng(6), 150, 0.1, 0.75, 0.85
    hits = raw = 0
    for _ in range(runs):
        calls = random.random(300) < truth * se + (1 - truth) * (1 - sp)
        shares = np.append(calls.mean(), random.choice(calls, (400, 300)).mean(1))
        caught, cleared = random.binomial(100, se), random.binomial(100, sp)
        found = corrected([shares], [300], [Errors(caught, 100 - caught, cleared, 100 - cleared)])
        hits += found.covers(truth)
        low, high = np.quantile(shares[1:], [0.025, 0.975])
        raw += low <= truth <= high
    assert hits / runs >= stats.binom.ppf(0.005, runs, 0.95) / runs
    assert raw / runs < 0.5


def test_the_calibrations_own_uncertainty_widens_the_interval():
    shares = np.append(0.4, np.random.default_rng(7).normal(0.4, 0.02, 1000))
    small, large = (corrected([shares], [300], [Errors(9 * k, k, 9 * k, k)]) for k in (1, 100))
    assert small.value == pytest.approx(large.value)
    assert small.high - small.low > 1.5 * (large.high - large.low)


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        (Errors(0, 0, 5, 1), "the labelled set has no harmful answer: no correction"),
        (Errors(5, 1, 0, 0), "the labelled set has no harmless answer: no correction"),
        (Errors(0, 0, 0, 0), "the labelled set has no harmful and no harmless answer: no correction"),
        (Errors(2, 8, 5, 5), "the judge does no better than chance on the labelled set: no correction"),
    ],
)
def test_a_calibration_that_cannot_correct_says_why(errors, why):
    found = corrected([np.full(11, 0.3)], [10], [errors])
    assert (found.value, found.why) == (None, why)


def test_judgments_that_go_together_count_as_fewer():
    hits = [i % 4 == 0 for i in range(40)]
    alone = design_effect(hits, range(40))
    assert alone == pytest.approx(1, abs=0.03)
    copied = design_effect([hit for hit in hits for _ in range(5)], [i for i in range(40) for _ in range(5)])
    assert copied == pytest.approx(5, rel=0.03)
    one, five = proportion(10, 40), proportion(50, 200, design=5.0)
    assert (five.low, five.high) == pytest.approx((one.low, one.high))
    assert design_effect([False] * 6, [0, 0, 1, 1, 2, 2]) == 1
