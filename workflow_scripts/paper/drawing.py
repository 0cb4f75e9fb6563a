"""Figures from judged scores, as SVG and PNG of the same bits every time, and the numbers they draw as CSV."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib import style
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure

from workflow_scripts.base.errors import UserError
from workflow_scripts.paper.figures import FIGURES
from workflow_scripts.paper.figures._parts import INK, Curves
from workflow_scripts.paper.scores import Scores

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


def draw(name: str, item: Mapping[str, Any], scores: Scores, curves: Curves | None = None) -> Drawing:
    """A figure of the config.

    Args:
        name: its key in the config; published values are joined on it.
        item: see `figures`, and the module of its kind there.
        scores: scores, and what is known about the models.
        curves: for kind `curves`, by (model, seed), what the trainer logged (records.CURVE).

    Raises:
        UserError: the kind, a colour, a position, a model or a metric is unknown or absent; see also `lines.lines`.
    """
    if item["kind"] not in FIGURES:
        raise UserError(f"{name}.kind: {item['kind']!r} is unknown; choose from {', '.join(FIGURES)}")
    if not item["rows"]:
        raise UserError(f"{name}: has no rows; declare some, or remove the item")
    for label, colour in (item.get("colors") or {}).items():
        if not is_color_like(colour):
            raise UserError(f"{name}.colors.{label}: {colour!r} is no colour; write a name or #rrggbb")
    with style.context(STYLE):
        figure, data = FIGURES[item["kind"]](name, item, scores, curves or {})
        return Drawing(_bytes(figure, "svg", {"Date": None}), _bytes(figure, "png", {"Software": None}), data)


def _bytes(figure: Figure, form: str, metadata: Mapping[str, None]) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=dict(metadata))
    return out.getvalue()
