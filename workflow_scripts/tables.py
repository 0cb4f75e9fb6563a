"""Tables from judged scores: tidy lines first, then CSV for programs, Markdown and LaTeX in a paper's layout.

An item of `tables` in the config::

    table1:
      kind: cells                       # default; or contrasts
      caption: Objective-based merging against mixing.
      rows:                             # label -> model, or label -> {column group: model}
        0% Safety Mix: {SFT: sft-mix0, DPO: dpo-mix0}
        SLERP: {SFT: sft-slerp, DPO: dpo-slerp}
      metrics: [harm, win]              # keys of statistics.METRICS; default harm, win
      by: pooled                        # default; or language: a column for each
      languages: [en, fr, es]           # default: all of the experiment
      reference: 15% Safety Mix         # label of the row that the others are compared with; default: none

    contrasts:
      kind: contrasts                   # merge minus mix, for each declared contrast
      caption: Mix or merge?
      contrasts: [mono]                 # default: all that are declared
      metrics, by, languages            # as above

`lines` is the one place where an item meets the numbers; figures draw the same lines.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflow_scripts.errors import UserError
from workflow_scripts.statistics import METRICS, Cell, Panel

if TYPE_CHECKING:
    from workflow_scripts.published import Published, Value

DAGGER, DOUBLE = "†", "‡"  # not matched with the reference; saturated
COSTS = ("rows", "examples", "tokens", "steps")
ARROWS = {1: " ↑", -1: " ↓", 0: ""}
LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "pt": "Portuguese", "ru": "Russian", "sr": "Serbian", "sw": "Swahili",
    "tl": "Filipino", "tr": "Turkish", "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese", "pooled": "pooled",
}  # fmt: skip


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
    """

    panel: Panel
    languages: Sequence[str]
    judge: str
    training: Mapping[str, Mapping[str, int | None] | None] = field(default_factory=dict)
    matched: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    contrasts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    published: "Published | None" = None


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

    @property
    def unmatched(self) -> bool:
        """Whether the model is compared with another one whose training had the same of nothing."""
        return self.difference is not None and self.matched is None


@dataclass(frozen=True)
class Table:
    """A table in its three forms, each a whole file."""

    csv: str
    markdown: str
    latex: str


def language_name(code: str) -> str:
    """The English name of a language; the code itself if it is not known here."""
    return LANGUAGES.get(code, code)


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
    by_language = item.get("by") == "language"
    splits = [(code, [code]) for code in chosen or study.languages] if by_language else [("pooled", chosen)]
    metrics = item.get("metrics") or ["harm", "win"]
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise UserError(f"{name}.metrics: {unknown[0]!r} is unknown; choose from {', '.join(METRICS)}")
    printed = study.published.of(name) if study.published else {}
    return [
        Line(
            row, group, split, metric, model, reference or "", matched,
            study.panel.cell(model, metric, languages),
            study.panel.difference(model, reference, metric, languages) if reference not in (None, model) else None,
            printed.get((row, group, split, metric)),
        )
        for row, group, model, reference, matched in pairs
        for split, languages in splits
        for metric in metrics
    ]  # fmt: skip


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


# Layout: columns and entries, which Markdown and LaTeX spell each in its way


@dataclass(frozen=True)
class Column:
    """A heading in two levels; the upper one may span its neighbours."""

    top: str
    name: str
    numeric: bool = True


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table: a number or text, its difference, and small print (interval, missing)."""

    main: str = ""
    difference: str = ""
    strong: bool = False
    small: str = ""


@dataclass(frozen=True)
class Block:
    """A rectangle of entries under columns."""

    columns: list[Column]
    rows: list[list[Entry]]


def _number(value: float | None, spec: str = ".1f") -> str:
    """A number to one decimal, without a negative zero."""
    return "undefined" if value is None else format(round(value, 1) + 0.0, spec)


def _small(cell: Cell) -> str:
    """Interval, rounded outwards so that it always holds the estimate and never looks narrower than it is."""
    limits = "" if cell.low is None or cell.high is None else f"[{math.floor(cell.low)}, {math.ceil(cell.high)}]"
    missing = f"{cell.n_missing} missing" if cell.n_missing else ""
    return ", ".join(part for part in (limits, missing) if part)


def _excludes_zero(cell: Cell | None) -> bool:
    return cell is not None and cell.low is not None and cell.high is not None and not cell.low <= 0 <= cell.high


def _cell_entry(line: Line) -> Entry:
    difference = line.difference
    shown = difference is not None and difference.estimate is not None
    return Entry(
        _number(line.cell.estimate) + (DOUBLE if line.cell.saturated else ""),
        f"({_number(difference.estimate, '+.1f')})" if difference is not None and shown else "",
        _excludes_zero(difference),
        _small(line.cell),
    )


def _contrast_entry(line: Line) -> Entry:
    assert line.difference is not None
    mark = DOUBLE if line.cell.saturated else ""
    number = _number(line.difference.estimate, "+.1f") if line.difference.estimate is not None else "undefined"
    return Entry(number + mark, "", _excludes_zero(line.difference), _small(line.difference))


def _published_entry(value: "Value | None") -> Entry:
    if value is None:
        return Entry()
    return Entry(f"{value.value:.1f}", f"({value.difference:+.1f})" if value.difference is not None else "")


def _heading(line: Line, by_language: bool, kind: "Kind") -> Column:
    metric = METRICS[line.metric].label + (ARROWS[METRICS[line.metric].better] if kind.arrows else "")
    if by_language:
        return Column(" ".join(part for part in (line.group, metric) if part), language_name(line.language))
    return Column(line.group, metric)


def _main_block(found: list[Line], by_language: bool, kind: "Kind") -> Block:
    """One row per label, one column per group, language and metric, each followed by its published values if any."""
    keys: dict[tuple[str, str, str], Column] = {}
    # By language, all languages of one metric stand together under its name.
    order = sorted(found, key=lambda line: list(METRICS).index(line.metric)) if by_language else found
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
        row = [Entry(text) for text in kind.describe(own)]
        for key in keys:
            line_or_none = at.get((label, *key))
            row.append(kind.entry(line_or_none) if line_or_none else Entry())
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
        arrows: whether headings say which way is better; differences are always turned so that more is.
    """

    pairs: Callable[[str, Mapping[str, Any], Study], list[Pair]]
    labels: tuple[str, ...]
    describe: Callable[[list[Line]], tuple[str, ...]]
    entry: Callable[[Line], Entry]
    sides: Callable[[Line], list[tuple[str, str, str]]]
    notes: Callable[[Mapping[str, Any]], list[str]]
    arrows: bool = True


