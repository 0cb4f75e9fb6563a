"""Shares have exact intervals, wider where judgments go together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.statistics.proportion import design_effect, proportion


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20)])
def test_shares_have_clopper_pearson_intervals(hits, n):
    found = proportion(hits, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, n, method="beta"), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=30), st.randoms())
def test_a_design_effect_does_not_depend_on_the_order_of_judgments(judgments, random):
    mixed = random.sample(judgments, len(judgments))
    one, other = (design_effect([hit for hit, _ in js], [c for _, c in js]) for js in (judgments, mixed))
    assert one == other >= 1


def test_judgments_that_go_together_count_as_fewer():
    hits = [i % 4 == 0 for i in range(40)]
    alone = design_effect(hits, range(40))
    assert alone == pytest.approx(1, abs=0.03)
    copied = design_effect([hit for hit in hits for _ in range(5)], [i for i in range(40) for _ in range(5)])
    assert copied == pytest.approx(5, rel=0.03)
    one, five = proportion(10, 40), proportion(50, 200, design=5.0)
    assert (five.low, five.high) == pytest.approx((one.low, one.high))
    assert design_effect([False] * 6, [0, 0, 1, 1, 2, 2]) == 1
