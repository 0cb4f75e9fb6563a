"""What protects the tables of contrasts and verdicts: sides, costs, families, claims over prompts and seeds."""

from dataclasses import replace

import pyarrow as pa
import pytest

from tests.unit.paper.scores import COST, ITEM, clear_scores, model, read, scores
from workflow_scripts.paper.table import render
from workflow_scripts.statistics import significance
from workflow_scripts.statistics.panel import Panel


def test_contrasts_are_merge_minus_mix_with_both_sides_costs_and_a_mark():
    table = render("c", {"kind": "contrasts", "caption": "Mix or merge?"}, scores())
    lines = read(table)
    assert float(lines["fair", "harm", "pooled"]["difference"]) == 25
    assert float(lines["fair", "win", "pooled"]["difference"]) == -10
    assert lines["fair", "harm", "pooled"]["matched"] == "rows"
    assert lines["unfair", "harm", "pooled"]["matched"] == "no"
    assert "| fair | slerp | mix15 |" in table.markdown and "| unfair† | mix0 | mix15 |" in table.markdown
    assert "| fair, mix | mix15 | 600 |" in table.markdown and "| fair, merge | slerp | 600 |" in table.markdown


def test_only_the_contrasts_asked_for_are_shown():
    found = read(render("c", {"kind": "contrasts", "caption": "c", "contrasts": ["fair"]}, scores()))
    assert {row for row, _, _ in found} == {"fair"}


def test_the_family_of_a_table_of_cells_is_all_its_comparisons_and_that_of_contrasts_is_holms():
    cells = render("t", ITEM, scores())
    assert "Benjamini-Hochberg over the 4 comparisons" in cells.markdown
    declared = render("c", {"kind": "contrasts", "caption": "c"}, scores())
    assert "Holm over the 4 declared comparisons" in declared.markdown
    found = read(declared)
    raw = [float(row["p_prompts"]) for row in found.values()]
    assert [float(row["p_adjusted"]) for row in found.values()] == pytest.approx(significance.holm(raw), abs=1e-4)


def test_bold_is_a_difference_that_prompts_and_seeds_show():
    item = {"kind": "contrasts", "caption": "c", "metrics": ["harm"]}
    assert "**+" in render("c", item, clear_scores()).markdown
    shaky = clear_scores()
    judged = dict(shaky.panel.scores)
    judged["merge", 2] = pa.concat_tables(model(95, 50, of=100))  # one training comes out the other way
    assert "**+" not in render("c", item, replace(shaky, panel=Panel(judged, "base", draws=200))).markdown


def test_a_verdict_stands_with_its_evidence_its_match_and_both_costs():
    known = {"mix": COST, "merge": COST}
    table = render("v", {"kind": "verdicts", "caption": "Mix or merge"}, clear_scores(training=known))
    assert "| safer | merge is better | merge is better: +" in table.markdown
    assert "no difference detectable: +0.0" in table.markdown
    assert "safer: merge is better, merge against mix, matched on rows: harm +" in table.markdown
    assert "| safer, mix | mix | 600 |" in table.markdown and "| safer, merge | merge | 600 |" in table.markdown


def test_one_seed_supports_no_verdict():
    table = render("v", {"kind": "verdicts", "caption": "c", "metrics": ["harm"]}, clear_scores(seeds=1))
    assert "| safer | not supported | not supported: +" in table.markdown
    assert "from one seed, which says nothing about another training" in table.markdown


def test_cells_that_cannot_show_what_matters_are_marked_in_all_three_forms():
    item = {"kind": "contrasts", "caption": "c", "metrics": ["harm"]}
    weak, strong = (render("c", item, clear_scores(matters={"harm": points})) for points in (0.5, 90.0))
    assert (
        "§" in weak.markdown
        and r"$^\S$" in weak.latex
        and read(weak)["safer", "harm", "pooled"]["underpowered"] == "true"
    )
    assert "cannot" not in strong.markdown and "§" not in strong.markdown
    assert "§ Too few prompts to claim a difference of 0.5 points of harm" in weak.markdown