def _dagger(own: Iterable[Line]) -> str:
    return DAGGER if any(line.unmatched for line in own) else ""


BOLD = "Bold: the difference's interval excludes 0 (not corrected for the number of comparisons)."
KINDS: Mapping[str, Kind] = {
    "cells": Kind(
        _cell_pairs,
        ("",),
        lambda own: (own[0].row + _dagger(own),),
        _cell_entry,
        lambda line: [(line.row + _dagger([line]), line.model, _matched_text(line))],
        lambda item: [
            f"In parentheses: difference from the {item['reference']} row, positive is better. {BOLD}"
        ] if item.get("reference") else [],
    ),
    "contrasts": Kind(
        _contrast_pairs,
        ("contrast", "merge", "mix"),
        lambda own: (own[0].row + _dagger(own), own[0].model, own[0].reference),
        _contrast_entry,
        lambda line: [
            (f"{line.row}, mix", line.reference, "reference"),
            (f"{line.row}, merge" + _dagger([line]), line.model, _matched_text(line)),
        ],
        lambda item: [f"Each number is merge minus mix in the metric named, turned so that positive is better. {BOLD}"],
        arrows=False,
    ),
}  # fmt: skip


# Captions


def _span(values: Iterable[int]) -> str:
    values = sorted(set(values))
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def facts(found: list[Line], item: Mapping[str, Any], study: Study, limits: str = "In square brackets") -> str:
    """What a caption must say of its numbers: n, intervals and where they stand, seeds, judge, the baseline's rate."""
    panel, by_language = study.panel, item.get("by") == "language"
    counts = []
    for metric in dict.fromkeys(line.metric for line in found):
        cells = [line.cell for line in found if line.metric == metric]
        n, clusters = _span(cell.n for cell in cells), _span(cell.clusters for cell in cells)
        counts.append(f"{n} prompts ({clusters} source prompts) for {metric}")
    seeds = sorted({seed for line in found for seed in line.cell.seeds})
    method = {"bca": "BCa bootstrap", "percentile": "percentile bootstrap"}[panel.method]
    text = [
        f"n = {', '.join(counts)}{', in each language' if by_language else ''}.",
        f"{limits}: {panel.level:.0%} intervals, {method} over source prompts, paired across models, "
        f"{panel.draws:,} resamples.",
        f"{'Mean over seeds' if len(seeds) > 1 else 'Seed'} {', '.join(map(str, seeds))}. Judge: {study.judge}.",
    ]
    if any(METRICS[line.metric].relative for line in found):
        base = panel.cell(panel.baseline, "harmful", item.get("languages") or None)
        missing = f", {base.n_missing} verdicts missing" if base.n_missing else ""
        text.append(f"Of the baseline's ({panel.baseline}) answers {_number(base.estimate)}% are harmful{missing}.")
    return " ".join(text)


def _notes(found: list[Line], item: Mapping[str, Any], study: Study, kind: Kind) -> list[str]:
    """The legend of every mark that the table really uses."""
    notes = kind.notes(item)
    if any(line.unmatched for line in found):
        notes.append(f"{DAGGER} Not matched with what it is compared with: neither the same rows nor as many examples.")
    if any(line.cell.saturated for line in found):
        notes.append(f"{DOUBLE} Saturated: the rate itself is below 5% or above 95%, so differences can hardly show.")
    if any(cell.n_missing for line in found for cell in [line.cell]):
        notes.append("Missing: verdicts that the judge did not give; they are left out of the estimate.")
    reasons = [cell.why for line in found for cell in (line.cell, line.difference) if cell and cell.why]
    if reasons:
        notes.append(f"Undefined or without interval: {'; '.join(dict.fromkeys(reasons))}.")
    if study.published and any(line.published for line in found):
        remarks = dict.fromkeys(" ".join(line.published.note.split()) for line in found if line.published)
        notes.append(f"Published: {study.published.paper}. {' '.join(remarks)}")
    return notes


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
    blocks = [_main_block(found, item.get("by") == "language", kind), _cost_block(found, study, kind)]
    title = item["caption"].strip()
    caption = f"{title}{'' if title.endswith(('.', '?', '!')) else '.'} {facts(found, item, study)}"
    notes = _notes(found, item, study, kind)
    return Table(tidy(found, study), _markdown(caption, blocks, notes), _latex(name, caption, blocks, notes))


