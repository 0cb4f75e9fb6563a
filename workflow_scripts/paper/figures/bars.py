"""A panel per metric; a cluster of bars per group, or, without groups, a named bar per row."""

import textwrap
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.paper.figures import _parts
from workflow_scripts.paper.lines import tidy
from workflow_scripts.paper.scores import Scores


def draw(name: str, item: Mapping[str, Any], scores: Scores, _: _parts.Curves) -> tuple[Figure, str]:
    """A panel per metric, clusters of bars by group, or named bars where there are no groups."""
    item, found = _parts.lines_of(name, item, scores, "pooled")
    rows, groups, metrics = _parts.unique(found, "row", "group", "metric")
    colours = _parts.choose_colours(rows, item)
    named = groups == [""]
    legend: list[Patch | Line2D] = [] if named else [Patch(color=colours[row], label=row) for row in rows]
    legend += _parts.legend_of_marks(found, scores)
    width = max(6.4, len(metrics) * (1.0 + (1.0 if named else 0.42) * (len(rows) + 0.5) * len(groups)))
    small_print = _parts.small_print(found, item, scores)
    figure, axes = _parts.canvas(1, len(metrics), min(width, 13), 3.3, item["caption"], small_print, legend)
    step = 1 if named else 0.8 / len(rows)
    for metric, ax in zip(metrics, axes[0], strict=True):
        _parts.name_panel(ax, metric)
        for line in (line for line in found if line.metric == metric):
            i, j = rows.index(line.row), groups.index(line.group)
            x = i if named else j + (i - (len(rows) - 1) / 2) * step
            _parts.draw_bar(ax, x, 0.66 if named else step, line, colours[line.row], numbered=True)
        labels = [textwrap.fill(row, 12) for row in rows] if named else groups
        ax.set_xticks(range(len(labels)), labels)
        ax.set_xlim(-0.6, len(labels) - 0.4)
    return figure, tidy(found, scores)
