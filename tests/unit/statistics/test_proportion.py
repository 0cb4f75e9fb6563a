"""Shares have exact intervals, wider where judgments go together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from workflow_scripts.statistics.proportion import design_effect, proportion


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 20, 0, 1 - 0.025 ** (1 / 20)),
        (20, 20, 0.025 ** (1 / 20), 1),
        (1, 1, 0.025, 1),
        (9, 24, 0.1879929, 0.5940636),  # R's binom.test(9, 24, 1/6)
        (10, 20, 0.2719578, 0.7280422),  # R's binom.test(10, 20)
    ],
)
def test_shares_have_clopper_pearson_intervals(hits, n, low, high):
    found = proportion(hits, n)
    assert (found.value, found.low, found.high) == (
        hits / n,
        pytest.approx(low, abs=1e-7),
        pytest.approx(high, abs=1e-7),
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(0, 40), st.floats(1, 6), st.floats(0.5, 0.999))
def test_limits_leave_half_of_the_rest_beyond_what_was_seen_also_for_counts_that_are_no_whole_numbers(
    hits, misses, design, level
):
    """The definition: at the lower limit so many hits or more are as rare as a tail, at the upper so few or fewer."""
    n = hits + misses
    if not n:
        assert proportion(hits, n, level, design).why == "nothing was judged"
        return
    found, tail = proportion(hits, n, level, design), (1 - level) / 2
    x, m = hits / design, n / design
    assert found.low == 0 if not hits else special.betainc(x, m - x + 1, found.low) == pytest.approx(tail, rel=1e-7)
    assert (
        found.high == 1 if not misses else special.betaincc(x + 1, m - x, found.high) == pytest.approx(tail, rel=1e-7)
    )


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
