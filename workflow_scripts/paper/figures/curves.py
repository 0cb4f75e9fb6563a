"""What a trainer logged over its steps, a line per row; thin lines are single seeds."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.base.errors import UserError
from workflow_scripts.paper.figures import _parts
from workflow_scripts.paper.lines import cells
from workflow_scripts.paper.scores import Scores


def draw(name: str, item: Mapping[str, Any], scores: Scores, logged: _parts.Curves) -> tuple[Figure, str]:
    """What trainers logged over their steps: a panel per metric, a line per row; thin lines are single seeds."""
    models = {f"{row}, {group}" if group else row: model for row, group, model in cells(item)}
    metrics = item["metrics"]
    colours = _parts.choose_colours(list(models), item)
    legend = [Line2D([], [], color=colours[label], label=label, linewidth=1.8) for label in models]
    seeds = sorted({seed for model, seed in logged if model in models.values()})
    several = f"Thick: mean over seeds {', '.join(map(str, seeds))}; thin: each seed." if len(seeds) > 1 else ""
    figure, axes = _parts.canvas(1, len(metrics), max(5.5, 4.2 * len(metrics)), 3.2, item["caption"], several, legend)
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
