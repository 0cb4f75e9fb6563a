"""Tables of lines: a number per row, group, language and metric, what each side was trained on, and a legend."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import typeset
from workflow_scripts.paper.captions import facts, on_rows, origin
from workflow_scripts.paper.lines import COSTS, Line, Pair, lines, record
from workflow_scripts.paper.published import Value
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.typeset import DAGGER, DOUBLE, SECTION, Block, Column, Entry, Table
from workflow_scripts.statistics import significance
from workflow_scripts.statistics.cell import Cell

ARROWS = {1: " ↑", -1: " ↓", 0: ""}


@dataclass(frozen=True)
class LinesTable:
    """A kind of table whose entries are lines.

    Attributes:
        pairs: which models an item compares.
        declared: whether they were declared beforehand, as contrasts are: then Holm bounds the chance of any false
            claim, and entries are differences, turned so that more is better; else Benjamini-Hochberg bounds the share
            of false claims, and headings say which way is better.
        labels: headings of the columns that name a row.
        describe: what stands in them, from the row's lines.
        entry: what a line says in the main block.
        sides: the rows of the block of costs that a line asks for, as (label, model, matched).
        how_to_read: an entry, in a sentence; empty where it needs none.
        evidence: further notes, which come first.
    """

    pairs: Callable[[str, Mapping[str, Any], Scores], list[Pair]]
    declared: bool
    labels: tuple[str, ...]
    describe: Callable[[list[Line], float], tuple[str, ...]]
    entry: Callable[[Line, float], Entry]
    sides: Callable[[Line], list[tuple[str, str, str]]]
    how_to_read: Callable[[Mapping[str, Any]], str]
    evidence: Callable[[list[Line], float], list[str]] = lambda found, alpha: []

    def render(self, name: str, item: Mapping[str, Any], scores: Scores) -> Table:
        """A table of the config, in its three forms.

        Args:
            name: its key in the config.
            item: see the kind's module.
            scores: scores, and what is known about the models.

        Raises:
            UserError: see `lines`; or the item has no rows.
        """
        adjust = significance.holm if self.declared else significance.benjamini_hochberg
        found = lines(name, item, scores, self.pairs(name, item, scores), adjust)
        if not found:
            raise UserError(f"{name}: has no rows; declare some, or remove the item")
        split = (item.get("by") or "pooled") != "pooled"
        blocks = [_main_block(found, split, self, scores.alpha), _cost_block(found, scores, self)]
        title = item["caption"].strip()
        caption = f"{title}{'' if title.endswith(('.', '?', '!')) else '.'} {facts(found, item, scores)}"
        how = self.how_to_read(item)
        reading = [f"{how} {self._claims(found, scores.alpha)}"] if how else []
        notes = self.evidence(found, scores.alpha) + reading + on_rows(found, scores, self.declared)
        notes += _legend(found, scores)
        return typeset.table(name, caption, blocks, notes, (record(line, scores) for line in found))

    def _claims(self, found: list[Line], alpha: float) -> str:
        """What p and bold mean, and for which family."""
        compared = [line for line in found if line.p_adjusted is not None]
        if not compared:
            return ""
        chance = (
            "the larger of p over prompts and p over seeds" if max(len(line.cell.seeds) for line in compared) > 1
            else "over prompts, for these trainings: with one seed nothing is known about others"
        )  # fmt: skip
        method, comparisons = (
            ("Holm", "declared comparisons") if self.declared else ("Benjamini-Hochberg", "comparisons")
        )
        return (
            f"p: {chance}; exact McNemar where prompts are independent, else sign flips of source prompts with all "
            f"their translations; {method} over the {len(compared)} {comparisons} of this table. Bold: below {alpha:g}."
        )


def _main_block(found: list[Line], by_language: bool, kind: LinesTable, alpha: float) -> Block:
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


def _heading(line: Line, by_language: bool, kind: LinesTable) -> Column:
    metric = MEASURES[line.metric].label + (ARROWS[MEASURES[line.metric].better] if not kind.declared else "")
    if by_language:
        return Column(" ".join(part for part in (line.group, metric) if part), language_name(line.language))
    return Column(line.group, metric)


def _published_entry(value: Value | None) -> Entry:
    if value is None:
        return Entry()
    return Entry(f"{value.value:.1f}", f"({value.difference:+.1f})" if value.difference is not None else "")


def _cost_block(found: list[Line], scores: Scores, kind: LinesTable) -> Block:
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
            cost = scores.training.get(model) or {}
            amounts = [cost.get(name) for name in COSTS]
            texts = [label] + [line.group] * grouped + [model]
            texts += ["unknown" if amount is None else f"{amount:,}" for amount in amounts] + [matched] * compared
            rows.append([Entry(text) for text in texts])
    return Block(columns, rows)


def _legend(found: list[Line], scores: Scores) -> list[str]:
    """What every mark means that the table really uses, and under which licences its data are."""
    notes = []
    if any(line.unmatched for line in found):
        notes.append(f"{DAGGER} Not matched with what it is compared with: neither the same rows nor as many examples.")
    if any(line.matched == "unknown" for line in found):
        notes.append("Unknown: what a loaded model learned from, since its row does not state it.")
    if any(line.cell.saturated for line in found):
        notes.append(f"{DOUBLE} Saturated: the rate itself is below 5% or above 95%, so differences can hardly show.")
    if weak := {line.metric: line.matters for line in found if line.weak}:
        limits = ", ".join(f"{points:g} points of {metric}" for metric, points in weak.items())
        notes.append(f"{SECTION} Too few prompts to claim a difference of {limits}, with a power of 80%.")
    if any(len(line.cell.seeds) > 1 for line in found):
        enough = any(line.cell.seeds_low is not None for line in found)
        notes.append("Seeds: range of single seeds" + ("; t: 95% t interval of their mean." if enough else "."))
    if any(line.cell.n_missing for line in found):
        notes.append("Missing: verdicts that the judge did not give; they are left out of the estimate.")
    reasons = [cell.why for line in found for cell in (line.cell, line.difference) if cell and cell.why]
    if reasons:
        notes.append(f"Undefined or without interval: {'; '.join(dict.fromkeys(reasons))}.")
    if scores.published and any(line.published for line in found):
        remarks = dict.fromkeys(" ".join(line.published.note.split()) for line in found if line.published)
        notes.append(f"Published: {scores.published.paper}. {' '.join(remarks)}")
    return notes + origin(scores)


def dagger(own: Iterable[Line]) -> str:
    """The mark of a row that is not matched with what it is compared with."""
    return DAGGER if any(line.unmatched for line in own) else ""


def matched_text(line: Line) -> str:
    """What a line's training has the same of as what it is compared with."""
    if line.difference is None:
        return "reference" if line.reference == line.model else ""
    return f"{line.matched or 'nothing'} {DAGGER}" if line.unmatched else str(line.matched)


def small(cell: Cell) -> str:
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
