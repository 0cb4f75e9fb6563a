"""What protects the figures: the same bits every time, what is drawn where, and marks that do not lie."""

import io
from dataclasses import replace

import matplotlib.colors
import matplotlib.style
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread

from tests.unit.paper.scores import ITEM, LANGUAGES, paper, scores, scores_by_language
from tests.unit.statistics.rows import harm_rows
from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.paper import drawing
from workflow_scripts.paper.drawing import draw
from workflow_scripts.paper.figures import FIGURES, _parts
from workflow_scripts.statistics.panel import Panel

BARS = {**ITEM, "kind": "bars"}
FLAT = {"15% Safety Mix": "mix15", "0.1": "mix0", "0.5": "slerp"}
SWEEP = {**ITEM, "kind": "sweep", "rows": FLAT, "xlabel": "weight"}
CURVES = {"kind": "curves", "caption": "Loss", "rows": {"mix": "mix15", "merge": {"DPO": "slerp"}}, "metrics": ["loss"]}


def logged(model, seed, values, metric="loss"):
    rows = [{"step": 10 * i, "metric": metric, "value": value} for i, value in enumerate(values, 1)]
    return {(model, seed): pa.Table.from_pylist(rows, schema=records.CURVE)}


def panels(item, of=None, curves=None):
    """The axes of a drawn figure, to look at its artists."""
    with matplotlib.style.context(drawing.STYLE):
        figure, _ = FIGURES[item["kind"]]("t", item, of or scores(), curves or {})
    return [ax for ax in figure.axes if ax.axison]


def tops(ax):
    """Where each bar ends, left to right."""
    return [round(p.get_y() + p.get_height(), 6) for p in sorted(ax.patches, key=lambda p: p.get_x())]


def words(figure_or_ax):
    return " ".join(text.get_text() for text in figure_or_ax.texts)


@pytest.mark.parametrize(
    "item",
    [BARS, {**BARS, "rows": FLAT}, {**ITEM, "kind": "languages"}, SWEEP, CURVES],
    ids=["bars", "named bars", "languages", "sweep", "curves"],
)
def test_every_kind_gives_the_same_bits_whatever_the_users_settings(item):
    curves = logged("mix15", 0, [3.0, 2.0]) | logged("slerp", 0, [2.0, 1.0])
    first = draw("t", item, scores_by_language(), curves)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.facecolor": "pink"}):
        again = draw("t", item, scores_by_language(), curves)
    assert first == again
    assert first.svg.startswith(b"<?xml") and b"<dc:date>" not in first.svg
    image = imread(io.BytesIO(first.png))
    assert min(image.shape[:2]) > 300 and np.ptp(image[..., :3]) > 0.5  # something is drawn
    assert first.csv.count("\n") > 2


def test_bars_start_where_the_base_stands_and_end_at_the_estimate():
    harm, win = panels(BARS)
    assert tops(harm) == [12.5, -50, -75]
    assert tops(win) == [60, 60, 50]
    assert {p.get_y() for p in win.patches} == {50}
    assert "lower is safer" in harm.get_title(loc="left") and "higher is better" in win.get_title(loc="left")


def test_an_axis_has_the_unit_of_its_measure():
    own = scores()
    behaviour = {
        key: pa.Table.from_pylist([{**row, "tokens": 40} for row in table.to_pylist()], table.schema)
        for key, table in own.panel.scores.items()
    }
    item = {**BARS, "metrics": ["length", "harmful"], "reference": None}
    length, harmful = panels(item, replace(own, panel=Panel(behaviour, "base", draws=200)))
    assert (length.get_ylabel(), harmful.get_ylabel()) == ("tokens", "% of answers")


def test_error_bars_are_the_cells_intervals():
    (ax,) = panels({**BARS, "metrics": ["harm"], "rows": {"SLERP": "slerp"}, "reference": None})
    cell = scores().panel.cell("slerp", "harm")
    (_, _, (bar,)) = ax.containers[-1].lines
    assert sorted(bar.get_segments()[0][:, 1]) == pytest.approx([cell.low, cell.high])


