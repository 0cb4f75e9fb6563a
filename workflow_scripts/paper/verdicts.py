"""What a contrast of a merge with a mix comes to: on each axis, and on all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.statistics.cell import Cell

MERGE, MIX = "merge is better", "mix is better"
NEITHER, UNSUPPORTED = "no difference detectable", "not supported"
TRADE = "a trade-off"  # jointly only: the one is better here, the other there


@dataclass(frozen=True)
class Verdict:
    """One of the four verdicts on an axis, with its evidence in words."""

    text: str
    evidence: str


def on_axis(metric: str, difference: Cell, p_prompts: float | None, p_both: float | None, alpha: float) -> Verdict:
    """The verdict on one axis.

    A difference that the prompts do not show is not detectable.  One that they show is supported only if it would come
    out again with other trainings: p over seeds must agree, and with a single seed nothing is known about that.

    Args:
        metric: key of MEASURES.
        difference: merge minus mix, positive is better.
        p_prompts: over prompts, adjusted for the family of declared contrasts.
        p_both: the larger of p over prompts and over seeds, adjusted for the same family.
        alpha: what a p must be below.
    """
    unit = MEASURES[metric].label.split(",")[0]
    if difference.estimate is None or p_prompts is None or p_both is None:
        return Verdict(UNSUPPORTED, f"{unit}: {difference.why or 'undefined'}")
    limits = "" if difference.low is None else f" [{difference.low:+.1f}, {difference.high:+.1f}]"
    found = f"{unit} {difference.estimate:+.1f} points{limits} over {difference.clusters} source prompts, "
    found += f"adjusted p {p_prompts:.3f}"
    if p_prompts >= alpha:
        able = f", where {difference.smallest:.1f} would show" if difference.smallest else ""
        return Verdict(NEITHER, found + able)
    if difference.p_seeds is None:
        return Verdict(UNSUPPORTED, found + ", but from one seed, which says nothing about another training")
    seeds = f"{len(difference.seeds)} seeds from {difference.seed_min:+.1f} to {difference.seed_max:+.1f}"
    if p_both >= alpha:
        return Verdict(UNSUPPORTED, f"{found}, but {seeds} do not bear it out (adjusted p {p_both:.3f})")
    return Verdict(MERGE if difference.estimate > 0 else MIX, f"{found}, {seeds} (adjusted p {p_both:.3f})")


def jointly(texts: Sequence[str]) -> str:
    """The joint verdict: better on at least one axis and worse on none.

    What one axis cannot support, the joint verdict cannot either, unless the others already make it a trade-off.

    >>> jointly([MERGE, NEITHER]), jointly([MERGE, MIX, UNSUPPORTED]), jointly([MIX, UNSUPPORTED])
    ('merge is better', 'a trade-off', 'not supported')
    """
    found = set(texts)
    if {MERGE, MIX} <= found:
        return TRADE
    if UNSUPPORTED in found:
        return UNSUPPORTED
    return next((text for text in (MERGE, MIX) if text in found), NEITHER)