def tidy(found: list[Line], study: Study) -> str:
    """Lines as CSV, one number per line, at full width: everything that Markdown and LaTeX round or leave out."""
    out = io.StringIO()
    records = [_record(line, study) for line in found]
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(value) for key, value in record.items()} for record in records)
    return out.getvalue()


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
        "seeds": " ".join(map(str, cell.seeds)), "seed_min": cell.seed_min, "seed_max": cell.seed_max,
        "saturated": cell.saturated, "note": cell.why or (difference.why if difference else ""),
        **{cost: own.get(cost) for cost in COSTS},
        **{f"reference_{cost}": other.get(cost) for cost in COSTS},
        "matched": "" if difference is None else line.matched or "no",
    }  # fmt: skip
    if study.published:
        record["published"] = line.published and line.published.value
        record["published_difference"] = line.published and line.published.difference
    return record


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return round(value, 4) + 0.0 if isinstance(value, float) else "" if value is None else value


def _markdown(caption: str, blocks: list[Block], notes: list[str]) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\|*_`<])", r"\\\1", text)

    def entry(e: Entry) -> str:
        strong = "**" if e.strong else ""
        main, difference = escape(e.main), f"{strong}{e.difference}{strong}" if e.difference else ""
        if not difference:
            main = f"{strong}{main}{strong}"
        return " ".join(part for part in (main, e.small, difference) if part)

    parts = [escape(caption)]
    for block in blocks:
        head = [escape(" ".join(part for part in (c.top, c.name) if part)) for c in block.columns]
        grid = [head, ["---:" if c.numeric else ":---" for c in block.columns]]
        grid += [[entry(e) for e in row] for row in block.rows]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in grid))
    if notes:
        parts.append("\n".join(f"- {escape(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    DAGGER: r"$^\dagger$", DOUBLE: r"$^\ddagger$", "→": r"$\rightarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def _escape_latex(text: str) -> str:
    """Text for LaTeX: special characters spelled out, a minus before a number set as one."""
    escaped = "".join(LATEX.get(character, character) for character in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def _latex(name: str, caption: str, blocks: list[Block], notes: list[str]) -> str:
    """A float that needs booktabs and graphicx; blocks wider than the page are shrunk to it, others left alone."""

    def entry(e: Entry) -> str:
        main, difference = _escape_latex(e.main), _escape_latex(e.difference)
        if e.strong:
            main, difference = (main, rf"\textbf{{{difference}}}") if difference else (rf"\textbf{{{main}}}", "")
        first = " ".join(part for part in (main, difference) if part)
        if not e.small:
            # Braces: after a line's end LaTeX would read a bracket as its optional argument.
            return f"{{{first}}}" if first.startswith(("[", "*")) else first
        return rf"\begin{{tabular}}[c]{{@{{}}r@{{}}}}{first}\\{{\scriptsize {_escape_latex(e.small)}}}\end{{tabular}}"

    body = []
    for block in blocks:
        body += [
            r"\resizebox{\ifdim\width>\linewidth \linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{''.join('r' if c.numeric else 'l' for c in block.columns)}}}",
            r"\toprule",
            *_latex_head(block.columns),
            r"\midrule",
            *(" & ".join(entry(e) for e in row) + r" \\" for row in block.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\medskip",
        ]
    return "\n".join(
        [
            "% Needs \\usepackage{booktabs,graphicx}",
            r"\begin{table}[p]",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_escape_latex(caption)}}}",
            rf"\label{{tab:{re.sub('[^A-Za-z0-9:-]', '-', name)}}}",
            *body,
            *(rf"\parbox{{\linewidth}}{{\footnotesize {_escape_latex(note)}}}\par" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def _latex_head(columns: list[Column]) -> list[str]:
    """One line of headings, or two where some columns share an upper one."""
    names = " & ".join(_escape_latex(c.name) for c in columns) + r" \\"
    if not any(c.top for c in columns):
        return [names]
    tops, rules, start = [], [], 0
    while start < len(columns):
        end = start
        while end + 1 < len(columns) and columns[end + 1].top == columns[start].top:
            end += 1
        tops.append(rf"\multicolumn{{{end - start + 1}}}{{c}}{{{_escape_latex(columns[start].top)}}}")
        if columns[start].top:
            rules.append(rf"\cmidrule(lr){{{start + 1}-{end + 1}}}")
        start = end + 1
    return [" & ".join(tops) + r" \\", " ".join(rules), names]
