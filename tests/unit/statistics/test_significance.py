"""What protects the tests: definitions and published examples, clusters as one unit, families, few seeds."""

from itertools import combinations
from math import comb

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
    n = up + down
    expected = min(1.0, 2 * sum(comb(n, k) for k in range(min(up, down) + 1)) / 2**n)
    assert mcnemar(one, other) == pytest.approx(expected, abs=1e-9)
    assert sign_flips(one - other) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("up", "down", "p"),
    [
        (1, 7, 0.070),  # airways before and after a transplantation: Fagerland et al. 2013, BMC Med Res Methodol 13:91
        (9, 2, 0.06543),  # R's mcnemar.exact, first example of the package exact2x2
    ],
)
def test_mcnemar_is_that_of_published_examples(up, down, p):
    one, other = np.repeat([1.0, 0.0, 1.0, 0.0], [up, down, 5, 3]), np.repeat([0.0, 1.0, 1.0, 0.0], [up, down, 5, 3])
    assert mcnemar(one, other) == pytest.approx(p, abs=5e-4 if p == 0.070 else 5e-6)


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
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_rejects_what_bonferroni_rejects_in_every_family_that_holds_it(found):
    """The closed test of which Holm's procedure is the short cut (Marcus, Peritz & Gabriel 1976), ties or none."""
    n = len(found)
    closed = [
        max(
            min(1.0, len(family) * min(found[j] for j in family))
            for size in range(1, n + 1)
            for family in combinations(range(n), size)
            if i in family
        )
        for i in range(n)
    ]
    assert holm(found) == pytest.approx(closed, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(ps)
def test_benjamini_hochberg_is_that_of_statsmodels(found):
    assert benjamini_hochberg(found) == pytest.approx(multipletests(found, method="fdr_bh")[1], abs=1e-9)


def test_adjusted_p_values_are_those_of_published_examples():
    seen = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528,
            0.759, 1.0]  # fmt: skip
    # Benjamini & Hochberg 1995, section 3.2: at 0.05 theirs claims four.  Bonferroni and Hochberg claim three, and so
    # does Holm, who lies between them.
    assert [p <= 0.05 for p in benjamini_hochberg(seen)] == [True] * 4 + [False] * 11
    assert [p <= 0.05 for p in holm(seen)] == [True] * 3 + [False] * 12
    # R's p.adjust, as stdlib.io has it.
    assert holm([0.319, 0.201, 0.4, 0.374, 0.113]) == pytest.approx([0.957, 0.804, 0.957, 0.957, 0.565])
    assert benjamini_hochberg([0.008, 0.03, 0.123, 0.6, 0.2]) == pytest.approx([0.04, 0.075, 0.205, 0.6, 0.25])


def test_a_family_of_none_has_no_p_values_and_one_of_one_keeps_it():
    for adjust in (holm, benjamini_hochberg):
        assert adjust([]) == [] and adjust([0.3]) == [0.3]
        assert all(type(p) is float for p in adjust([0.0, 1.0, 1.0]))


def test_the_test_over_seeds_is_the_t_test():
    """Of Student's own differences of sleep, 1908: as R's t.test prints them."""
    sleep = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert seeds_test(sleep) == seeds_test(-sleep) == pytest.approx(0.002833, abs=5e-7)
    assert seeds_interval(sleep, 0.95) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)
    # Two seeds: the t distribution with one degree of freedom is Cauchy's.
    assert seeds_test(np.array([1.0, 3.0])) == pytest.approx(1 - 2 / np.pi * np.arctan(2))


def test_few_seeds_say_little():
    assert seeds_test(np.array([9.0])) is None
    assert seeds_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.95) is None
    assert seeds_test(np.zeros(3)) == 1.0 and seeds_test(np.ones(3)) == 0.0


@pytest.mark.filterwarnings("error")
def test_seeds_that_differ_by_rounding_alone_are_the_same():
    third = np.array([100 * (0.4 - 0.1), 30.0, 300 * 0.1, 30.000000000000004, 30.0, 30.0])
    assert len(set(third)) > 1
    assert seeds_test(third) == 0.0 and seeds_test(third - 30) == 1.0
    assert seeds_interval(third, 0.95) == pytest.approx((30, 30)) and seeds_interval(np.zeros(6), 0.95) == (0, 0)
