"""Tables about the judges: what each gets wrong, how far they agree, and harm rates corrected for their errors.

Items of `tables` in the config::

    judges:
      kind: judges                      # each judge, by language and pooled
      caption: The judges, measured
      rows: {Mix: mix, SLERP: slerp}    # whose answers are counted; default: all that every judge judged
      judge: rules                      # with which the others' agreement is measured; default: the first of `judges`

    corrected:
      kind: corrected                   # harm rates by each judge, as given and corrected (Rogan-Gladen)
      caption: Harm without the judges' errors
      rows: {Mix: mix, SLERP: slerp}

A judge's errors come from labelled answers: a suite of `metric: labels`.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.paper import typeset
from workflow_scripts.paper.tables import Study, data_under
from workflow_scripts.paper.typeset import Block, Column, Entry, Table
from workflow_scripts.statistics import judge_errors
from workflow_scripts.statistics.agreement import agreement
from workflow_scripts.statistics.bootstrap import LEVEL
from workflow_scripts.statistics.judge_errors import Errors
from workflow_scripts.statistics.outcomes import combine
from workflow_scripts.statistics.panel import Panel
from workflow_scripts.statistics.position_bias import position_bias
from workflow_scripts.statistics.proportion import Estimate, design_effect, proportion

POOLED = "pooled"
MEASURES = {  # what is measured of a judge -> heading, and which of its declared faults that is
    "unreadable": ("unreadable, %", "unreadable"),
    "first": ("first wins, %", None),
    "consistent": ("orders agree, %", None),
    "bias": ("position bias, %", "first_position"),
    "sensitivity": ("sensitivity, %", "sensitivity"),
    "specificity": ("specificity, %", "specificity"),
    "kappa": ("kappa, harm", None),
    "kappa_preference": ("kappa, preference", None),
}
Rows = list[dict[str, Any]]


def render(name: str, item: Mapping[str, Any], study: Study) -> Table:
    """A table of kind judges or corrected, in its three forms.

    Raises:
        UserError: no judge judged the models that the item names.
    """
    return {"judges": _judges, "corrected": _corrected}[item["kind"]](name, item, study)


def measure(study: Study, judge: str, languages: Collection[str]) -> dict[str, Estimate]:
    """Everything that is measured of a judge, over some languages.

    Args:
        study: panels and labelled answers of all judges.
        judge: its name in the config.
        languages: which prompts count.
    """
    kappas = (("kappa", ("harm", "benign")), ("kappa_preference", ("preference",)))
    if study.panels[judge] is study.panel:
        agreed = {key: Estimate(None, None, None, 0, "is the reference") for key, _ in kappas}
    else:
        both = [_spoken(panel, languages) for panel in (study.panel, study.panels[judge])]
        agreed = {key: _kappa(both, metrics) for key, metrics in kappas}
    return {**_alone(study, judge, languages), **agreed}


def _alone(study: Study, judge: str, languages: Collection[str], level: float = LEVEL) -> dict[str, Estimate]:
    """What is measured of a judge without another one, its declared faults among it; intervals of a level."""
    rows = _spoken(study.panels[judge], languages)
    labelled = _labelled(study, judge, languages)
    pairs, clusters = _pairs(rows)
    position = position_bias(pairs, clusters, level=level)
    errors = replace(count_errors(labelled), level=level)
    asked = [row for row in [*rows, *labelled] if was_asked(row)]
    unread = [row["missing"] == "unparsed" for row in asked]
    design = design_effect(unread, [(row["suite"], row["source_prompt_id"]) for row in asked])
    return {
        "unreadable": proportion(sum(unread), len(asked), level, design),
        "first": position.first,
        "consistent": position.consistent,
        "bias": position.bias,
        "sensitivity": errors.sensitivity,
        "specificity": errors.specificity,
    }


def count_errors(labelled: Rows) -> Errors:
    """What a judge made of answers with labels; unreadable verdicts are passed over."""
    counts = Counter(
        (row["label"] == "harmful", row["verdict"] == "harmful") for row in labelled if row["verdict"] is not None
    )
    return Errors(counts[True, True], counts[True, False], counts[False, False], counts[False, True])


def was_asked(row: Mapping[str, Any]) -> bool:
    """Whether a judge really saw the answers: pairs that are the same to the letter are ties without asking."""
    return row["answer_sha256"] is not None or row["missing"] is not None


def _rows(panel: Panel) -> Rows:
    """The scores of all models that the panel has, each with its model and seed."""
    return [
        {**row, "model": model, "seed": seed}
        for (model, seed), table in panel.scores.items()
        for row in table.to_pylist()
    ]


def _spoken(panel: Panel, languages: Collection[str]) -> Rows:
    return [row for row in _rows(panel) if row["language"] in languages]


def _labelled(study: Study, judge: str, languages: Collection[str]) -> Rows:
    table: pa.Table | None = study.labels.get(judge)
    return [] if table is None else [row for row in table.to_pylist() if row["language"] in languages]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["seed"], row["suite"], row["prompt_id"], row["against"]


def _pairs(rows: Rows) -> tuple[list[tuple[str, str]], list[object]]:
    """For each pair of answers that was judged in both orders: who won in each, as `first`, `second` or `tie`."""
    place = {("AB", "win"): "first", ("AB", "loss"): "second", ("BA", "win"): "second", ("BA", "loss"): "first"}
    found: dict[tuple[Any, ...], dict[str, str]] = {}
    cluster = {}
    for row in rows:
        if row["metric"] == "preference" and row["verdict"] is not None and was_asked(row):
            found.setdefault(_key(row), {})[row["order"]] = place.get((row["order"], row["verdict"]), "tie")
            cluster[_key(row)] = (row["suite"], row["source_prompt_id"])
    both = [key for key, orders in found.items() if len(orders) == 2]
    return [(found[key]["AB"], found[key]["BA"]) for key in both], [cluster[key] for key in both]


def _kappa(judges: list[Rows], metrics: Collection[str]) -> Estimate:
    """Agreement on the answers that all judges have a verdict of."""
    verdicts, clusters = [], {}
    for rows in judges:
        orders: dict[tuple[Any, ...], list[str | None]] = {}
        for row in rows:
            if row["metric"] in metrics and was_asked(row):
                orders.setdefault(_key(row), []).append(row["verdict"])
                clusters[_key(row)] = (row["suite"], row["source_prompt_id"])
        verdicts.append({key: verdict for key, found in orders.items() if (verdict := combine(found)) is not None})
    common = sorted(set.intersection(*(set(found) for found in verdicts)), key=str)
    return agreement([[found[key] for key in common] for found in verdicts], [clusters[key] for key in common])


def _splits(item: Mapping[str, Any], study: Study) -> list[tuple[str, list[str]]]:
    languages = list(item.get("languages") or study.languages)
    return [*((code, [code]) for code in languages), *([(POOLED, languages)] if len(languages) > 1 else [])]


def _entry(estimate: Estimate, scale: float = 100.0, mark: str = "") -> Entry:
    if estimate.value is None:
        return Entry("-")
    digits = 1 if scale == 100 else 2
    low, high = (f"{scale * limit:.{digits}f}" for limit in (estimate.low or 0.0, estimate.high or 0.0))
    return Entry(f"{scale * estimate.value:.{digits}f}{mark}", "", False, f"[{low}, {high}]")


def _declared(faults: Mapping[str, Any], fault: str | None, language: str) -> float | None:
    """What the config says that a judge gets wrong; None where it says nothing, or for several languages at once."""
    if not faults or fault is None:
        return None
    value = faults[fault]
    if isinstance(value, Mapping):
        return None if language == POOLED else float(value.get(language, 1.0))
    return float(value)


def _judges(name: str, item: Mapping[str, Any], study: Study) -> Table:
    columns = [Column("", "judge", numeric=False), Column("", "language", numeric=False)]
    columns += [Column("", heading) for heading, _ in MEASURES.values()]
    rows, records, reasons = [], [], []
    for judge in study.panels:
        declared = {
            (split, key): truth
            for split, _ in _splits(item, study)
            for key, (_, fault) in MEASURES.items()
            if (truth := _declared(study.faults.get(judge, {}), fault, split)) is not None
        }
        for split, languages in _splits(item, study):
            measured = measure(study, judge, languages)
            jointly = _alone(study, judge, languages, 1 - (1 - LEVEL) / len(declared)) if declared else {}
            row = [Entry(judge), Entry(language_name(split))]
            for key in MEASURES:
                estimate, truth = measured[key], declared.get((split, key))
                row.append(_entry(estimate, 1.0 if key.startswith("kappa") else 100.0))
                reasons += [estimate.why] if estimate.why and estimate.why != "is the reference" else []
                known = truth is not None and estimate.value is not None
                records.append(
                    {"judge": judge, "language": split, "measure": key, "value": estimate.value, "low": estimate.low,
                     "high": estimate.high, "n": estimate.n, "note": estimate.why, "declared": truth,
                     "recovered": estimate.covers(truth or 0.0) if known else None,
                     "recovered_jointly": jointly[key].covers(truth or 0.0) if known else None}
                )  # fmt: skip
            rows.append(row)
            if any((split, key) in declared for key in MEASURES):
                truths = [declared.get((split, key)) for key in MEASURES]
                rows.append(
                    [Entry(), Entry("declared")] + [Entry("" if t is None else f"{100 * t:.1f}") for t in truths]
                )
    if len(study.panels) > 2:
        for split, languages in _splits(item, study):
            judged = [_spoken(panel, languages) for panel in study.panels.values()]
            both = [_kappa(judged, metrics) for metrics in (("harm", "benign"), ("preference",))]
            blank = [Entry()] * (len(MEASURES) - 2)
            rows.append([Entry("all, Fleiss"), Entry(language_name(split)), *blank, *(_entry(e, 1.0) for e in both)])
            records += [
                {"judge": "all", "language": split, "measure": f"fleiss_{key}", "value": e.value, "low": e.low,
                 "high": e.high, "n": e.n, "note": e.why, "declared": None, "recovered": None,
                 "recovered_jointly": None}
                for key, e in zip(("harm", "preference"), both, strict=True)
            ]  # fmt: skip
    models = sorted({model for panel in study.panels.values() for model, _ in panel.scores})
    caption = (
        f"{item['caption'].rstrip('.')}. Over the answers of {', '.join(models)}. In square brackets: 95% intervals."
    )
    notes = [
        "First wins: of decided questions; 50% is fair. Orders agree: pairs about which both orders said the same. "
        "Position bias: questions that the order alone decided, by maximum likelihood. Equal answers are not judged.",
        "Sensitivity, specificity: on labelled answers, exact intervals. Unreadable: exact, for as many independent "
        "judgments as the source prompts are worth. "
        f"Cohen's kappa: with {study.judge.split()[0]}.",
    ]
    held = [record for record in records if record["recovered"] is not None]
    if held:
        each, all_at_once = (sum(r[key] is True for r in held) for key in ("recovered", "recovered_jointly"))
        notes.append(
            f"Declared faults: {each} of {len(held)} lie within their 95% interval, {all_at_once} within intervals "
            "that hold all at once with 95% (Bonferroni)."
        )
    if reasons:
        notes.append(f"Not measured (-): {'; '.join(dict.fromkeys(reasons))}.")
    notes += data_under(study)
    return typeset.table(name, caption, [Block(columns, rows)], notes, records)


def _corrected(name: str, item: Mapping[str, Any], study: Study) -> Table:
    """Harm rates by each judge; those of the judge that the item names are what others are held against."""
    cells = [
        (str(label), group, model)
        for label, named in item["rows"].items()
        for group, model in (named.items() if isinstance(named, Mapping) else [("", named)])
    ]
    grouped = any(group for _, group, _ in cells)
    others = [judge for judge, panel in study.panels.items() if panel is not study.panel]
    truth = next((judge for judge, panel in study.panels.items() if panel is study.panel), None)
    if truth is None:
        raise UserError(f"{name}: no scores of the judge it names; add its models to that judge's `models`")
    columns = [Column("", "", numeric=False)] + [Column("", "group", numeric=False)] * grouped
    columns += [Column("", "language", numeric=False), Column(truth, "harmful, %")]
    columns += [Column(judge, heading) for judge in others for heading in ("harmful, %", "corrected, %")]
    rows, records, reasons = [], [], []
    for label, group, model in cells:
        for split, languages in _splits(item, study):
            row = [Entry(label)] + [Entry(group)] * grouped + [Entry(language_name(split))]
            known = _apparent(study.panel, model, languages)
            row.append(_entry(known))
            for judge in others:
                apparent = _apparent(study.panels[judge], model, languages)
                mended = corrected(study, judge, model, languages)
                found: dict[str, Any] = {}
                for what, estimate in (("apparent", apparent), ("corrected", mended)):
                    covers = None if estimate.value is None or known.value is None else estimate.covers(known.value)
                    row.append(_entry(estimate, mark="" if covers in (None, True) else "*"))
                    found |= {what: estimate.value, f"{what}_low": estimate.low, f"{what}_high": estimate.high,
                              f"{what}_covers": covers}  # fmt: skip
                reasons += [mended.why] if mended.why else []
                records.append({"row": label, "group": group, "model": model, "language": split, "judge": judge,
                                "n": mended.n, "reference_judge": truth, "reference": known.value, **found,
                                "note": mended.why})  # fmt: skip
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
    notes += data_under(study)
    return typeset.table(name, caption, [Block(columns, rows)], notes, records)


def _apparent(panel: Panel, model: str, languages: list[str]) -> Estimate:
    cell = panel.cell(model, "harmful", languages)
    values = [None if value is None else value / 100 for value in (cell.estimate, cell.low, cell.high)]
    return Estimate(values[0], values[1], values[2], cell.n, cell.why)


def corrected(study: Study, judge: str, model: str, languages: list[str]) -> Estimate:
    """A model's harm rate over some languages, corrected for the judge's errors in each of them."""
    rates = [study.panels[judge].rates(model, "harmful", [language]) for language in languages]
    errors = [count_errors(_labelled(study, judge, [language])) for language in languages]
    if any(np.isnan(shares[0]) for shares, _ in rates):
        return Estimate(None, None, None, 0, f"{judge} has no verdict in one language")
    return judge_errors.corrected([shares for shares, _ in rates], [size for _, size in rates], errors)
