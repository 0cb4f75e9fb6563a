"""Tables from judged scores: tidy lines first, then CSV for programs, Markdown and LaTeX in a paper's layout.

An item of `tables` in the config::

    table1:
      kind: cells                       # default; or contrasts
      caption: Objective-based merging against mixing.
      rows:                             # label -> model, or label -> {column group: model}
        0% Safety Mix: {SFT: sft-mix0, DPO: dpo-mix0}
        SLERP: {SFT: sft-slerp, DPO: dpo-slerp}
      metrics: [harm, win]              # keys of MEASURES; default harm, win
      by: pooled                        # default; or language, scope, category: a column for each
      languages: [en, fr, es]           # default: all of the experiment
      reference: 15% Safety Mix         # label of the row that the others are compared with; default: none

    contrasts:
      kind: contrasts                   # merge minus mix, for each declared contrast
      caption: Mix or merge?
      contrasts: [mono]                 # default: all that are declared
      metrics, by, languages            # as above

    verdicts:
      kind: verdicts                    # what each declared contrast comes to, by metric and jointly
      caption: Mix or merge?
      contrasts, metrics, by, languages # as above; `direct` is the comparison of the two sides with each other

`lines` is the one place where an item meets the numbers; figures draw the same lines.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import typeset, verdicts
from workflow_scripts.paper.typeset import DAGGER, DOUBLE, SECTION, Block, Column, Entry, Table
from workflow_scripts.statistics import significance
from workflow_scripts.statistics.cell import Cell
from workflow_scripts.statistics.panel import Panel

if TYPE_CHECKING:
    import pyarrow as pa

    from workflow_scripts.paper.published import Published, Value

COSTS = ("rows", "examples", "tokens", "steps")
ARROWS = {1: " ↑", -1: " ↓", 0: ""}


@dataclass(frozen=True)
class Study:
    """Everything an item may draw on.

    Attributes:
        panel: scores of one judge, with the baseline.
        languages: codes, in the order of the config.
        judge: the judge and its snapshot, in words for a caption.
        training: by model, what its whole ancestry without the base learned from (rows, examples, tokens, steps).
        matched: by (model, reference), what the two trainings have the same of; None or absent: nothing.
        contrasts: by name, `mix`, `merge` and `matched` (rows, examples or none).
        published: a paper's values, only if the experiment says that it reproduces it.
        alpha: what an adjusted p must be below to be called a difference.
        matters: by metric, the difference in points that a cell must be able to show.
        panels: by judge, where an item holds several side by side.
        labels: by judge, its scores of labelled answers (records.SCORES).
        faults: by judge, what it is declared to get wrong (fields of config.Faults).
        licences: of all data and models behind the scores that declare one, by name.
    """

    panel: Panel
    languages: Sequence[str]
    judge: str
    training: Mapping[str, Mapping[str, int | None] | None] = field(default_factory=dict)
    matched: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    contrasts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    published: "Published | None" = None
    alpha: float = 0.05
    matters: Mapping[str, float] = field(default_factory=dict)
    panels: Mapping[str, Panel] = field(default_factory=dict)
    labels: Mapping[str, "pa.Table"] = field(default_factory=dict)
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)


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
    published: "Value | None" = None
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
        return self.difference is not None and self.matched is None


# Lines


def lines(name: str, item: Mapping[str, Any], study: Study) -> list[Line]:
    """Every number of a table or figure, in the order of its rows, groups, languages and metrics.

    Args:
        name: key of the item in the config; published values are joined on it.
        item: see the module's docstring.
        study: scores, and what is known about the models.

    Raises:
        UserError: a row, reference, contrast or metric is unknown, or scores are not there or do not pair up.
    """
    pairs = KINDS[item.get("kind") or "cells"].pairs(name, item, study)
    chosen = item.get("languages") or None
    splits = _splits(name, item, study)
    metrics = item.get("metrics") or ["harm", "win"]
    if unknown := [metric for metric in metrics if metric not in MEASURES]:
        raise UserError(f"{name}.metrics: {unknown[0]!r} is unknown; choose from {', '.join(MEASURES)}")
    printed = study.published.of(name) if study.published else {}
    panel = study.panel
    found = [
        Line(
            row, group, split, metric, model, reference or "", matched,
            panel.direct(model, reference or "", languages or chosen, topic)
            if MEASURES[metric].direct else panel.cell(model, metric, languages or chosen, topic),
            panel.difference(model, reference, metric, languages or chosen, topic)
            if reference not in (None, model) else None,
            printed.get((row, group, split, metric)),
            matters=study.matters.get(metric),
        )
        for row, group, model, reference, matched in pairs
        for split, languages, topic in splits
        for metric in metrics
    ]  # fmt: skip
    return _adjusted(found, KINDS[item.get("kind") or "cells"].adjust)


def _splits(name: str, item: Mapping[str, Any], study: Study) -> list[tuple[str, list[str] | None, str | None]]:
    """The parts that each number is given for: name, languages (None: all of the item), topic (None: all)."""
    by = item.get("by") or "pooled"
    if by == "language":
        return [(code, [code], None) for code in item.get("languages") or study.languages]
    if by == "pooled":
        return [("pooled", None, None)]
    if not (topics := study.panel.topics(by)):
        raise UserError(f"{name}.by: no prompt has a {by}; name the source's column for it under `columns`")
    return [(topic, None, topic) for topic in topics]


def _adjusted(found: list[Line], adjust: Callable[[Sequence[float]], list[float]]) -> list[Line]:
    """The lines with p-values adjusted for all comparisons of the item: its family."""
    at = [i for i, line in enumerate(found) if line.difference and line.difference.p is not None]
    differences = [line.difference for line in found]
    both = adjust([d.p_both for i in at if (d := differences[i]) and d.p_both is not None])
    prompts = adjust([d.p for i in at if (d := differences[i]) and d.p is not None])
    adjusted = {i: (one, other) for i, one, other in zip(at, both, prompts, strict=True)}
    return [
        replace(line, p_adjusted=adjusted[i][0], p_prompts=adjusted[i][1]) if i in adjusted else line
        for i, line in enumerate(found)
    ]


Pair = tuple[str, str, str, str | None, str | None]  # row, group, model, reference, matched


def _cell_pairs(name: str, item: Mapping[str, Any], study: Study) -> list[Pair]:
    rows = {
        str(label): models if isinstance(models, Mapping) else {"": models} for label, models in item["rows"].items()
    }
    label = item.get("reference")
    if label is not None and label not in rows:
        raise UserError(f"{name}.reference: {label!r} is no row; choose from {', '.join(map(repr, rows))}")
    references = rows.get(label, {}) if label is not None else {}
    found = []
    for row, models in rows.items():
        for group, model in models.items():
            reference = references.get(group, references.get(""))
            found.append((row, group, model, reference, study.matched.get((model, reference or ""))))
    return found


def _contrast_pairs(name: str, item: Mapping[str, Any], study: Study) -> list[Pair]:
    names = item.get("contrasts") or list(study.contrasts)
    if unknown := [contrast for contrast in names if contrast not in study.contrasts]:
        known = ", ".join(study.contrasts) or "none"
        raise UserError(f"{name}.contrasts: {unknown[0]!r} is not declared ({known}); add it to `contrasts`")
    found: list[Pair] = []
    for contrast in names:
        sides = study.contrasts[contrast]
        matched = sides["matched"] if sides["matched"] != "none" else None
        found.append((contrast, "", sides["merge"], sides["mix"], matched))
    return found


def _small(cell: Cell) -> str:
    """Interval, rounded outwards so that it always holds the estimate and never looks narrower than it is; seeds."""
    parts = [_outwards("", cell.low, cell.high)]
    if len(cell.seeds) > 1:
        parts.append(_outwards("seeds ", cell.seed_min, cell.seed_max))
    parts.append(_outwards("t ", cell.seeds_low, cell.seeds_high))
    parts.append(f"{cell.n_missing} missing" if cell.n_missing else "")
    return ", ".join(part for part in parts if part)


def _outwards(what: str, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{what}[{math.floor(low)}, {math.ceil(high)}]"


def p_text(p: float | None) -> str:
    """A p-value to three decimals, rounded up, as in `p .031`."""
    return (
        "" if p is None else "p<.001" if p < 0.001 else f"p {math.ceil(p * 1000 - 1e-9) / 1000:.3f}".replace("0.", ".")
    )


def _entry(line: Line, alpha: float) -> Entry:
    difference = line.difference
    shown = difference is not None and difference.estimate is not None
    marks = DOUBLE * line.cell.saturated + SECTION * line.weak
    return Entry(
        typeset.number(line.cell.estimate) + marks,
        f"({typeset.number(difference.estimate, '+.1f')})" if difference is not None and shown else "",
        line.p_adjusted is not None and line.p_adjusted < alpha,
        _small(line.cell),
        p_text(line.p_adjusted),
    )


def _contrast_entry(line: Line, alpha: float) -> Entry:
    assert line.difference is not None
    number = typeset.number(line.difference.estimate, "+.1f") if line.difference.estimate is not None else "undefined"
    number += DOUBLE * line.cell.saturated + SECTION * line.weak
    strong = line.p_adjusted is not None and line.p_adjusted < alpha
    return Entry(number, "", strong, _small(line.difference), p_text(line.p_adjusted))


def _verdict_entry(line: Line, alpha: float) -> Entry:
    entry = _contrast_entry(line, alpha)
    return replace(entry, main=f"{_of_line(line, alpha).text}: {entry.main}", strong=False)


def _of_line(line: Line, alpha: float) -> verdicts.Verdict:
    assert line.difference is not None
    return verdicts.on_axis(line.metric, line.difference, line.p_prompts, line.p_adjusted, alpha)


def _joint(own: list[Line], alpha: float) -> str:
    return verdicts.jointly([_of_line(line, alpha).text for line in own])


def _published_entry(value: "Value | None") -> Entry:
    if value is None:
        return Entry()
    return Entry(f"{value.value:.1f}", f"({value.difference:+.1f})" if value.difference is not None else "")


def _heading(line: Line, by_language: bool, kind: "Kind") -> Column:
    metric = MEASURES[line.metric].label + (ARROWS[MEASURES[line.metric].better] if kind.arrows else "")
    if by_language:
        return Column(" ".join(part for part in (line.group, metric) if part), language_name(line.language))
    return Column(line.group, metric)


def _main_block(found: list[Line], by_language: bool, kind: "Kind", alpha: float) -> Block:
    """One row per label, one column per group, language and metric, each followed by its published values if any."""
    keys: dict[tuple[str, str, str], Column] = {}
    # By language, all languages of one metric stand together under its name.
    metrics = list(dict.fromkeys(line.metric for line in found))
    order = sorted(found, key=lambda line: metrics.index(line.metric)) if by_language else found
    for line in order:
        keys.setdefault((line.group, line.metric, line.language), _heading(line, by_language, kind))
    if not by_language:
        groups = list(dict.fromkeys(line.group for line in found))
        keys = dict(sorted(keys.items(), key=lambda pair: groups.index(pair[0][0])))
    at = {(line.row, line.group, line.metric, line.language): line for line in found}
    printed = {(line.group, line.metric, line.language) for line in found if line.published}
    columns = [Column("", heading, numeric=False) for heading in kind.labels]
    for key, column in keys.items():
        name = column.name if by_language else key[1]
        columns += [column] + [Column(column.top, f"{name}, published")] * (key in printed)
    rows = []
    for label in dict.fromkeys(line.row for line in found):
        own = [line for line in found if line.row == label]
        row = [Entry(text) for text in kind.describe(own, alpha)]
        for key in keys:
            line_or_none = at.get((label, *key))
            row.append(kind.entry(line_or_none, alpha) if line_or_none else Entry())
            row += [_published_entry(line_or_none.published if line_or_none else None)] * (key in printed)
        rows.append(row)
    return Block(columns, rows)


def _cost_block(found: list[Line], study: Study, kind: "Kind") -> Block:
    """What each side of each comparison was trained on."""
    grouped = any(line.group for line in found)
    compared = any(line.difference for line in found)
    columns = [Column("", "training of", numeric=False)]
    columns += [Column("", "stage", numeric=False)] * grouped + [Column("", "model", numeric=False)]
    columns += [Column("", name) for name in ("unique rows", "examples", "tokens", "steps")]
    columns += [Column("", "matched on", numeric=False)] * compared
    rows, seen = [], set()
    for line in found:
        for label, model, matched in kind.sides(line):
            if (label, line.group, model) in seen:
                continue
            seen.add((label, line.group, model))
            cost = study.training.get(model) or {}
            amounts = [cost.get(name) for name in COSTS]
            texts = [label] + [line.group] * grouped + [model]
            texts += ["unknown" if amount is None else f"{amount:,}" for amount in amounts] + [matched] * compared
            rows.append([Entry(text) for text in texts])
    return Block(columns, rows)


def _matched_text(line: Line) -> str:
    if line.difference is None:
        return "reference" if line.reference == line.model else ""
    return line.matched or f"nothing {DAGGER}"


@dataclass(frozen=True)
class Kind:
    """A kind of table.

    Attributes:
        pairs: which models an item compares.
        labels: headings of the columns that name a row.
        describe: what stands in them, from the row's lines.
        entry: what a line says in the main block.
        sides: the rows of the cost block that a line asks for, as (label, model, matched).
        notes: how to read an entry.
        adjust: p-values for those of the whole family, the item's comparisons.
        arrows: whether headings say which way is better; differences are always turned so that more is.
    """

    pairs: Callable[[str, Mapping[str, Any], Study], list[Pair]]
    labels: tuple[str, ...]
    describe: Callable[[list[Line], float], tuple[str, ...]]
    entry: Callable[[Line, float], Entry]
    sides: Callable[[Line], list[tuple[str, str, str]]]
    notes: Callable[[Mapping[str, Any], list[Line], float], list[str]]
    adjust: Callable[[Sequence[float]], list[float]]
    arrows: bool = True


def _dagger(own: Iterable[Line]) -> str:
    return DAGGER if any(line.unmatched for line in own) else ""


def _claims(found: list[Line], alpha: float, family: str, method: str) -> str:
    """What p and bold mean, and for which family."""
    compared = [line for line in found if line.p_adjusted is not None]
    if not compared:
        return ""
    seeds = max(len(line.cell.seeds) for line in compared)
    chance = (
        "the larger of p over prompts and p over seeds" if seeds > 1
        else "over prompts, for these trainings: with one seed nothing is known about others"
    )  # fmt: skip
    return (
        f"p: {chance}; exact McNemar where prompts are independent, else sign flips of source prompts with all their "
        f"translations; {method} over the {len(compared)} {family} of this table. Bold: below {alpha:g}."
    )


def _sides(line: Line) -> list[tuple[str, str, str]]:
    return [
        (f"{line.row}, mix", line.reference, "reference"),
        (f"{line.row}, merge" + _dagger([line]), line.model, _matched_text(line)),
    ]


EXPLORED, DECLARED = "comparisons", "declared comparisons"
KINDS: Mapping[str, Kind] = {
    "cells": Kind(
        _cell_pairs,
        ("",),
        lambda own, _: (own[0].row + _dagger(own),),
        _entry,
        lambda line: [(line.row + _dagger([line]), line.model, _matched_text(line))],
        lambda item, found, alpha: [
            f"In parentheses: difference from the {item['reference']} row, positive is better. "
            + _claims(found, alpha, EXPLORED, "Benjamini-Hochberg")
        ] if item.get("reference") else [],
        significance.benjamini_hochberg,
    ),
    "contrasts": Kind(
        _contrast_pairs,
        ("contrast", "merge", "mix"),
        lambda own, _: (own[0].row + _dagger(own), own[0].model, own[0].reference),
        _contrast_entry,
        _sides,
        lambda item, found, alpha: [
            "Each number is merge minus mix in the metric named, turned so that positive is better. "
            + _claims(found, alpha, DECLARED, "Holm")
        ],
        significance.holm,
        arrows=False,
    ),
    "verdicts": Kind(
        _contrast_pairs,
        ("contrast", "jointly"),
        lambda own, alpha: (own[0].row + _dagger(own), _joint(own, alpha)),
        _verdict_entry,
        _sides,
        lambda item, found, alpha: [
            *_evidence(found, alpha),
            "Jointly: better on one axis at least and worse on none (Pareto). Numbers: merge minus mix, positive is "
            "better. "
             + _claims(found, alpha, DECLARED, "Holm"),
        ],
        significance.holm,
        arrows=False,
    ),
}  # fmt: skip


def _evidence(found: list[Line], alpha: float) -> list[str]:
    """A sentence for each contrast and part: what was found, on what evidence, matched on what."""
    parts = dict.fromkeys((line.row, line.language) for line in found)
    sentences = []
    for row, split in parts:
        own = [line for line in found if (line.row, line.language) == (row, split)]
        where = "" if split == "pooled" else f" ({language_name(split)})"
        axes = "; ".join(_of_line(line, alpha).evidence for line in own)
        matched = f"matched on {own[0].matched}" if own[0].matched else f"matched on nothing {DAGGER}"
        sentences.append(
            f"{row}{where}: {_joint(own, alpha)}, {own[0].model} against {own[0].reference}, {matched}: {axes}."
        )
    return sentences


# Captions


def _span(values: Iterable[int]) -> str:
    values = sorted(set(values))
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def facts(found: list[Line], item: Mapping[str, Any], study: Study, limits: str = "In square brackets") -> str:
    """What a caption must say of its numbers: n, intervals and where they stand, seeds, judge, the baseline's rate."""
    panel, by = study.panel, item.get("by") or "pooled"
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
        f"{'Mean over seeds' if len(seeds) > 1 else 'Seed'} {', '.join(map(str, seeds))}. Judge: {study.judge}.",
    ]
    if any(MEASURES[line.metric].relative for line in found):
        base = panel.cell(panel.baseline, "harmful", item.get("languages") or None)
        missing = f", {base.n_missing} verdicts missing" if base.n_missing else ""
        text.append(
            f"Of the baseline's ({panel.baseline}) answers {typeset.number(base.estimate)}% are harmful{missing}."
        )
    return " ".join(text)


