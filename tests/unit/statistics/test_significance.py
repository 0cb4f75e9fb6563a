"""What protects the tests: exactness against scipy and statsmodels, clusters as one unit, families, few seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.unit.statistics.rows import numbers
from workflow_scripts.statistics.outcomes import Outcomes
from workflow_scripts.statistics.significance import (
    benjamini_hochberg,
    holm,
    mcnemar,
    prompts_test,
    seeds_interval,
    seeds_test,
    sign_flips,
)

halves = st.lists(st.integers(-6, 6), min_size=1, max_size=12).map(lambda found: np.array(found) / 2)
ps = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs_and_the_sign_flips_of_single_prompts(pairs):
    one, other = np.array(pairs, dtype=float).T
    up, down = int((one > other).sum()), int((one < other).sum())
    expected = stats.binomtest(up, up + down).pvalue if up + down else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)
    assert sign_flips(one - other) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(halves)
def test_sign_flips_are_exact(differences):
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(differences))).reshape(len(differences), -1).T
    extreme = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9
    assert sign_flips(differences) == pytest.approx(extreme.mean())


def test_random_flips_agree_with_exact_ones_and_with_scipy():
    random = np.random.default_rng(0)
    differences = np.round(2 * random.normal(0.25, 1, 60)) / 2
    nearly = differences + 1e-4 * random.normal(size=60)  # no longer on the grid
    assert sign_flips(nearly) == pytest.approx(sign_flips(differences), abs=0.02)
    theirs = stats.permutation_test(
        (nearly,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=9999, vectorized=True, rng=1
    )
    assert sign_flips(nearly) == pytest.approx(theirs.pvalue, abs=0.02)


def test_flips_by_chance_are_seeded():
    differences = np.random.default_rng(1).normal(0.2, 1, 30)
    assert sign_flips(differences, seed=3) == sign_flips(differences, seed=3)


@settings(deadline=None)
@given(halves, st.floats(-1, 1))
def test_which_model_stands_first_does_not_matter(differences, _):
    assert sign_flips(differences) == pytest.approx(sign_flips(-differences))


def test_translations_of_one_prompt_are_one_coin():
    single = sign_flips(np.ones(5))
    assert sign_flips(6 * np.ones(5)) == single == 2 / 2**5


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(30)))
def test_the_test_over_prompts_does_not_depend_on_their_order(order):
    """Of numbers off the grid, whose flips are random: a cluster must get the same ones wherever it stands."""
    random = np.random.default_rng(4)
    one, other = numbers(random.normal(0.6, 1, 30), 2), numbers(random.normal(0, 1, 30), 2)

    def mixed(o):
        return Outcomes(*(tuple(part[i] for i in order) for part in (o.prompts, o.clusters, o.languages)),
                        o.values[list(order)])  # fmt: skip

    assert 0.01 < prompts_test([one], [other]) == prompts_test([mixed(one)], [mixed(other)]) < 0.5


def test_under_the_null_a_p_below_alpha_comes_at_most_that_often():
    random, runs = np.random.default_rng(2), 400
    shared = random.normal(size=(runs, 40, 1))
    outcomes = (shared + random.normal(size=(runs, 40, 12)) > 0).astype(float)
    differences = (outcomes[..., :6] - outcomes[..., 6:]).sum(-1)
    assert np.mean([sign_flips(d) < 0.05 for d in differences]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@settings(deadline=None, max_examples=15)
@given(ps)
def test_adjusted_p_values_are_those_of_statsmodels(found):
    assert holm(found) == pytest.approx(multipletests(found, method="holm")[1])
    assert benjamini_hochberg(found) == pytest.approx(multipletests(found, method="fdr_bh")[1])


def test_the_test_over_seeds_is_the_t_test():
    found = np.array([1.0, 3.0, 2.5])
    assert seeds_test(found) == pytest.approx(stats.ttest_1samp(found, 0).pvalue)
    low, high = stats.ttest_1samp(np.arange(6.0), 0).confidence_interval(0.95)
    assert seeds_interval(np.arange(6.0), 0.95) == pytest.approx((low, high))


def test_few_seeds_say_little():
    assert seeds_test(np.array([9.0])) is None
    assert seeds_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.95) is None
    assert seeds_test(np.zeros(3)) == 1.0 and seeds_test(np.ones(3)) == 0.0
