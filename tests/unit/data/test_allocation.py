"""Parts of a mixture have their shares, and draws of any sizes are nested."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.data.allocation import allocate

fractions = (
    st.lists(st.integers(0, 20), min_size=1, max_size=6)
    .filter(any)
    .map(lambda weights: {f"part{i}": weight / sum(weights) for i, weight in enumerate(weights)})
)


@given(fractions, st.integers(0, 3000))
def test_parts_sum_to_the_total_and_have_their_shares(parts, total):
    counts = allocate(total, parts)
    assert sum(counts.values()) == total
    for name, fraction in parts.items():
        # Webster's method may leave a share by more than one, by less than half the number of parts.
        assert abs(counts[name] - total * fraction) < 1 + len(parts) / 2
    assert not any(counts[name] for name, fraction in parts.items() if fraction == 0)


@given(fractions, st.integers(1, 50))
def test_shares_that_are_whole_numbers_are_given_exactly(parts, scale):
    weights = {name: round(fraction * 1000) for name, fraction in parts.items()}
    total = sum(weights.values())
    exact = {name: weight / total for name, weight in weights.items()}
    assert allocate(total * scale, exact) == {name: weight * scale for name, weight in weights.items()}


@given(fractions, st.integers(0, 300))
def test_more_rows_never_take_one_from_a_part(parts, total):
    for fewer, more in pairwise(allocate(total + i, parts) for i in range(4)):
        assert all(fewer[name] <= more[name] for name in parts)


def test_largest_remainders_would_break_the_nesting():
    parts = {"a": 0.4286, "b": 0.4286, "c": 0.1428}  # the Alabama paradox: at 10 rows c has 2, at 11 it would have 1
    assert allocate(10, parts)["c"] <= allocate(11, parts)["c"]


def test_the_order_of_parts_decides_no_tie():
    parts = {"safety": 0.15, "general": 0.85}  # of 250 rows 37.5 and 212.5
    assert allocate(250, parts) == allocate(250, dict(reversed(parts.items()))) == {"general": 213, "safety": 37}
