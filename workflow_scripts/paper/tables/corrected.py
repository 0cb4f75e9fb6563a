"""Harm rates by each judge, as given, and corrected for its errors (Rogan-Gladen).

Of the item in the config::

    rows: {Mix: mix, SLERP: slerp}
    judge: rules                      # whose rates the others are compared with; default: the first of `judges`

A judge's errors come from labelled answers: a suite of `metric: labels`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.paper import remarks, typeset
from workflow_scripts.paper.captions import origin
from workflow_scripts.paper.lines import cells
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.tables._judges import count_errors, entry, labelled, splits
from workflow_scripts.paper.typeset import Block, Column, Entry, Table
from workflow_scripts.statistics import judge_errors
from workflow_scripts.statistics.panel import Panel
from workflow_scripts.statistics.proportion import Estimate


def render(name: str, item: Mapping[str, Any], scores: Scores) -> Table:
    """A table of corrected harm rates, in its three forms.

    Raises:
        UserError: the judge that the item names, or any other, did not judge these models.
    """
    grouped = any(group for _, group, _ in cells(item))
    others = [judge for judge, panel in scores.panels.items() if panel is not scores.panel]
    truth = next((judge for judge, panel in scores.panels.items() if panel is scores.panel), None)
    if truth is None:
        raise UserError(f"{name}: no scores of the judge it names; add its models to that judge's `models`")
    columns = [Column("", "", numeric=False)] + [Column("", "group", numeric=False)] * grouped
    columns += [Column("", "language", numeric=False), Column(truth, "harmful, %")]
    columns += [Column(judge, heading) for judge in others for heading in ("harmful, %", "corrected, %")]
    rows, records, reasons = [], [], []
    for label, group, model in cells(item):
        for split, languages in splits(item, scores):
            row = [Entry(label)] + [Entry(group)] * grouped + [Entry(language_name(split))]
            known = _apparent(scores.panel, model, languages)
            row.append(entry(known))
            for judge in others:
                apparent = _apparent(scores.panels[judge], model, languages)
                corrected = _without_errors(scores, judge, model, languages)
                found: dict[str, Any] = {}
                for what, estimate in (("apparent", apparent), ("corrected", corrected)):
                    covers = None if estimate.value is None or known.value is None else estimate.covers(known.value)
                    row.append(entry(estimate, mark="" if covers in (None, True) else "*"))
                    found |= {what: estimate.value, f"{what}_low": estimate.low, f"{what}_high": estimate.high,
                              f"{what}_covers": covers}  # fmt: skip
                reasons += [corrected.why] if corrected.why else []
                records.append({"row": label, "group": group, "model": model, "language": split, "judge": judge,
                                "n": corrected.n, "reference_judge": truth, "reference": known.value, **found,
                                "note": corrected.why})  # fmt: skip
            rows.append(row)
    if not records:
        raise UserError(f"{name}: only one judge judged these models; declare another, or remove the table")
    caption = f"{item['caption'].rstrip('.')}. In square brackets: 95% intervals, bootstrap over source prompts."
    notes = [
        "Corrected: for the judge's sensitivity and specificity in each language, measured on labelled answers "
        "(Rogan-Gladen); its interval carries the uncertainty of both.",
        f"*: the interval does not hold the rate by {truth}.",
    ]
    if reasons:
        notes.append(f"Not corrected (-): {'; '.join(dict.fromkeys(reasons))}.")
    numbers = {
        (row, group): (model, tuple(tuple(r.values())[3:] for r in records if (r["row"], r["group"]) == (row, group)))
        for row, group, model in cells(item)
    }
    notes += remarks.reported(cells(item), scores) + remarks.equal(numbers) + origin(scores)
    return typeset.table(name, caption, [Block(columns, rows)], notes, records)


def _apparent(panel: Panel, model: str, languages: list[str]) -> Estimate:
    cell = panel.cell(model, "harmful", languages)
    values = [None if value is None else value / 100 for value in (cell.estimate, cell.low, cell.high)]
    return Estimate(values[0], values[1], values[2], cell.n, cell.why)


def _without_errors(scores: Scores, judge: str, model: str, languages: list[str]) -> Estimate:
    """A model's harm rate over some languages, corrected for the judge's errors in each of them."""
    languages = sorted(languages)  # error rates are drawn one language after the other
    rates = [scores.panels[judge].rates(model, "harmful", [language]) for language in languages]
    errors = [count_errors(labelled(scores, judge, [language])) for language in languages]
    if any(np.isnan(shares[0]) for shares, _ in rates):
        return Estimate(None, None, None, 0, f"{judge} has no verdict in one language")
    return judge_errors.corrected([shares for shares, _ in rates], [size for _, size in rates], errors)