def test_the_reference_is_a_dashed_line_over_each_language_and_no_bar():
    (ax,) = panels({**ITEM, "kind": "languages", "metrics": ["harm"]}, scores_by_language())
    levels = [line for line in ax.lines if line.is_dashed()]
    own = scores_by_language().panel
    assert [line.get_ydata()[0] for line in levels] == [
        own.cell("mix15", "harm", [code]).estimate for code in LANGUAGES
    ]
    assert len(ax.patches) == 2 * len(LANGUAGES)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["English", "Hindi"]


def test_a_sweep_goes_by_position_and_not_by_the_order_of_rows():
    item = {**SWEEP, "metrics": ["harm"], "rows": {"half": "slerp", "15% Safety Mix": "mix15", "0.1": "mix0"}}
    (ax,) = panels({**item, "x": {"half": 0.5}})
    line = next(line for line in ax.lines if len(line.get_xdata()) == 2 and list(line.get_xdata()) == [0.1, 0.5])
    assert list(line.get_ydata()) == pytest.approx([12.5, -75])
    assert ax.get_xlabel() == "weight"


def test_curves_show_each_seed_and_their_mean():
    curves = logged("mix15", 0, [3.0, 2.0]) | logged("mix15", 1, [1.0, 1.0]) | logged("slerp", 0, [5.0, 5.0])
    (ax,) = panels(CURVES, curves=curves)
    assert [2.0, 1.5] in [list(line.get_ydata()) for line in ax.lines]
    assert len([line for line in ax.lines if line.get_linewidth() < 1]) == 3


def test_saturated_bars_are_hatched_and_others_are_not():
    (ax,) = panels({**BARS, "metrics": ["harm"], "rows": {"a": "under_score", "b": "slerp"}, "reference": None})
    assert [bool(patch.get_hatch()) for patch in ax.patches] == [True, False]
    assert "‡" in words(ax)


def test_published_values_are_hollow_and_only_there_when_reproduced(tmp_path):
    def diamonds(of):
        return [line for ax in panels(BARS, of) for line in ax.lines if line.get_marker() == "D"]

    assert diamonds(scores()) == []
    (diamond,) = diamonds(scores(published=paper(tmp_path)))
    assert diamond.get_ydata()[0] == -41.4 and diamond.get_markerfacecolor() == "white"


def test_an_undefined_cell_is_said_so_and_draws_no_bar():
    own = scores()
    changed = {**own.panel.scores, ("base", 0): harm_rows(["refused"] * 20, languages=LANGUAGES)}
    item = {**BARS, "metrics": ["harm"], "rows": {"a": "slerp"}, "reference": None}
    (ax,) = panels(item, replace(own, panel=Panel(changed, "base")))
    assert "undefined" in words(ax) and not ax.patches
    figure, _ = FIGURES["bars"]("t", item, replace(own, panel=Panel(changed, "base")), {})
    assert "base has no harmful answer" in words(figure).replace("\n", " ")


def test_colours_come_from_the_item_else_the_reference_is_grey():
    (ax,) = panels({**BARS, "metrics": ["harm"], "colors": {"SLERP": "#ff0000"}})
    colours = [matplotlib.colors.to_hex(patch.get_facecolor()) for patch in ax.patches]
    assert colours == [_parts.PALETTE[0].lower(), _parts.REFERENCE, "#ff0000"]


def test_the_small_print_names_n_judge_and_rows_that_are_not_matched():
    figure, _ = FIGURES["bars"]("t", BARS, scores(), {})
    text = words(figure).replace("\n", " ")
    assert "20 prompts" in text and "rules (v1)" in text and "Error bars: 95%" in text
    assert "Not matched with the reference in rows or examples: 0% Safety Mix." in text


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**BARS, "kind": "pie"}, r"t\.kind: 'pie' is unknown; choose from bars"),
        ({**BARS, "rows": {}}, "t: has no rows"),
        ({**BARS, "colors": {"SLERP": "blau"}}, r"t\.colors\.SLERP: 'blau' is no colour"),
        ({**SWEEP, "rows": {"half": "slerp"}, "reference": None}, r"t\.x: no position for row 'half'"),
        (CURVES, "t: no 'loss' was logged for mix15"),
    ],
    ids=["kind", "rows", "colour", "position", "curve"],
)
def test_mistakes_in_an_item_are_named(item, message):
    with pytest.raises(UserError, match=message):
        draw("t", item, scores())
