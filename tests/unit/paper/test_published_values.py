"""Published values stand beside ours, move none of them, and come from a whole file."""

import re
from pathlib import Path

import pytest

from tests.unit.paper.scores import ITEM, paper, scores
from workflow_scripts.base.errors import UserError
from workflow_scripts.paper import published
from workflow_scripts.paper.table import render

PAPER = Path(__file__).parents[3] / "published" / "2410.10801.yaml"


def test_published_values_stand_in_columns_of_their_own_and_move_no_other(tmp_path):
    ours = render("t", ITEM, scores())
    with_one, with_another = (render("t", ITEM, scores(published=paper(tmp_path, value))) for value in (-41.4, 99.0))
    strip = re.compile(r",[^,\n]*,[^,\n]*$", re.MULTILINE)
    assert strip.sub("", with_one.csv) == strip.sub("", with_another.csv) == ours.csv.rstrip("\n") + "\n"
    assert "published" not in ours.csv + ours.markdown + ours.latex
    assert "SFT harm, published" in with_one.markdown and "| -41.4 (-3.0) |" in with_one.markdown
    assert "win, published" not in with_one.markdown
    assert "no base" in with_one.markdown


def test_published_values_of_rows_that_we_do_not_have_are_passed_over(tmp_path):
    assert "published" not in render("t", ITEM, scores(published=paper(tmp_path, row="Gone"))).markdown


def test_the_papers_file_is_whole_and_every_value_has_its_caveat():
    values = published.read(PAPER)
    table1 = values.of("table1")
    assert len(table1) == 28
    assert table1["SLERP", "SFT", "pooled", "harm"].difference == 1.2
    assert table1["15% Safety Mix", "DPO", "pooled", "harm"].value == -54.69
    assert all("not public" in v.note and "retired" in v.note for v in (*values.values, *values.facts))
    brackets = [v for v in table1.values() if v.difference is not None]
    sign = {"harm": -1, "win": 1}
    odd = {
        (v.row, v.group, v.metric)
        for v in brackets
        if abs(sign[v.metric] * (v.value - table1["15% Safety Mix", v.group, "pooled", v.metric].value) - v.difference)
        > 0.06
    }
    assert odd == {("SLERP", "SFT", "harm")}  # the paper's own slip, and no typing error of ours


def test_a_malformed_file_of_published_values_is_named(tmp_path):
    (tmp_path / "p.yaml").write_text("paper: P\nnotes: {}\nvalues:\n  - {item: t}\n")
    with pytest.raises(UserError, match=r"p\.yaml: values\.0\.row"):
        published.read(tmp_path / "p.yaml")
    with pytest.raises(UserError, match="no such file"):
        published.read(tmp_path / "absent.yaml")
