"""The numbers of a table or figure: each model's cell, and its difference from what it is compared with.

This is the one place where an item of the config meets the scores; tables print the lines, and figures draw them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import remarks, typeset
from workflow_scripts.paper.published import Value
from workflow_scripts.paper.scores import Scores
from workflow_scripts.statistics import significance
from workflow_scripts.statistics.cell import Cell

COSTS = ("rows", "examples", "tokens", "steps")


@dataclass(frozen=True)
class Line:
    """One number of an item: a model's cell, and its difference from the reference (None for the reference itself)."""

    row: str
    group: str
    language: str
    metric: str
    model: str
    reference: str
    matched: str | None
    cell: Cell
    difference: Cell | None
    published: Value | None = None
    p_adjusted: float | None = None  # of the difference over prompts and seeds, for the whole family of the item
    p_prompts: float | None = None  # over prompts alone, adjusted in the same way
    matters: float | None = None  # points that the difference should be able to show

    @property
    def weak(self) -> bool:
        """Whether so few or so varied prompts cannot show a difference that matters, or show no interval at all."""
        smallest = None if self.difference is None else self.difference.smallest
        return self.difference is not None and self.matters is not None and (smallest or math.inf) > self.matters

    @property
    def unmatched(self) -> bool:
        """Whether the model is compared with another one whose training had the same of nothing."""
        return self.difference is not None and self.matched in (None, "unknown")


Pair = tuple[str, str, str, str | None, str | None]  # row, group, model, reference, matched


def lines(
    name: str,
    item: Mapping[str, Any],
    scores: Scores,
    pairs: list[Pair],
    adjust: Callable[[Sequence[float]], list[float]] = significance.benjamini_hochberg,
) -> list[Line]:
    """Every number of a table or figure, in the order of its rows, groups, languages and metrics.

    Args:
        name: key of the item in the config; published values are joined on it.
        item: see the sub-packages `tables` and `figures`.
        scores: scores, and what is known about the models.
        pairs: which models it shows, and what each is compared with.
        adjust: p-values for those of the whole family, the item's comparisons.

    Raises:
        UserError: a metric is unknown, or scores are not there or do not pair up.
    """
    chosen = item.get("languages") or None
    splits = _splits(name, item, scores)
    metrics = item.get("metrics") or ["harm", "win"]
    if unknown := [metric for metric in metrics if metric not in MEASURES]:
        raise UserError(f"{name}.metrics: {unknown[0]!r} is unknown; choose from {', '.join(MEASURES)}")
    printed = scores.published.of(name) if scores.published else {}
    panel = scores.panel
    found = [
        Line(
            row, group, split, metric, model, reference or "", matched,
            panel.cell(model, metric, languages or chosen, topic, reference),
            panel.difference(model, reference, metric, languages or chosen, topic)
            if reference not in (None, model) else None,
            printed.get((row, group, split, metric)),
            matters=scores.matters.get(metric),
        )
        for row, group, model, reference, matched in pairs
        for split, languages, topic in splits
        for metric in metrics
    ]  # fmt: skip
    return _adjusted(found, adjust)


def _splits(name: str, item: Mapping[str, Any], scores: Scores) -> list[tuple[str, list[str] | None, str | None]]:
    """The parts that each number is given for: name, languages (None: all of the item), topic (None: all)."""
    by = item.get("by") or "pooled"
    if by == "language":
        return [(code, [code], None) for code in item.get("languages") or scores.languages]
    if by == "pooled":
        return [("pooled", None, None)]
    if not (topics := scores.panel.topics(by)):
        raise UserError(f"{name}.by: no prompt has a {by}; name the source's column for it under `columns`")
    return [(topic, None, topic) for topic in topics]


def _adjusted(found: list[Line], adjust: Callable[[Sequence[float]], list[float]]) -> list[Line]:
    """The lines with p-values adjusted for all comparisons of the item: its family."""
    at = [i for i, line in enumerate(found) if line.difference and line.difference.p is not None]
    if not at:
        return found
    differences = [line.difference for line in found]
    both = adjust([d.p_both for i in at if (d := differences[i]) and d.p_both is not None])
    prompts = adjust([d.p for i in at if (d := differences[i]) and d.p is not None])
    adjusted = {i: (one, other) for i, one, other in zip(at, both, prompts, strict=True)}
    return [
        replace(line, p_adjusted=adjusted[i][0], p_prompts=adjusted[i][1]) if i in adjusted else line
        for i, line in enumerate(found)
    ]


def cells(item: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Label, column group (empty where there are none) and model of every cell of an item's rows."""
    return [
        (str(label), group, model)
        for label, models in item["rows"].items()
        for group, model in (models.items() if isinstance(models, Mapping) else [("", models)])
    ]


def row_pairs(name: str, item: Mapping[str, Any], scores: Scores) -> list[Pair]:
    """Every cell of an item's rows, with the reference row's model in the same column group.

    Raises:
        UserError: the reference is no row.
    """
    label, rows = item.get("reference"), [str(row) for row in item["rows"]]
    if label is not None and label not in rows:
        raise UserError(f"{name}.reference: {label!r} is no row; choose from {', '.join(map(repr, rows))}")
    references = {group: model for row, group, model in cells(item) if row == label}
    found = []
    for row, group, model in cells(item):
        reference = references.get(group, references.get(""))
        found.append((row, group, model, reference, scores.matched.get((model, reference or ""))))
    return found


def tidy(found: list[Line], scores: Scores) -> str:
    """Lines as CSV, one number per line, at full width: everything that Markdown and LaTeX round or leave out."""
    return typeset.tidy(record(line, scores) for line in found)


def record(line: Line, scores: Scores) -> dict[str, object]:
    """A line for programs, under the names of the columns of a CSV."""
    cell, difference = line.cell, line.difference
    own, other = (scores.training.get(model) or {} for model in (line.model, line.reference))
    found: dict[str, object] = {
        "row": line.row, "group": line.group, "language": line.language, "metric": line.metric, "model": line.model,
        "estimate": cell.estimate, "low": cell.low, "high": cell.high,
        "n": cell.n, "clusters": cell.clusters, "n_missing": cell.n_missing,
        "reference": line.reference,
        "difference": difference and difference.estimate,
        "difference_low": difference and difference.low,
        "difference_high": difference and difference.high,
        "p_prompts": difference and difference.p, "p_seeds": difference and difference.p_seeds,
        "p_adjusted": line.p_adjusted, "smallest_detectable": difference and difference.smallest,
        "underpowered": line.weak,
        "seeds": " ".join(map(str, cell.seeds)), "seed_min": cell.seed_min, "seed_max": cell.seed_max,
        "seeds_low": cell.seeds_low, "seeds_high": cell.seeds_high,
        "saturated": cell.saturated, "note": cell.why or (difference.why if difference else ""),
        **{cost: own.get(cost) for cost in COSTS},
        **{f"reference_{cost}": other.get(cost) for cost in COSTS},
        "matched": "" if difference is None else line.matched or "no",
        **remarks.columns(line.model, scores),
    }  # fmt: skip
    if scores.published:
        found["published"] = line.published and line.published.value
        found["published_difference"] = line.published and line.published.difference
    if scores.licences:
        found["licences"] = "; ".join(sorted(set(scores.licences.values())))
    return found
