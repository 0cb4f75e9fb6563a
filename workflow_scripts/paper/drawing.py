"""Figures from judged scores, as SVG and PNG of the same bits every time, and the numbers they draw as CSV.

An item of `figures` in the config::

    figure2:
      kind: bars                        # bars, languages, sweep or curves
      caption: The 15% mix against SLERP.
      rows:                             # label -> model, or label -> {group: model}
        15% Safety Mix: {SFT: sft-mix15, DPO: dpo-mix15}
        SLERP: {SFT: sft-slerp, DPO: dpo-slerp}
      metrics: [harm, win]              # a panel each: keys of MEASURES; for curves, names in records.CURVE
      languages: [en, fr, es]           # default: all of the experiment
      reference: 15% Safety Mix         # label of a row: grey in bars, a dashed line elsewhere; default: none
      colors: {SLERP: "#0072B2"}        # label -> colour (sweep: group -> colour); default: Okabe and Ito's palette
      x: {merge at .1: 0.1}             # sweep: label -> position; default: the label read as a number
      xlabel: weight of the safety model   # sweep

* `bars`: a panel per metric; a cluster of bars per group, or, without groups, a named bar per row.
* `languages`: a cluster of bars per language; a panel per metric and group; the reference as a dashed line for each.
* `sweep`: the metric over a setting; a line per group; the reference as a dashed line.
* `curves`: what a trainer logged over its steps, a line per row; thin lines are single seeds.

The palette is safe for colour-blind readers: Okabe & Ito 2008, "Color universal design".
"""

import csv
import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import tables
from workflow_scripts.paper.tables import Line, Study
from workflow_scripts.paper.typeset import DOUBLE, SECTION

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
REFERENCE = "#767676"
INK = "#222222"
DIRECTION = {1: "higher is better ↑", -1: "lower is safer ↓", 0: ""}
START = {"harm": 0.0, "win": 50.0}  # where the base itself stands: bars start there
STYLE: list[Any] = [
    "default",
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.6,
        "svg.hashsalt": "mixmerge",  # ids in the file, else drawn at random
        "savefig.dpi": 160,
    },
]


@dataclass(frozen=True)
class Drawing:
    """A figure in its three forms, each a whole file."""

    svg: bytes
    png: bytes
    csv: str


Curves = Mapping[tuple[str, int], pa.Table]


def draw(name: str, item: Mapping[str, Any], study: Study, curves: Curves | None = None) -> Drawing:
    """A figure of the config.

    Args:
        name: its key in the config; published values are joined on it.
        item: see the module's docstring.
        study: scores, and what is known about the models.
        curves: for kind `curves`, by (model, seed), what the trainer logged (records.CURVE).

    Raises:
        UserError: the kind, a colour, a position, a model or a metric is unknown or absent; see also `tables.lines`.
    """
    if item["kind"] not in KINDS:
        raise UserError(f"{name}.kind: {item['kind']!r} is unknown; choose from {', '.join(KINDS)}")
    if not item["rows"]:
        raise UserError(f"{name}: has no rows; declare some, or remove the item")
    for label, colour in (item.get("colors") or {}).items():
        if not is_color_like(colour):
            raise UserError(f"{name}.colors.{label}: {colour!r} is no colour; write a name or #rrggbb")
    with style.context(STYLE):
        figure, data = KINDS[item["kind"]](name, item, study, curves or {})
        return Drawing(_bytes(figure, "svg", {"Date": None}), _bytes(figure, "png", {"Software": None}), data)


def _bytes(figure: Figure, form: str, metadata: Mapping[str, None]) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=dict(metadata))
    return out.getvalue()


# What all kinds share


def _colours(labels: Sequence[str], item: Mapping[str, Any]) -> dict[str, str]:
    """A colour per label: the item's, else grey for the reference, else the palette's next."""
    given = item.get("colors") or {}
    rest = [label for label in labels if label not in given and label != item.get("reference")]
    palette = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(rest)}
    return {label: given.get(label) or palette.get(label) or REFERENCE for label in labels}


