"""What each judge gets wrong, and how far judges agree, by language and pooled.

Of the item in the config::

    rows: {Mix: mix, SLERP: slerp}    # whose answers are counted; default: all that every judge judged
    judge: rules                      # with which the others' agreement is measured; default: the first of `judges`

A judge's errors come from labelled answers: a suite of `metric: labels`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from workflow_scripts.base.languages import language_name
from workflow_scripts.paper import typeset
from workflow_scripts.paper.captions import origin
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.tables._judges import POOLED, Rows, count_errors, entry, labelled, splits
from workflow_scripts.paper.typeset import Block, Column, Entry, Table
from workflow_scripts.statistics.agreement import agreement
from workflow_scripts.statistics.bootstrap import LEVEL
from workflow_scripts.statistics.outcomes import combine
from workflow_scripts.statistics.panel import Panel
from workflow_scripts.statistics.position_bias import position_bias
from workflow_scripts.statistics.proportion import Estimate, design_effect, proportion

MEASURED = {  # what is measured of a judge -> heading, and which of its declared faults that is
    "unreadable": ("unreadable, %", "unreadable"),
    "first": ("first wins, %", None),
    "consistent": ("orders agree, %", None),
    "bias": ("position bias, %", "first_position"),
    "sensitivity": ("sensitivity, %", "sensitivity"),
    "specificity": ("specificity, %", "specificity"),
    "kappa": ("kappa, harm", None),
    "kappa_preference": ("kappa, preference", None),
}


AGREED = {"kappa": ("harm", "benign"), "kappa_preference": ("preference",)}  # on which metrics' verdicts


def render(name: str, item: Mapping[str, Any], scores: Scores) -> Table:
    """A table of judges, in its three forms."""
    columns = [Column("", "judge", numeric=False), Column("", "language", numeric=False)]
    columns += [Column("", heading) for heading, _ in MEASURED.values()]
    rows, records, reasons = [], [], []
    for judge in scores.panels:
        declared = {
            (split, key): truth
            for split, _ in splits(item, scores)
            for key, (_, fault) in MEASURED.items()
            if (truth := _declared(scores.faults.get(judge, {}), fault, split)) is not None
        }
        for split, languages in splits(item, scores):
            measured = measure(scores, judge, languages)
            jointly = _alone(scores, judge, languages, 1 - (1 - LEVEL) / len(declared)) if declared else {}
            row = [Entry(judge), Entry(language_name(split))]
            for key in MEASURED:
                estimate, truth = measured[key], declared.get((split, key))
                row.append(entry(estimate, 1.0 if key.startswith("kappa") else 100.0))
                reasons += [estimate.why] if estimate.why and estimate.why != "is the reference" else []
                known = truth is not None and estimate.value is not None
                records.append(
                    {"judge": judge, "language": split, "measure": key, "value": estimate.value, "low": estimate.low,
                     "high": estimate.high, "n": estimate.n, "note": estimate.why, "declared": truth,
                     "recovered": estimate.covers(truth or 0.0) if known else None,
                     "recovered_jointly": jointly[key].covers(truth or 0.0) if known else None}
                )  # fmt: skip
            rows.append(row)
            if any((split, key) in declared for key in MEASURED):
                truths = [declared.get((split, key)) for key in MEASURED]
                rows.append(
                    [Entry(), Entry("declared")] + [Entry("" if t is None else f"{100 * t:.1f}") for t in truths]
                )
    if len(scores.panels) > 2:
        for split, languages in splits(item, scores):
            judged = [_spoken(panel, languages) for panel in scores.panels.values()]
            both = [_kappa(judged, metrics) for metrics in AGREED.values()]
            blank = [Entry()] * (len(MEASURED) - 2)
            rows.append([Entry("all, Fleiss"), Entry(language_name(split)), *blank, *(entry(e, 1.0) for e in both)])
            records += [
                {"judge": "all", "language": split, "measure": f"fleiss_{key}", "value": e.value, "low": e.low,
                 "high": e.high, "n": e.n, "note": e.why, "declared": None, "recovered": None,
                 "recovered_jointly": None}
                for key, e in zip(("harm", "preference"), both, strict=True)
            ]  # fmt: skip
    models = sorted({model for panel in scores.panels.values() for model, _ in panel.scores})
    caption = (
        f"{item['caption'].rstrip('.')}. Over the answers of {', '.join(models)}. In square brackets: 95% intervals."
    )
    notes = [
        "First wins: of decided questions; 50% is fair. Orders agree: pairs about which both orders said the same. "
        "Position bias: questions that the order alone decided, by maximum likelihood. Equal answers are not judged.",
        "Sensitivity, specificity: on labelled answers, exact intervals. Unreadable: exact, for as many independent "
        "judgments as the source prompts are worth. "
        f"Cohen's kappa: with {scores.judge.split()[0]}.",
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
    notes += origin(scores)
    return typeset.table(name, caption, [Block(columns, rows)], notes, records)


def measure(scores: Scores, judge: str, languages: Collection[str]) -> dict[str, Estimate]:
    """Everything that is measured of a judge, over some languages.

    Args:
        scores: panels and labelled answers of all judges.
        judge: its name in the config.
        languages: which prompts count.
    """
    if scores.panels[judge] is scores.panel:
        agreed = {key: Estimate(None, None, None, 0, "is the reference") for key in AGREED}
    else:
        both = [_spoken(panel, languages) for panel in (scores.panel, scores.panels[judge])]
        agreed = {key: _kappa(both, metrics) for key, metrics in AGREED.items()}
    return {**_alone(scores, judge, languages), **agreed}


def _alone(scores: Scores, judge: str, languages: Collection[str], level: float = LEVEL) -> dict[str, Estimate]:
    """What is measured of a judge without another one, its declared faults among it; intervals of a level."""
    rows = _spoken(scores.panels[judge], languages)
    known = labelled(scores, judge, languages)
    pairs, clusters = _pairs(rows)
    position = position_bias(pairs, clusters, level=level)
    errors = replace(count_errors(known), level=level)
    asked = [row for row in [*rows, *known] if was_asked(row)]
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


def _declared(faults: Mapping[str, Any], fault: str | None, language: str) -> float | None:
    """What the config says that a judge gets wrong; None where it says nothing, or for several languages at once."""
    if not faults or fault is None:
        return None
    value = faults[fault]
    if isinstance(value, Mapping):
        return None if language == POOLED else float(value.get(language, 1.0))
    return float(value)
