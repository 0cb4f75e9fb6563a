"""A cluster of bars per language; a panel per metric and group; the reference as a dashed line for each."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.base.languages import language_name
from workflow_scripts.paper.figures import _parts
from workflow_scripts.paper.lines import tidy
from workflow_scripts.paper.scores import Scores


def draw(name: str, item: Mapping[str, Any], scores: Scores, _: _parts.Curves) -> tuple[Figure, str]:
    """Clusters of bars by language; the reference is a dashed line over each cluster, its interval a band."""
    item, found = _parts.lines_of(name, item, scores, "language")
    reference = item.get("reference")
    rows, groups, metrics, codes = _parts.unique(found, "row", "group", "metric", "language")
    barred = [row for row in rows if row != reference]
    colours = _parts.choose_colours(rows, item)
    legend: list[Patch | Line2D] = [Patch(color=colours[row], label=row) for row in barred]
    if reference is not None:
        legend.append(Line2D([], [], color=_parts.INK, linestyle=(0, (4, 2)), linewidth=1.6, label=reference))
    legend += _parts.legend_of_marks(found, scores)
    step = 0.78 / max(1, len(barred))
    panels = [(metric, group) for metric in metrics for group in groups]
    width = min(13.0, max(6.4, 1.2 + len(codes) * (0.4 + 0.24 * len(barred))))
    small_print = _parts.small_print(found, item, scores)
    figure, axes = _parts.canvas(len(panels), 1, width, 2.5, item["caption"], small_print, legend)
    for (metric, group), (ax,) in zip(panels, axes, strict=True):
        _parts.name_panel(ax, metric, group)
        for line in (line for line in found if line.metric == metric and line.group == group):
            at = codes.index(line.language)
            if line.row == reference:
                _parts.draw_level(ax, at - 0.46, at + 0.46, line)
            else:
                x = at + (barred.index(line.row) - (len(barred) - 1) / 2) * step
                _parts.draw_bar(ax, x, step, line, colours[line.row], numbered=False)
        ax.set_xticks(range(len(codes)), [language_name(code) for code in codes])
        ax.set_xlim(-0.55, len(codes) - 0.45)
    return figure, tidy(found, scores)
