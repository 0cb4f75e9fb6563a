"""Kappas are those of statsmodels, and say where they are not defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from workflow_scripts.statistics.agreement import agreement, fleiss, kappa


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


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(24)), st.sampled_from([2, 3]))
def test_agreement_does_not_depend_on_the_order_of_answers(order, judges):
    random = np.random.default_rng(0)
    verdicts = random.choice(["harmful", "refused", "neither"], (judges, 24), p=[0.5, 0.3, 0.2])
    clusters = np.array([("s", f"{i // 4}") for i in range(24)])
    one = agreement(verdicts.tolist(), [tuple(c) for c in clusters])
    other = agreement(verdicts[:, order].tolist(), [tuple(c) for c in clusters[order]])
    assert [other.value, other.low, other.high] == pytest.approx([one.value, one.low, one.high], abs=1e-12)
    assert one.low < one.high


def test_a_kappa_that_is_not_defined_says_so():
    assert agreement([["refused"] * 9, ["refused"] * 9], range(9)).why == "all verdicts are the same"
    assert agreement([[], []], []).why == "no answer has verdicts of all judges"
