"""What figures have in common: colours, panels, bars with their intervals, marks and the small print.

The palette is safe for colour-blind readers: Okabe & Ito 2008, "Color universal design".
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from workflow_scripts.base.languages import language_name
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper.captions import facts, on_rows
from workflow_scripts.paper.lines import Line, lines, row_pairs
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.typeset import DOUBLE, SECTION

Curves = Mapping[tuple[str, int], pa.Table]  # by (model, seed), what the trainer logged (records.CURVE)

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
REFERENCE = "#767676"
INK = "#222222"
DIRECTION = {1: "higher is better ↑", -1: "lower is safer ↓", 0: ""}


def lines_of(name: str, item: Mapping[str, Any], scores: Scores, by: str) -> tuple[dict[str, Any], list[Line]]:
    """The item as a table of cells would have it, and its lines."""
    as_table = {**item, "by": by, "rows": {str(k): v for k, v in item["rows"].items()}}
    return as_table, lines(name, as_table, scores, row_pairs(name, as_table, scores))


def unique(found: Sequence[Line], *names: str) -> Iterator[list[str]]:
    """The values of some attributes in the order of the lines, each once."""
    return (list(dict.fromkeys(getattr(line, name) for line in found)) for name in names)


def choose_colours(labels: Sequence[str], item: Mapping[str, Any]) -> dict[str, str]:
    """A colour per label: the item's, else grey for the reference, else the palette's next."""
    given = item.get("colors") or {}
    rest = [label for label in labels if label not in given and label != item.get("reference")]
    palette = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(rest)}
    return {label: given.get(label) or palette.get(label) or REFERENCE for label in labels}


def canvas(
    rows: int, columns: int, width: float, height: float, title: str, foot: str, legend: Sequence[Patch | Line2D]
) -> tuple[Figure, list[list[Axes]]]:
    """Panels of a height in inches, between a title with the legend under it and small print at the bottom."""
    title_lines = textwrap.wrap(title.strip().removesuffix("."), int(width * 12))
    foot_lines = textwrap.wrap(foot, int(width * 17.5))
    entries = [0.55 + 0.078 * len(str(handle.get_label())) for handle in legend]
    legend_rows = 1 if sum(entries) <= width else math.ceil(len(entries) * max(entries) / width)
    legend_height = 0.22 * legend_rows + 0.08 if legend else 0.0
    top = 0.12 + 0.19 * len(title_lines) + legend_height + 0.05
    bottom = 0.1 + 0.135 * len(foot_lines)
    total = top + rows * height + bottom
    figure = Figure(figsize=(width, total), layout="constrained")
    figure.get_layout_engine().set(rect=(0, bottom / total, 1, 1 - (top + bottom) / total), w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr,call-arg]
    figure.text(0.1 / width, 1 - 0.1 / total, "\n".join(title_lines), va="top", size=11, weight="bold", color=INK)
    figure.text(
        0.1 / width, 0.06 / total, "\n".join(foot_lines), va="bottom", size=7, color="#444444", linespacing=1.25
    )
    if legend:
        at = (0.05 / width, 1 - (0.12 + 0.19 * len(title_lines)) / total)
        figure.legend(
            handles=list(legend), loc="upper left", bbox_to_anchor=at, ncols=math.ceil(len(legend) / legend_rows),
            frameon=False, borderaxespad=0.2, handlelength=1.6, columnspacing=1.4,
        )  # fmt: skip
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def name_panel(ax: Axes, metric: str, group: str = "") -> None:
    """Name the panel and its better side, and draw the line where the base stands."""
    rule = MEASURES[metric]
    what = rule.label.split(",")[0].capitalize()
    title = ", ".join(part for part in (group, what) if part)
    ax.set_title(f"{title}: {DIRECTION[rule.better]}" if rule.better else title)
    ax.set_ylabel(rule.axis)
    if rule.base is not None:
        ax.axhline(rule.base, color=INK, linewidth=0.9, zorder=1.5)
        ax.annotate(
            "base", (1, rule.base), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", size=8, color=INK, annotation_clip=False,
        )  # fmt: skip
    ax.use_sticky_edges = False  # or bars that end at the base would leave no room for their numbers
    ax.margins(y=0.12)
    ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.tick_params(axis="x", length=0)


def error_bars(line: Line) -> list[list[float]] | None:
    """Distances from the estimate to its limits, as matplotlib wants them; None without an interval."""
    cell = line.cell
    if cell.estimate is None or cell.low is None or cell.high is None:
        return None
    # An interval of a skewed statistic can leave its estimate outside by a hair; a length is not negative.
    return [[max(0.0, cell.estimate - cell.low)], [max(0.0, cell.high - cell.estimate)]]


def draw_bar(ax: Axes, x: float, width: float, line: Line, colour: str, numbered: bool) -> None:
    """A bar from where the base stands, with its interval, its number, and the published value as a hollow diamond."""
    rule, estimate = MEASURES[line.metric], line.cell.estimate
    start = rule.base or 0.0
    if estimate is None:
        ax.text(x, start, " undefined ", rotation=90, ha="center", va="bottom", size=7, color=INK)
    else:
        hatch, edge = ("////", 0.4) if line.cell.saturated else (None, 0.0)
        ax.bar(
            x, estimate - start, width * 0.92, start, color=colour, edgecolor="white", linewidth=edge, hatch=hatch,
            zorder=2,
        )  # fmt: skip
        if (error := error_bars(line)) is not None:
            ax.errorbar(x, estimate, error, color=INK, elinewidth=1, capsize=2.5, capthick=1, zorder=3)
        if numbered:
            # On the far side of the base's line, beyond an interval that crosses it.
            up = estimate < start
            limit = line.cell.high if up else line.cell.low
            y = start if limit is None else max(start, limit) if up else min(start, limit)
            text = f"{estimate:+.1f}" if rule.relative else f"{estimate:.1f}"
            ax.annotate(
                text.replace("-", "\N{MINUS SIGN}") + DOUBLE * line.cell.saturated + SECTION * line.weak, (x, y),
                (0, 3 if up else -3), textcoords="offset points", ha="center", va="bottom" if up else "top",
                size=8, rotation=90 if width < 0.25 else 0, color=INK,
            )  # fmt: skip
    if line.published:
        ax.plot(x, line.published.value, **diamond(colour))


def diamond(colour: str) -> dict[str, Any]:
    """How a published value is drawn: hollow, so that it is not taken for one of ours."""
    return {
        "marker": "D", "markersize": 6, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 1.2,
        "linestyle": "none", "color": colour, "zorder": 4,
    }  # fmt: skip


def draw_level(ax: Axes, left: float, right: float, line: Line) -> None:
    """A dashed line at the reference's estimate over a band of its interval."""
    if line.cell.estimate is None:
        return
    if line.cell.low is not None and line.cell.high is not None:
        ax.fill_between(
            [left, right], line.cell.low, line.cell.high, color=REFERENCE, alpha=0.22, linewidth=0, zorder=1
        )
    ax.plot([left, right], [line.cell.estimate] * 2, color=INK, linestyle=(0, (4, 2)), linewidth=1.6, zorder=3.5)


