"""Tables as rectangles of entries, and their three forms: CSV for programs, Markdown, LaTeX in a paper's layout."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAGGER, DOUBLE, SECTION = "†", "‡", "§"  # not matched with the reference; saturated; too few prompts for a claim


@dataclass(frozen=True)
class Table:
    """A table in its three forms, each a whole file."""

    csv: str
    markdown: str
    latex: str


@dataclass(frozen=True)
class Column:
    """A heading in two levels; the upper one may span its neighbours."""

    top: str
    name: str
    numeric: bool = True


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table: a number or text, its difference with p, and its small print."""

    main: str = ""
    difference: str = ""
    strong: bool = False
    small: str = ""
    p: str = ""


@dataclass(frozen=True)
class Block:
    """A rectangle of entries under columns."""

    columns: list[Column]
    rows: list[list[Entry]]


def number(value: float | None, spec: str = ".1f") -> str:
    """A number to one decimal, without a negative zero."""
    return "undefined" if value is None else format(round(value, 1) + 0.0, spec)


def table(
    name: str, caption: str, blocks: list[Block], notes: list[str], records: Iterable[Mapping[str, object]]
) -> Table:
    """Blocks for readers and records for programs, as a table in its three forms."""
    return Table(tidy(records), markdown(caption, blocks, notes), latex(name, caption, blocks, notes))


def tidy(records: Iterable[Mapping[str, object]]) -> str:
    """Records as CSV, at full width; there is at least one, and all have the same keys."""
    found = list(records)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(value) for key, value in record.items()} for record in found)
    return out.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return round(value, 4) + 0.0 if isinstance(value, float) else "" if value is None else value


def markdown(caption: str, blocks: list[Block], notes: list[str]) -> str:
    """Caption, blocks and notes as Markdown."""

    def escape(text: str) -> str:
        return re.sub(r"([\\|*_`<])", r"\\\1", text)

    def entry(e: Entry) -> str:
        strong = "**" if e.strong else ""
        main, difference = escape(e.main), f"{strong}{e.difference}{strong}" if e.difference else ""
        if not difference:
            main = f"{strong}{main}{strong}"
        return " ".join(part for part in (main, e.small, difference, e.p) if part)

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
    DAGGER: r"$^\dagger$", DOUBLE: r"$^\ddagger$", SECTION: r"$^\S$",
    "→": r"$\rightarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def _escape_latex(text: str) -> str:
    """Text for LaTeX: special characters spelled out, a minus before a number set as one."""
    escaped = "".join(LATEX.get(character, character) for character in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def latex(name: str, caption: str, blocks: list[Block], notes: list[str]) -> str:
    """A float that needs booktabs and graphicx; blocks wider than the page are shrunk to it, others left alone."""

    def entry(e: Entry) -> str:
        main, difference = _escape_latex(e.main), _escape_latex(e.difference)
        if e.strong:
            main, difference = (main, rf"\textbf{{{difference}}}") if difference else (rf"\textbf{{{main}}}", "")
        p = rf"{{\scriptsize {_escape_latex(e.p)}}}" if e.p else ""
        first = " ".join(part for part in (main, difference, p) if part)
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
