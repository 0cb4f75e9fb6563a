"""A planted position bias is recovered, with intervals that cover it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.statistics.position_bias import position_bias


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
    found = position_bias(biased(bias, 600, random), range(600))
    assert found.bias.covers(bias) and found.bias.high - found.bias.low < 0.1
    assert found.bias.value == pytest.approx(bias, abs=0.05)
    if bias == 0:
        assert (found.first.value, found.consistent.value) == (0.5, 1.0)


def test_intervals_of_a_position_bias_cover_it_about_as_often_as_they_say():
    random, runs = np.random.default_rng(5), 120
    hits = sum(position_bias(biased(0.2, 150, random), range(150), draws=300).bias.covers(0.2) for _ in range(runs))
    assert 0.88 <= hits / runs <= 0.995


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(40)))
def test_a_position_bias_does_not_depend_on_the_order_of_pairs(order):
    pairs, clusters = biased(0.3, 40, np.random.default_rng(6)), [f"{i // 2}" for i in range(40)]
    one = position_bias(pairs, clusters, draws=200)
    assert position_bias([pairs[i] for i in order], [clusters[i] for i in order], draws=200) == one
    assert one.bias.low < one.bias.high


def test_a_judge_that_only_ties_has_no_first_position_rate():
    found = position_bias([("tie", "tie")] * 5, range(5))
    assert found.first.why == "every comparison is a tie" and found.consistent.value == 1
    assert position_bias([], []).bias.why == "no pair has verdicts in both orders"