def _canvas(
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


def _panel(ax: Axes, metric: str, group: str = "") -> None:
    """Name the panel and its better side, and draw the line where the base stands."""
    rule = MEASURES[metric]
    what = rule.label.split(",")[0].capitalize()
    title = ", ".join(part for part in (group, what) if part)
    ax.set_title(f"{title}: {DIRECTION[rule.better]}" if rule.better else title)
    ax.set_ylabel({"harm": "change against the base, %", "win": "wins + half of ties, %"}.get(metric, "% of answers"))
    if metric in START:
        ax.axhline(START[metric], color=INK, linewidth=0.9, zorder=1.5)
        ax.annotate(
            "base", (1, START[metric]), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", size=8, color=INK, annotation_clip=False,
        )  # fmt: skip
    ax.use_sticky_edges = False  # or bars that end at the base would leave no room for their numbers
    ax.margins(y=0.12)
    ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.tick_params(axis="x", length=0)


def _error(line: Line) -> list[list[float]] | None:
    """Distances from the estimate to its limits, as matplotlib wants them; None without an interval."""
    cell = line.cell
    if cell.estimate is None or cell.low is None or cell.high is None:
        return None
    # An interval of a skewed statistic can leave its estimate outside by a hair; a length is not negative.
    return [[max(0.0, cell.estimate - cell.low)], [max(0.0, cell.high - cell.estimate)]]


def _bar(ax: Axes, x: float, width: float, line: Line, colour: str, numbered: bool) -> None:
    """A bar from where the base stands, with its interval, its number, and the published value as a hollow diamond."""
    start, estimate = START.get(line.metric, 0.0), line.cell.estimate
    if estimate is None:
        ax.text(x, start, " undefined ", rotation=90, ha="center", va="bottom", size=7, color=INK)
    else:
        hatch, edge = ("////", 0.4) if line.cell.saturated else (None, 0.0)
        ax.bar(
            x, estimate - start, width * 0.92, start, color=colour, edgecolor="white", linewidth=edge, hatch=hatch,
            zorder=2,
        )  # fmt: skip
        if (error := _error(line)) is not None:
            ax.errorbar(x, estimate, error, color=INK, elinewidth=1, capsize=2.5, capthick=1, zorder=3)
        if numbered:
            # On the far side of the base's line, beyond an interval that crosses it.
            up = estimate < start
            limit = line.cell.high if up else line.cell.low
            y = start if limit is None else max(start, limit) if up else min(start, limit)
            text = f"{estimate:+.1f}" if MEASURES[line.metric].relative else f"{estimate:.1f}"
            ax.annotate(
                text.replace("-", "\N{MINUS SIGN}") + DOUBLE * line.cell.saturated + SECTION * line.weak, (x, y),
                (0, 3 if up else -3), textcoords="offset points", ha="center", va="bottom" if up else "top",
                size=8, rotation=90 if width < 0.25 else 0, color=INK,
            )  # fmt: skip
    if line.published:
        ax.plot(x, line.published.value, **_hollow(colour))


def _hollow(colour: str) -> dict[str, Any]:
    return {
        "marker": "D", "markersize": 6, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 1.2,
        "linestyle": "none", "color": colour, "zorder": 4,
    }  # fmt: skip


def _marks(found: Sequence[Line], study: Study) -> list[Patch | Line2D]:
    """Legend of the marks that are really there."""
    handles: list[Patch | Line2D] = []
    if any(line.cell.saturated for line in found):
        handles.append(Patch(facecolor="#bbbbbb", edgecolor="white", hatch="////", label=f"saturated {DOUBLE}"))
    if study.published and any(line.published for line in found):
        handles.append(Line2D([], [], label=f"published, {study.published.paper}", **_hollow(INK)))
    return handles


def _foot(found: list[Line], item: Mapping[str, Any], study: Study) -> str:
    """The small print: what the numbers are, what was left out, and which rows are not matched with the reference."""
    text = [tables.facts(found, item, study, "Error bars")]
    if unmatched := list(dict.fromkeys(line.row for line in found if line.unmatched)):
        text.append(f"Not matched with the reference in rows or examples: {', '.join(unmatched)}.")
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
    if study.published:
        text += dict.fromkeys(" ".join(line.published.note.split()) for line in found if line.published)
    return " ".join(text)


def _found(name: str, item: Mapping[str, Any], study: Study, by: str) -> tuple[dict[str, Any], list[Line]]:
    """The item as a table would have it, and its lines."""
    as_table = {**item, "kind": "cells", "by": by, "rows": {str(k): v for k, v in item["rows"].items()}}
    return as_table, tables.lines(name, as_table, study)


def _unique(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


# The kinds


def bars(name: str, item: Mapping[str, Any], study: Study, _: Curves) -> tuple[Figure, str]:
    """A panel per metric, clusters of bars by group, or named bars where there are no groups."""
    item, found = _found(name, item, study, "pooled")
    rows, groups, metrics = (_unique([getattr(line, key) for line in found]) for key in ("row", "group", "metric"))
    colours = _colours(rows, item)
    named = groups == [""]
    legend: list[Patch | Line2D] = [] if named else [Patch(color=colours[row], label=row) for row in rows]
    legend += _marks(found, study)
    width = max(6.4, len(metrics) * (1.0 + (1.0 if named else 0.42) * (len(rows) + 0.5) * len(groups)))
    foot = _foot(found, item, study)
    figure, axes = _canvas(1, len(metrics), min(width, 13), 3.3, item["caption"], foot, legend)
    step = 1 if named else 0.8 / len(rows)
    for metric, ax in zip(metrics, axes[0], strict=True):
        _panel(ax, metric)
        for line in (line for line in found if line.metric == metric):
            i, j = rows.index(line.row), groups.index(line.group)
            x = i if named else j + (i - (len(rows) - 1) / 2) * step
            _bar(ax, x, 0.66 if named else step, line, colours[line.row], numbered=True)
        labels = [textwrap.fill(row, 12) for row in rows] if named else groups
        ax.set_xticks(range(len(labels)), labels)
        ax.set_xlim(-0.6, len(labels) - 0.4)
    return figure, tables.tidy(found, study)


def languages(name: str, item: Mapping[str, Any], study: Study, _: Curves) -> tuple[Figure, str]:
    """Clusters of bars by language; the reference is a dashed line over each cluster, its interval a band."""
    item, found = _found(name, item, study, "language")
    reference = item.get("reference")
    rows, groups, metrics, codes = (
        _unique([getattr(line, key) for line in found]) for key in ("row", "group", "metric", "language")
    )
    barred = [row for row in rows if row != reference]
    colours = _colours(rows, item)
    legend: list[Patch | Line2D] = [Patch(color=colours[row], label=row) for row in barred]
    if reference is not None:
        legend.append(Line2D([], [], color=INK, linestyle=(0, (4, 2)), linewidth=1.6, label=reference))
    legend += _marks(found, study)
    step = 0.78 / max(1, len(barred))
    panels = [(metric, group) for metric in metrics for group in groups]
    width = min(13.0, max(6.4, 1.2 + len(codes) * (0.4 + 0.24 * len(barred))))
    figure, axes = _canvas(len(panels), 1, width, 2.5, item["caption"], _foot(found, item, study), legend)
    for (metric, group), (ax,) in zip(panels, axes, strict=True):
        _panel(ax, metric, group)
        for line in (line for line in found if line.metric == metric and line.group == group):
            at = codes.index(line.language)
            if line.row == reference:
                _level(ax, at - 0.46, at + 0.46, line)
            else:
                x = at + (barred.index(line.row) - (len(barred) - 1) / 2) * step
                _bar(ax, x, step, line, colours[line.row], numbered=False)
        ax.set_xticks(range(len(codes)), [language_name(code) for code in codes])
        ax.set_xlim(-0.55, len(codes) - 0.45)
    return figure, tables.tidy(found, study)


def _level(ax: Axes, left: float, right: float, line: Line) -> None:
    """A dashed line at the reference's estimate over a band of its interval."""
    if line.cell.estimate is None:
        return
    if line.cell.low is not None and line.cell.high is not None:
        ax.fill_between(
            [left, right], line.cell.low, line.cell.high, color=REFERENCE, alpha=0.22, linewidth=0, zorder=1
        )
    ax.plot([left, right], [line.cell.estimate] * 2, color=INK, linestyle=(0, (4, 2)), linewidth=1.6, zorder=3.5)


def sweep(name: str, item: Mapping[str, Any], study: Study, _: Curves) -> tuple[Figure, str]:
    """A metric over a setting, a line per group; the reference is a dashed line over a band of its interval."""
    item, found = _found(name, item, study, "pooled")
    reference = item.get("reference")
    groups, metrics = (_unique([getattr(line, key) for line in found]) for key in ("group", "metric"))
    positions = {row: _position(name, item, row) for row in item["rows"] if row != reference}
    colours = _colours(groups, {"colors": item.get("colors")})
    legend: list[Patch | Line2D] = [
        Line2D([], [], color=colours[group], marker="o", label=group) for group in groups if group
    ]
    if reference is not None:
        legend.append(Line2D([], [], color=INK, linestyle=(0, (4, 2)), linewidth=1.6, label=reference))
    legend += _marks(found, study)
    figure, axes = _canvas(1, len(metrics), 4.2 * len(metrics), 3.2, item["caption"], _foot(found, item, study), legend)
    left, right = min(positions.values()), max(positions.values())
    pad = (right - left) * 0.06 or 0.5
    for metric, ax in zip(metrics, axes[0], strict=True):
        _panel(ax, metric)
        ax.set_xlabel(item.get("xlabel") or "")
        ax.set_xticks(sorted(set(positions.values())))
        ax.set_xlim(left - pad, right + pad)
        for group in groups:
            own = [line for line in found if (line.metric, line.group) == (metric, group)]
            for line in own:
                if line.row == reference:
                    _level(ax, left - pad, right + pad, line)
            points = sorted((line for line in own if line.row != reference), key=lambda line: positions[line.row])
            drawn = [line for line in points if line.cell.estimate is not None]
            ax.plot(
                [positions[line.row] for line in drawn], [line.cell.estimate or 0.0 for line in drawn],
                color=colours[group], linewidth=1.6, zorder=2,
            )  # fmt: skip
            for line in drawn:
                x, y = positions[line.row], line.cell.estimate or 0.0
                fill = "white" if line.cell.saturated else colours[group]
                ax.errorbar(
                    x, y, _error(line), color=colours[group], marker="o", markersize=5.5, markerfacecolor=fill,
                    elinewidth=1.2, capsize=3, zorder=3,
                )  # fmt: skip
                if line.cell.saturated:
                    ax.annotate(DOUBLE, (x, y), (6, 4), textcoords="offset points", color=INK)
            for line in points:
                if line.published:
                    ax.plot(positions[line.row], line.published.value, **_hollow(colours[group]))
    return figure, tables.tidy(found, study)


def _position(name: str, item: Mapping[str, Any], row: str) -> float:
    given = item.get("x") or {}
    try:
        return float(given.get(row, row))
    except ValueError:
        raise UserError(f"{name}.x: no position for row {row!r}; add it, or make the label a number") from None


def curves(name: str, item: Mapping[str, Any], study: Study, logged: Curves) -> tuple[Figure, str]:
    """What trainers logged over their steps: a panel per metric, a line per row; thin lines are single seeds."""
    models = {
        f"{row}, {group}" if group else str(row): model
        for row, named in item["rows"].items()
        for group, model in (named.items() if isinstance(named, Mapping) else [("", named)])
    }
    metrics = item["metrics"]
    colours = _colours(list(models), item)
    legend = [Line2D([], [], color=colours[label], label=label, linewidth=1.8) for label in models]
    seeds = sorted({seed for model, seed in logged if model in models.values()})
    several = f"Thick: mean over seeds {', '.join(map(str, seeds))}; thin: each seed." if len(seeds) > 1 else ""
    figure, axes = _canvas(1, len(metrics), max(5.5, 4.2 * len(metrics)), 3.2, item["caption"], several, legend)
    records: list[tuple[str, str, int, str, int, float]] = []
    for metric, ax in zip(metrics, axes[0], strict=True):
        ax.set_title(metric)
        ax.set_xlabel("optimizer step")
        for label, model in models.items():
            by_step: dict[int, list[float]] = {}
            for seed in (seed for name_of, seed in sorted(logged) if name_of == model):
                rows = logged[model, seed].to_pylist()
                points = sorted((row["step"], row["value"]) for row in rows if row["metric"] == metric)
                records += [(label, model, seed, metric, step, value) for step, value in points]
                for step, value in points:
                    by_step.setdefault(step, []).append(value)
                if len(seeds) > 1:
                    ax.plot(*zip(*points, strict=True), color=colours[label], linewidth=0.6, alpha=0.45)
            if not by_step:
                raise UserError(
                    f"{name}: no {metric!r} was logged for {model}; correct `metrics` or name a trained model"
                )
            steps = sorted(by_step)
            ax.plot(steps, [float(np.mean(by_step[step])) for step in steps], color=colours[label], linewidth=1.8)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([("row", "model", "seed", "metric", "step", "value"), *records])
    return figure, out.getvalue()


KINDS: Mapping[str, Callable[[str, Mapping[str, Any], Study, Curves], tuple[Figure, str]]] = {
    "bars": bars,
    "languages": languages,
    "sweep": sweep,
    "curves": curves,
}