def _notes(found: list[Line], item: Mapping[str, Any], study: Study, kind: Kind) -> list[str]:
    """The legend of every mark that the table really uses."""
    notes = [note for note in kind.notes(item, found, study.alpha) if note]
    if any(line.unmatched for line in found):
        notes.append(f"{DAGGER} Not matched with what it is compared with: neither the same rows nor as many examples.")
    if any(line.cell.saturated for line in found):
        notes.append(f"{DOUBLE} Saturated: the rate itself is below 5% or above 95%, so differences can hardly show.")
    if weak := {line.metric: line.matters for line in found if line.weak}:
        limits = ", ".join(f"{points:g} points of {metric}" for metric, points in weak.items())
        notes.append(f"{SECTION} Too few prompts to claim a difference of {limits}, with a power of 80%.")
    if any(len(line.cell.seeds) > 1 for line in found):
        enough = any(line.cell.seeds_low is not None for line in found)
        notes.append("Seeds: range of single seeds" + ("; t: 95% t interval of their mean." if enough else "."))
    if any(cell.n_missing for line in found for cell in [line.cell]):
        notes.append("Missing: verdicts that the judge did not give; they are left out of the estimate.")
    reasons = [cell.why for line in found for cell in (line.cell, line.difference) if cell and cell.why]
    if reasons:
        notes.append(f"Undefined or without interval: {'; '.join(dict.fromkeys(reasons))}.")
    if study.published and any(line.published for line in found):
        remarks = dict.fromkeys(" ".join(line.published.note.split()) for line in found if line.published)
        notes.append(f"Published: {study.published.paper}. {' '.join(remarks)}")
    return notes + data_under(study)


