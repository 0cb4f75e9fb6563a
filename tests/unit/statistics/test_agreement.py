"""Kappas are those of their definitions and of published examples, and say where they are not defined."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.statistics.agreement import agreement, fleiss, kappa


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=9, max_size=9))
def test_cohens_kappa_is_agreement_beyond_that_of_two_judges_who_say_each_as_often_as_they_do(cells):
    counts = np.array(cells).reshape(3, 3)
    n = sum(cells)
    agreed = Fraction(sum(int(counts[i, i]) for i in range(3)), n)
    chance = sum(Fraction(int(counts[i].sum()) * int(counts[:, i].sum()), n * n) for i in range(3))
    assert kappa(counts.astype(float)) == pytest.approx(float((agreed - chance) / (1 - chance)), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=3, max_size=30))
def test_fleiss_kappa_is_agreement_of_pairs_of_judges_beyond_that_of_verdicts_drawn_from_all(verdicts):
    counts = np.array([[row.count(label) for label in range(3)] for row in verdicts], dtype=float)
    ours = fleiss(counts)
    if ours is None:
        assert len({label for row in verdicts for label in row}) == 1
    else:
        pairs = [one == other for row in verdicts for one, other in combinations(row, 2)]
        every = [label for row in verdicts for label in row]
        chance = sum(Fraction(every.count(label), len(every)) ** 2 for label in range(3))
        assert ours == pytest.approx(float((Fraction(sum(pairs), len(pairs)) - chance) / (1 - chance)), abs=1e-12)


def test_kappas_are_those_of_published_examples():
    """Both as in the articles of Wikipedia; Fleiss' is of 14 psychiatrists and 10 patients."""
    assert kappa(np.array([[20.0, 5.0], [10.0, 15.0]])) == pytest.approx(0.4)
    psychiatrists = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss(np.array(psychiatrists, dtype=float)) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("judges", [2, 3])
def test_resamples_without_a_kappa_are_left_out(judges):
    """One answer in six is not like the others, so a third of the resamples hold it not and have no kappa."""
    found = agreement([["harmful"] + ["refused"] * 5] * judges, range(6))
    assert (found.value, found.low, found.high) == (1, 1, 1)


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
    for judges in (2, 3):
        assert agreement([["refused"] * 9] * judges, range(9)).why == "all verdicts are the same"
    assert agreement([[], []], []).why == "no answer has verdicts of all judges"
