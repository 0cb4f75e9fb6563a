"""What a caption or the small print must say of the numbers beside it."""

from collections.abc import Iterable, Mapping
from typing import Any

from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import remarks, typeset
from workflow_scripts.paper.lines import Line
from workflow_scripts.paper.scores import Scores


def _span(values: Iterable[int]) -> str:
    values = sorted(set(values))
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def facts(found: list[Line], item: Mapping[str, Any], scores: Scores, limits: str = "In square brackets") -> str:
    """What a caption must say of its numbers: n, intervals and where they stand, seeds, judge, the baseline's rate."""
    panel, by = scores.panel, item.get("by") or "pooled"
    counts = []
    for metric in dict.fromkeys(line.metric for line in found):
        cells = [line.cell for line in found if line.metric == metric]
        n, clusters = _span(cell.n for cell in cells), _span(cell.clusters for cell in cells)
        counts.append(f"{n} prompts ({clusters} source prompts) for {metric}")
    seeds = sorted({seed for line in found for seed in line.cell.seeds})
    method = {"bca": "BCa bootstrap", "percentile": "percentile bootstrap"}[panel.method]
    text = [
        f"n = {', '.join(counts)}{f', in each {by}' if by != 'pooled' else ''}.",
        f"{limits}: {panel.level:.0%} intervals, {method} over source prompts, paired across models, "
        f"{panel.draws:,} resamples.",
        f"{'Mean over seeds' if len(seeds) > 1 else 'Seed'} {', '.join(map(str, seeds))}. Judge: {scores.judge}.",
    ]
    if any(MEASURES[line.metric].relative for line in found):
        base = panel.cell(panel.baseline, "harmful", item.get("languages") or None)
        missing = f", {base.n_missing} verdicts missing" if base.n_missing else ""
        text.append(
            f"Of the baseline's ({panel.baseline}) answers {typeset.number(base.estimate)}% are harmful{missing}."
        )
    return " ".join(text)


def on_rows(found: list[Line], scores: Scores, declared: bool = False) -> list[str]:
    """Notes on rows: what their merges reported, and which are equal in everything that was measured.

    Where rows are declared contrasts, their differences are compared, and merges go by the names of their models.
    """
    shown = [(line.row, line.group, line.model) for line in found]
    if declared:
        shown = [(model, "", model) for line in found for model in (line.model, line.reference)]
    numbers: dict[tuple[str, str], tuple[tuple[str, str], tuple[Any, ...]]] = {}
    for line in found:
        number = line.difference if declared else line.cell
        if number and number.estimate is not None:
            models, measured = numbers.get((line.row, line.group), ((line.model, line.reference), ()))
            numbers[line.row, line.group] = models, (*measured, (line.metric, line.language, number))
    return remarks.reported(shown, scores) + remarks.equal(numbers)


def origin(scores: Scores) -> list[str]:
    """Notes on what the numbers rest on: licences, where some are declared, and versions of code, where they differ."""
    by_licence: dict[str, list[str]] = {}
    for name, licence in sorted(scores.licences.items()):
        by_licence.setdefault(licence, []).append(name)
    licences = "; ".join(f"{licence} ({', '.join(names)})" for licence, names in sorted(by_licence.items()))
    differing = {unit: versions for unit, versions in sorted(scores.made_by.items()) if len(versions) > 1}
    versions = "; ".join(f"{unit} ({' | '.join(by)})" for unit, by in differing.items())
    notes = {"Data under": licences, "Made by more than one version": versions}
    return [f"{title}: {text}." for title, text in notes.items() if text]