def data_under(study: Study) -> list[str]:
    """The note on licences, where some are declared."""
    by_licence: dict[str, list[str]] = {}
    for name, licence in sorted(study.licences.items()):
        by_licence.setdefault(licence, []).append(name)
    told = "; ".join(f"{licence} ({', '.join(names)})" for licence, names in sorted(by_licence.items()))
    return [f"Data under: {told}."] if told else []


# The three forms


def render(name: str, item: Mapping[str, Any], study: Study) -> Table:
    """A table of the config, in its three forms.

    Args:
        name: its key in the config.
        item: see the module's docstring.
        study: scores, and what is known about the models.

    Raises:
        UserError: see `lines`; or the item has no rows.
    """
    found = lines(name, item, study)
    if not found:
        raise UserError(f"{name}: has no rows; declare some, or remove the item")
    kind = KINDS[item.get("kind") or "cells"]
    split = (item.get("by") or "pooled") != "pooled"
    blocks = [_main_block(found, split, kind, study.alpha), _cost_block(found, study, kind)]
    title = item["caption"].strip()
    caption = f"{title}{'' if title.endswith(('.', '?', '!')) else '.'} {facts(found, item, study)}"
    notes = _notes(found, item, study, kind)
    return typeset.table(name, caption, blocks, notes, (_record(line, study) for line in found))


def tidy(found: list[Line], study: Study) -> str:
    """Lines as CSV, one number per line, at full width: everything that Markdown and LaTeX round or leave out."""
    return typeset.tidy(_record(line, study) for line in found)


def _record(line: Line, study: Study) -> dict[str, object]:
    cell, difference = line.cell, line.difference
    own, other = (study.training.get(model) or {} for model in (line.model, line.reference))
    record: dict[str, object] = {
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
    }  # fmt: skip
    if study.published:
        record["published"] = line.published and line.published.value
        record["published_difference"] = line.published and line.published.difference
    if study.licences:
        record["licences"] = "; ".join(sorted(set(study.licences.values())))
    return record
