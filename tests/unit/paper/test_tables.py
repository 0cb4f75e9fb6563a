"""What protects the tables: brackets and their sign, marks, what is said of every number."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from tests.unit.paper.scores import COST, ITEM, LANGUAGES, clear_scores, read, scores
from tests.unit.statistics.rows import harm_rows
from workflow_scripts.base.errors import UserError
from workflow_scripts.paper import typeset
from workflow_scripts.paper.table import render
from workflow_scripts.paper.tables import _base
from workflow_scripts.statistics.panel import Panel


def test_differences_from_the_reference_are_positive_where_the_row_is_better():
    lines = read(render("t", ITEM, scores()))
    safer = lines["SLERP", "harm", "pooled"]
    assert (float(safer["estimate"]), float(safer["difference"])) == (-75, 25)
    less_able = lines["SLERP", "win", "pooled"]
    assert (float(less_able["estimate"]), float(less_able["difference"])) == (50, -10)
    assert lines["15% Safety Mix", "harm", "pooled"]["difference"] == ""


def test_markdown_has_the_papers_layout():
    markdown = render("t", ITEM, scores()).markdown
    assert re.search(
        r"\| SLERP \| -75\.0 \[-\d+, -\d+\] (\*\*)?\(\+25\.0\)(\*\*)? p \.\d+ \| 50\.0 \[\d+, \d+\]", markdown
    )


def test_a_caption_tells_n_intervals_seeds_judge_and_the_baselines_rate():
    caption = render("t", ITEM, scores()).markdown.splitlines()[0]
    for fact in (
        "20 prompts (10 source prompts) for harm",
        "95% intervals",
        "200 resamples",
        "Seed 0",
        "rules (v1)",
        "80.0% are harmful",
    ):
        assert fact in caption


def test_each_side_of_a_comparison_shows_what_it_was_trained_on():
    table = render("t", ITEM, scores(training={"mix0": None, "slerp": COST, "mix15": {**COST, "rows": 777}}))
    assert "| SLERP | SFT | slerp | 600 | 1,200 | 24,000 | 38 | examples |" in table.markdown
    assert "| 15% Safety Mix | SFT | mix15 | 777 | 1,200 | 24,000 | 38 | reference |" in table.markdown
    assert "| mix0 | unknown | unknown |" in table.markdown
    row = read(table)["SLERP", "harm", "pooled"]
    assert (row["rows"], row["reference_rows"], row["steps"]) == ("600", "777", "38")


def test_rows_that_are_not_matched_carry_a_dagger_and_matched_ones_do_not():
    table = render("t", ITEM, scores())
    assert "| 0% Safety Mix† |" in table.markdown and r"0\% Safety Mix$^\dagger$" in table.latex
    assert "SLERP†" not in table.markdown and "15% Safety Mix†" not in table.markdown
    assert "† Not matched" in table.markdown
    matched = {(name, "mix15"): "rows" for name in ("mix0", "slerp")}
    assert "†" not in render("t", ITEM, scores(matched=matched)).markdown


def test_saturated_and_missing_and_undefined_cells_say_so():
    own = scores()
    tame = {"caption": "c", "rows": {"all refused": "under_score"}, "metrics": ["harm"]}
    assert "-100.0‡" in render("t", tame, own).markdown
    judged = dict(own.panel.scores)
    judged["slerp", 0] = harm_rows([None, *["harmful"] * 19], languages=LANGUAGES)
    missing = render(
        "t", {"caption": "c", "rows": {"r": "slerp"}, "metrics": ["harm"]}, scores(panel=Panel(judged, "base"))
    )
    assert ", 1 missing" in missing.markdown and read(missing)["r", "harm", "pooled"]["n_missing"] == "1"
    judged["base", 0] = harm_rows(["refused"] * 20, languages=LANGUAGES)
    undefined = render(
        "t", {"caption": "c", "rows": {"r": "mix0"}, "metrics": ["harm"]}, scores(panel=Panel(judged, "base"))
    )
    assert "| undefined |" in undefined.markdown and "base has no harmful answer" in undefined.markdown
    assert read(undefined)["r", "harm", "pooled"]["note"] == "base has no harmful answer"
    assert "nan" not in (undefined.markdown + undefined.csv + undefined.latex).lower()


def test_by_language_gives_a_column_per_language_in_english():
    table = render("t", {**ITEM, "metrics": ["harm"], "by": "language"}, scores())
    assert "English" in table.markdown and "Hindi" in table.markdown
    assert {language for _, _, language in read(table)} == {"en", "hi"}


def test_languages_restrict_what_is_pooled():
    half = read(render("t", {**ITEM, "metrics": ["harm"], "languages": ["hi"]}, scores()))
    assert half["SLERP", "harm", "pooled"]["n"] == "10"


def test_intervals_are_rounded_outwards():
    cell = scores().panel.cell("slerp", "win")
    assert _base.small(replace(cell, low=50.4, high=50.4)) == "[50, 51]"


def test_a_negative_zero_is_never_printed():
    assert typeset.number(-0.04, "+.1f") == "+0.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "15%"}, r"t\.reference: '15%' is no row; choose from '0% Safety Mix'"),
        ({"metrics": ["harms"]}, r"t\.metrics: 'harms' is unknown; choose from .*, harm, "),
        ({"rows": {}, "reference": None}, "t: has no rows"),
        ({"rows": {"r": "nobody"}, "reference": None}, "nobody: no scores"),
        ({"kind": "contrasts", "contrasts": ["x"]}, r"t\.contrasts: 'x' is not declared \(fair, unfair\)"),
    ],
    ids=["reference", "metric", "no rows", "model", "contrast"],
)
def test_mistakes_in_an_item_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        render("t", {**ITEM, **changes}, scores())


def test_the_range_over_seeds_stands_beside_the_interval_and_from_six_seeds_a_t_interval():
    item = {"caption": "c", "rows": {"Merge": "merge", "Mix": "mix"}, "metrics": ["harm"], "reference": "Mix"}
    assert re.search(
        r"\| Mix \| -21\.1 \[-\d+, -\d+\], seeds \[-23, -20\] \|", render("t", item, clear_scores()).markdown
    )
    six = render("t", item, clear_scores(seeds=6))
    assert ", t [" in six.markdown and "95% t interval" in six.markdown
    assert float(read(six)["Mix", "harm", "pooled"]["seeds_low"]) < float(
        read(six)["Mix", "harm", "pooled"]["estimate"]
    )


def test_harm_is_split_by_scope_where_the_data_says_so():
    own = scores()
    judged = {
        key: pa.Table.from_pylist(
            [{**row, "scope": "local" if i % 4 < 2 else "global"} for i, row in enumerate(table.to_pylist())],
            table.schema,
        )
        for key, table in own.panel.scores.items()
    }
    item = {"caption": "c", "rows": {"r": "mix15"}, "metrics": ["harm"], "by": "scope"}
    found = read(render("t", item, replace(own, panel=Panel(judged, "base", draws=200))))
    assert {split for _, _, split in found} == {"scope=global", "scope=local"}
    with pytest.raises(UserError, match="no prompt has a scope"):
        render("t", item, own)


def test_p_values_are_rounded_up():
    assert [_base.p_text(p) for p in (None, 0.00001, 0.0121, 0.05, 1.0)] == [
        "",
        "p<.001",
        "p .013",
        "p .050",
        "p 1.000",
    ]
