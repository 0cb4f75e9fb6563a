"""A metric over a setting: a line per group, the reference as a dashed line over a band of its interval.

Of the item in the config::

    x: {merge at .1: 0.1}             # label -> position; default: the label read as a number
    xlabel: weight of the safety model
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.base.errors import UserError
from workflow_scripts.paper.figures import _parts
from workflow_scripts.paper.lines import tidy
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.typeset import DOUBLE


def draw(name: str, item: Mapping[str, Any], scores: Scores, _: _parts.Curves) -> tuple[Figure, str]:
    """A metric over a setting, a line per group; the reference is a dashed line over a band of its interval."""
    item, found = _parts.lines_of(name, item, scores, "pooled")
    reference = item.get("reference")
    groups, metrics = _parts.unique(found, "group", "metric")
    positions = {row: _position(name, item, row) for row in item["rows"] if row != reference}
    colours = _parts.choose_colours(groups, {"colors": item.get("colors")})
    legend: list[Patch | Line2D] = [
        Line2D([], [], color=colours[group], marker="o", label=group) for group in groups if group
    ]
    if reference is not None:
        legend.append(Line2D([], [], color=_parts.INK, linestyle=(0, (4, 2)), linewidth=1.6, label=reference))
    legend += _parts.legend_of_marks(found, scores)
    small_print = _parts.small_print(found, item, scores)
    figure, axes = _parts.canvas(1, len(metrics), 4.2 * len(metrics), 3.2, item["caption"], small_print, legend)
    left, right = min(positions.values()), max(positions.values())
    pad = (right - left) * 0.06 or 0.5
    for metric, ax in zip(metrics, axes[0], strict=True):
        _parts.name_panel(ax, metric)
        ax.set_xlabel(item.get("xlabel") or "")
        ax.set_xticks(sorted(set(positions.values())))
        ax.set_xlim(left - pad, right + pad)
        for group in groups:
            own = [line for line in found if (line.metric, line.group) == (metric, group)]
            for line in own:
                if line.row == reference:
                    _parts.draw_level(ax, left - pad, right + pad, line)
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
                    x, y, _parts.error_bars(line), color=colours[group], marker="o", markersize=5.5,
                    markerfacecolor=fill, elinewidth=1.2, capsize=3, zorder=3,
                )  # fmt: skip
                if line.cell.saturated:
                    ax.annotate(DOUBLE, (x, y), (6, 4), textcoords="offset points", color=_parts.INK)
            for line in points:
                if line.published:
                    ax.plot(positions[line.row], line.published.value, **_parts.diamond(colours[group]))
    return figure, tidy(found, scores)


def _position(name: str, item: Mapping[str, Any], row: str) -> float:
    given = item.get("x") or {}
    try:
        return float(given.get(row, row))
    except ValueError:
        raise UserError(f"{name}.x: no position for row {row!r}; add it, or make the label a number") from None