def legend_of_marks(found: Sequence[Line], scores: Scores) -> list[Patch | Line2D]:
    """Legend of the marks that are really there."""
    handles: list[Patch | Line2D] = []
    if any(line.cell.saturated for line in found):
        handles.append(Patch(facecolor="#bbbbbb", edgecolor="white", hatch="////", label=f"saturated {DOUBLE}"))
    if scores.published and any(line.published for line in found):
        handles.append(Line2D([], [], label=f"published, {scores.published.paper}", **diamond(INK)))
    return handles


def small_print(found: list[Line], item: Mapping[str, Any], scores: Scores) -> str:
    """The small print: what the numbers are, what was left out, and which rows are not matched with the reference."""
    text = [facts(found, item, scores, "Error bars")]
    if unmatched := list(dict.fromkeys(line.row for line in found if line.unmatched)):
        text.append(f"Not matched with the reference in rows or examples: {', '.join(unmatched)}.")
    text += on_rows(found, scores)
    if any(line.cell.saturated for line in found):
        text.append(f"{DOUBLE} The rate itself is below 5% or above 95%.")
    if weak := list(dict.fromkeys(f"{line.row} ({language_name(line.language)})" for line in found if line.weak)):
        everywhere = len(weak) == len(dict.fromkeys((line.row, line.language) for line in found if line.difference))
        text.append(
            f"{SECTION} Too few prompts to claim a difference that matters: {'all' if everywhere else ', '.join(weak)}."
        )
    if missing := sum(line.cell.n_missing for line in found):
        text.append(f"{missing} verdicts missing, left out.")
    if reasons := list(dict.fromkeys(line.cell.why for line in found if line.cell.why)):
        text.append(f"Undefined or without interval: {'; '.join(reasons)}.")
    if scores.published:
        text += dict.fromkeys(" ".join(line.published.note.split()) for line in found if line.published)
    return " ".join(text)
