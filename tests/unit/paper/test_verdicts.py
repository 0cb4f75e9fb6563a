"""What protects the answer: claims need prompts and seeds, and no axis is traded silently."""

import pytest

from workflow_scripts.paper.verdicts import MERGE, MIX, NEITHER, TRADE, UNSUPPORTED, jointly, on_axis
from workflow_scripts.statistics.cell import Cell


def difference(estimate=5.0, seeds=(0, 1, 2), p_seeds=0.01, **changes):
    return Cell(
        **{
            "estimate": estimate, "low": estimate - 2, "high": estimate + 2, "n": 300, "clusters": 50, "n_missing": 0,
            "seeds": seeds, "seed_min": estimate - 1, "seed_max": estimate + 1, "p": 0.001,
            "p_seeds": p_seeds, **changes,
        }
    )  # fmt: skip


def test_a_difference_that_prompts_and_seeds_show_is_called():
    better = on_axis("harm", difference(), 0.01, 0.02, 0.05)
    assert better.text == MERGE and on_axis("harm", difference(-5.0), 0.01, 0.02, 0.05).text == MIX
    assert better.evidence == (
        "harm +5.0 points [+3.0, +7.0] over 50 source prompts, adjusted p 0.010, 3 seeds from +4.0 to +6.0 "
        "(adjusted p 0.020)"
    )


def test_what_prompts_do_not_show_is_not_detectable_and_what_would_is_said():
    verdict = on_axis("win", difference(1.0), 0.3, 0.3, 0.05)
    assert verdict.text == NEITHER and "where 2.9 would show" in verdict.evidence


@pytest.mark.parametrize(
    ("cell", "both", "why"),
    [
        (difference(seeds=(0,), p_seeds=None), 0.01, "one seed"),
        (difference(p_seeds=0.2), 0.2, "do not bear it out"),
    ],
)
def test_what_seeds_do_not_show_is_not_supported(cell, both, why):
    verdict = on_axis("harm", cell, 0.01, both, 0.05)
    assert verdict.text == UNSUPPORTED and why in verdict.evidence


def test_what_is_not_defined_is_not_supported_in_words():
    cell = Cell(None, None, None, 0, 0, 9, (0,), None, None, why="base has no harmful answer")
    assert on_axis("harm", cell, None, None, 0.05).evidence == "harm: base has no harmful answer"


@pytest.mark.parametrize(
    ("axes", "joint"),
    [
        ([MERGE, MERGE], MERGE),
        ([MERGE, NEITHER], MERGE),
        ([MIX, NEITHER], MIX),
        ([MERGE, MIX], TRADE),
        ([MERGE, MIX, UNSUPPORTED], TRADE),
        ([MERGE, UNSUPPORTED], UNSUPPORTED),
        ([NEITHER, NEITHER], NEITHER),
    ],
)
def test_jointly_is_pareto(axes, joint):
    assert jointly(axes) == joint == jointly(axes[::-1])
