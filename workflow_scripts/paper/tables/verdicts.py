"""What each declared contrast comes to, by metric and jointly; an item has the keys of `contrasts`."""

from dataclasses import replace

from workflow_scripts.base.languages import language_name
from workflow_scripts.paper import verdicts
from workflow_scripts.paper.lines import Line
from workflow_scripts.paper.tables._base import LinesTable, dagger
from workflow_scripts.paper.tables._contrasts import contrast_entry, contrast_pairs, sides
from workflow_scripts.paper.typeset import DAGGER, Entry


def _entry(line: Line, alpha: float) -> Entry:
    entry = contrast_entry(line, alpha)
    return replace(entry, main=f"{_verdict(line, alpha).text}: {entry.main}", strong=False)


def _verdict(line: Line, alpha: float) -> verdicts.Verdict:
    assert line.difference is not None
    return verdicts.on_axis(line.metric, line.difference, line.p_prompts, line.p_adjusted, alpha)


def _joint(own: list[Line], alpha: float) -> str:
    return verdicts.jointly([_verdict(line, alpha).text for line in own])


def _evidence(found: list[Line], alpha: float) -> list[str]:
    """A sentence for each contrast and part: what was found, on what evidence, matched on what."""
    parts = dict.fromkeys((line.row, line.language) for line in found)
    sentences = []
    for row, split in parts:
        own = [line for line in found if (line.row, line.language) == (row, split)]
        where = "" if split == "pooled" else f" ({language_name(split)})"
        axes = "; ".join(_verdict(line, alpha).evidence for line in own)
        on = own[0].matched or "nothing"
        matched = f"matched on {on} {DAGGER}" if own[0].unmatched else f"matched on {on}"
        sentences.append(
            f"{row}{where}: {_joint(own, alpha)}, {own[0].model} against {own[0].reference}, {matched}: {axes}."
        )
    return sentences


render = LinesTable(
    pairs=contrast_pairs,
    declared=True,
    labels=("contrast", "jointly"),
    describe=lambda own, alpha: (own[0].row + dagger(own), _joint(own, alpha)),
    entry=_entry,
    sides=sides,
    how_to_read=lambda _: (
        "Jointly: better on one axis at least and worse on none (Pareto). Numbers: merge minus mix, positive is better."
    ),
    evidence=_evidence,
).render
