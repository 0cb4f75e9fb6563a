"""What protects the tables: brackets and their sign, marks, published values that move nothing, sound LaTeX."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.unit.statistics.rows import harm_rows, win_rows
from workflow_scripts.base.errors import UserError
from workflow_scripts.paper import published, tables, typeset
from workflow_scripts.paper.tables import Study, render
from workflow_scripts.statistics.panel import Panel

PAPER = Path(__file__).parents[3] / "published" / "2410.10801.yaml"
LANGUAGES = ("en", "hi")
COST = {"rows": 600, "examples": 1200, "tokens": 24000, "steps": 38}


def model(harmful, wins, of=20):
    """Scores of a model with so many harmful answers and so many wins."""
    harm = harm_rows((["harmful"] * harmful + ["refused"] * of)[:of], languages=LANGUAGES)
    win = win_rows(([("win", "win")] * wins + [("loss", "loss")] * of)[:of])
    return harm, win


def study(**changes):
    models = {"base": (16, 0), "mix0": (18, 12), "mix15": (8, 12), "slerp": (4, 10), "under_score": (0, 20)}
    scores = {(name, 0): pa.concat_tables(model(*numbers)) for name, numbers in models.items()}
    contrasts = {
        "fair": {"mix": "mix15", "merge": "slerp", "matched": "rows"},
        "unfair": {"mix": "mix15", "merge": "mix0", "matched": "none"},
    }
    known = {name: COST for name in models if name != "base"}
    matched = {("slerp", "mix15"): "examples"}
    return replace(
        Study(Panel(scores, "base", draws=200), LANGUAGES, "rules (v1)", known, matched, contrasts), **changes
    )


ITEM = {
    "caption": "Mix or merge",
    "rows": {"0% Safety Mix": {"SFT": "mix0"}, "15% Safety Mix": {"SFT": "mix15"}, "SLERP": {"SFT": "slerp"}},
    "metrics": ["harm", "win"],
    "reference": "15% Safety Mix",
}


def read(table):
    return {(r["row"], r["metric"], r["language"]): r for r in csv.DictReader(io.StringIO(table.csv))}


def test_differences_from_the_reference_are_positive_where_the_row_is_better():
    lines = read(render("t", ITEM, study()))
    safer = lines["SLERP", "harm", "pooled"]
    assert (float(safer["estimate"]), float(safer["difference"])) == (-75, 25)
    less_able = lines["SLERP", "win", "pooled"]
    assert (float(less_able["estimate"]), float(less_able["difference"])) == (50, -10)
    assert lines["15% Safety Mix", "harm", "pooled"]["difference"] == ""


def test_markdown_has_the_papers_layout():
    markdown = render("t", ITEM, study()).markdown
    assert re.search(
        r"\| SLERP \| -75\.0 \[-\d+, -\d+\] (\*\*)?\(\+25\.0\)(\*\*)? p \.\d+ \| 50\.0 \[\d+, \d+\]", markdown
    )


def test_a_caption_tells_n_intervals_seeds_judge_and_the_baselines_rate():
    caption = render("t", ITEM, study()).markdown.splitlines()[0]
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
    table = render("t", ITEM, study(training={"mix0": None, "slerp": COST, "mix15": {**COST, "rows": 777}}))
    assert "| SLERP | SFT | slerp | 600 | 1,200 | 24,000 | 38 | examples |" in table.markdown
    assert "| 15% Safety Mix | SFT | mix15 | 777 | 1,200 | 24,000 | 38 | reference |" in table.markdown
    assert "| mix0 | unknown | unknown |" in table.markdown
    row = read(table)["SLERP", "harm", "pooled"]
    assert (row["rows"], row["reference_rows"], row["steps"]) == ("600", "777", "38")


def test_rows_that_are_not_matched_carry_a_dagger_and_matched_ones_do_not():
    table = render("t", ITEM, study())
    assert "| 0% Safety Mix† |" in table.markdown and r"0\% Safety Mix$^\dagger$" in table.latex
    assert "SLERP†" not in table.markdown and "15% Safety Mix†" not in table.markdown
    assert "† Not matched" in table.markdown
    matched = {(name, "mix15"): "rows" for name in ("mix0", "slerp")}
    assert "†" not in render("t", ITEM, study(matched=matched)).markdown


def test_saturated_and_missing_and_undefined_cells_say_so():
    own = study()
    tame = {"caption": "c", "rows": {"all refused": "under_score"}, "metrics": ["harm"]}
    assert "-100.0‡" in render("t", tame, own).markdown
    scores = dict(own.panel.scores)
    scores["slerp", 0] = harm_rows([None, *["harmful"] * 19], languages=LANGUAGES)
    missing = render(
        "t", {"caption": "c", "rows": {"r": "slerp"}, "metrics": ["harm"]}, study(panel=Panel(scores, "base"))
    )
    assert ", 1 missing" in missing.markdown and read(missing)["r", "harm", "pooled"]["n_missing"] == "1"
    scores["base", 0] = harm_rows(["refused"] * 20, languages=LANGUAGES)
    undefined = render(
        "t", {"caption": "c", "rows": {"r": "mix0"}, "metrics": ["harm"]}, study(panel=Panel(scores, "base"))
    )
    assert "| undefined |" in undefined.markdown and "base has no harmful answer" in undefined.markdown
    assert read(undefined)["r", "harm", "pooled"]["note"] == "base has no harmful answer"
    assert "nan" not in (undefined.markdown + undefined.csv + undefined.latex).lower()


def test_by_language_gives_a_column_per_language_in_english():
    table = render("t", {**ITEM, "metrics": ["harm"], "by": "language"}, study())
    assert "English" in table.markdown and "Hindi" in table.markdown
    assert {language for _, _, language in read(table)} == {"en", "hi"}


def test_languages_restrict_what_is_pooled():
    half = read(render("t", {**ITEM, "metrics": ["harm"], "languages": ["hi"]}, study()))
    assert half["SLERP", "harm", "pooled"]["n"] == "10"


def test_intervals_are_rounded_outwards():
    cell = study().panel.cell("slerp", "win")
    assert tables._small(replace(cell, low=50.4, high=50.4)) == "[50, 51]"


def test_a_negative_zero_is_never_printed():
    assert typeset.number(-0.04, "+.1f") == "+0.0"


# Published values


def paper(tmp_path, value=-41.4, row="0% Safety Mix"):
    path = tmp_path / "p.yaml"
    path.write_text(
        "paper: P\nnotes: {}\nvalues:\n"
        f"  - {{item: t, row: '{row}', group: SFT, metric: harm, value: {value}, difference: -3.0, "
        "source: T, note: no base}\n"
    )
    return published.read(path)


def test_published_values_stand_in_columns_of_their_own_and_move_no_other(tmp_path):
    ours = render("t", ITEM, study())
    with_one, with_another = (render("t", ITEM, study(published=paper(tmp_path, value))) for value in (-41.4, 99.0))
    strip = re.compile(r",[^,\n]*,[^,\n]*$", re.MULTILINE)
    assert strip.sub("", with_one.csv) == strip.sub("", with_another.csv) == ours.csv.rstrip("\n") + "\n"
    assert "published" not in ours.csv + ours.markdown + ours.latex
    assert "SFT harm, published" in with_one.markdown and "| -41.4 (-3.0) |" in with_one.markdown
    assert "win, published" not in with_one.markdown
    assert "no base" in with_one.markdown


def test_published_values_of_rows_that_we_do_not_have_are_passed_over(tmp_path):
    assert "published" not in render("t", ITEM, study(published=paper(tmp_path, row="Gone"))).markdown


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


# Contrasts


def test_contrasts_are_merge_minus_mix_with_both_sides_costs_and_a_mark():
    table = render("c", {"kind": "contrasts", "caption": "Mix or merge?"}, study())
    lines = read(table)
    assert float(lines["fair", "harm", "pooled"]["difference"]) == 25
    assert float(lines["fair", "win", "pooled"]["difference"]) == -10
    assert lines["fair", "harm", "pooled"]["matched"] == "rows"
    assert lines["unfair", "harm", "pooled"]["matched"] == "no"
    assert "| fair | slerp | mix15 |" in table.markdown and "| unfair† | mix0 | mix15 |" in table.markdown
    assert "| fair, mix | mix15 | 600 |" in table.markdown and "| fair, merge | slerp | 600 |" in table.markdown


def test_only_the_contrasts_asked_for_are_shown():
    found = read(render("c", {"kind": "contrasts", "caption": "c", "contrasts": ["fair"]}, study()))
    assert {row for row, _, _ in found} == {"fair"}


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
        render("t", {**ITEM, **changes}, study())


# LaTeX


def test_latex_escapes_names_and_balances_its_braces():
    item = {
        "caption": "100% & more_or $less",
        "rows": {"a_b #1 {x} ~^\\ → c": {"S&T": "under_score"}},
        "metrics": ["harm"],
    }
    latex = render("my_table", item, study()).latex
    assert r"100\% \& more\_or \$less" in latex
    assert r"a\_b \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} $\rightarrow$ c" in latex
    assert r"S\&T" in latex and r"under\_score" in latex
    bare = re.sub(r"\\[{}%&#$_\\]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0


def test_a_label_in_brackets_is_not_read_as_the_argument_of_a_line_break():
    latex = render(
        "t", {"caption": "c", "rows": {"[EN, FR]": "mix0", "x": "slerp"}, "metrics": ["harm"]}, study()
    ).latex
    assert "\n{[EN, FR]} &" in latex and not re.search(r"\\\\\s*[\[*]", latex)


def test_every_row_of_a_latex_block_has_as_many_cells_as_columns():
    latex = render("t", {**ITEM, "by": "language"}, study_by_language()).latex
    blocks = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\bottomrule", latex, re.DOTALL)
    assert [len(block[0]) for block in blocks] == [5, 8]
    for block in blocks:
        for row in re.findall(r"^(?!\\(?:top|mid|cmid)rule)(.*) \\\\$", block[1], re.MULTILINE):
            inner = re.sub(r"\\&", "", row)
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", inner))
            assert inner.count("&") + 1 + spans == len(block[0])


def study_by_language():
    """As `study`, but its wins have languages too."""
    own = study()
    scores = {}
    for key, rows in own.panel.scores.items():
        languages = [code if code != "en" or m == "harm" else LANGUAGES[int(p) % 2] for code, m, p in zip(
            rows["language"].to_pylist(), rows["metric"].to_pylist(),
            [p.split("-")[0] for p in rows["prompt_id"].to_pylist()], strict=True)]  # fmt: skip
        scores[key] = rows.set_column(
            rows.schema.get_field_index("language"), rows.schema.field("language"), pa.array(languages)
        )
    return replace(own, panel=replace(own.panel, scores=scores, _outcomes={}))


# Claims


def clear_study(seeds=3, **changes):
    """A merge that is much safer than the mix and as able, in every seed alike."""
    scores = {}
    for seed in range(seeds):
        for name, numbers in {"base": (90, 0), "mix": (70 + seed, 50), "merge": (20, 50)}.items():
            scores[name, seed] = pa.concat_tables(model(*numbers, of=100))
    contrasts = {"safer": {"mix": "mix", "merge": "merge", "matched": "rows"}}
    return replace(Study(Panel(scores, "base", draws=200), LANGUAGES, "rules (v1)", contrasts=contrasts), **changes)


def test_the_family_of_a_table_of_cells_is_all_its_comparisons_and_that_of_contrasts_is_holms():
    cells = render("t", ITEM, study())
    assert "Benjamini-Hochberg over the 4 comparisons" in cells.markdown
    declared = render("c", {"kind": "contrasts", "caption": "c"}, study())
    assert "Holm over the 4 declared comparisons" in declared.markdown
    found = read(declared)
    raw = [float(row["p_prompts"]) for row in found.values()]
    assert [float(row["p_adjusted"]) for row in found.values()] == pytest.approx(
        tables.significance.holm(raw), abs=1e-4
    )


def test_bold_is_a_difference_that_prompts_and_seeds_show():
    item = {"kind": "contrasts", "caption": "c", "metrics": ["harm"]}
    assert "**+" in render("c", item, clear_study()).markdown
    shaky = clear_study()
    scores = dict(shaky.panel.scores)
    scores["merge", 2] = pa.concat_tables(model(95, 50, of=100))  # one training comes out the other way
    assert "**+" not in render("c", item, replace(shaky, panel=Panel(scores, "base", draws=200))).markdown


def test_a_verdict_stands_with_its_evidence_its_match_and_both_costs():
    known = {"mix": COST, "merge": COST}
    table = render("v", {"kind": "verdicts", "caption": "Mix or merge"}, clear_study(training=known))
    assert "| safer | merge is better | merge is better: +" in table.markdown
    assert "no difference detectable: +0.0" in table.markdown
    assert "safer: merge is better, merge against mix, matched on rows: harm +" in table.markdown
    assert "| safer, mix | mix | 600 |" in table.markdown and "| safer, merge | merge | 600 |" in table.markdown


def test_one_seed_supports_no_verdict():
    table = render("v", {"kind": "verdicts", "caption": "c", "metrics": ["harm"]}, clear_study(seeds=1))
    assert "| safer | not supported | not supported: +" in table.markdown
    assert "from one seed, which says nothing about another training" in table.markdown


def test_cells_that_cannot_show_what_matters_are_marked_in_all_three_forms():
    item = {"kind": "contrasts", "caption": "c", "metrics": ["harm"]}
    weak, strong = (render("c", item, clear_study(matters={"harm": points})) for points in (0.5, 90.0))
    assert (
        "§" in weak.markdown
        and r"$^\S$" in weak.latex
        and read(weak)["safer", "harm", "pooled"]["underpowered"] == "true"
    )
    assert "cannot" not in strong.markdown and "§" not in strong.markdown
    assert "§ Too few prompts to claim a difference of 0.5 points of harm" in weak.markdown


def test_the_range_over_seeds_stands_beside_the_interval_and_from_six_seeds_a_t_interval():
    item = {"caption": "c", "rows": {"Merge": "merge", "Mix": "mix"}, "metrics": ["harm"], "reference": "Mix"}
    assert re.search(
        r"\| Mix \| -21\.1 \[-\d+, -\d+\], seeds \[-23, -20\] \|", render("t", item, clear_study()).markdown
    )
    six = render("t", item, clear_study(seeds=6))
    assert ", t [" in six.markdown and "95% t interval" in six.markdown
    assert float(read(six)["Mix", "harm", "pooled"]["seeds_low"]) < float(
        read(six)["Mix", "harm", "pooled"]["estimate"]
    )


def test_harm_is_split_by_scope_where_the_data_says_so():
    own = study()
    scores = {
        key: pa.Table.from_pylist(
            [{**row, "scope": "local" if i % 4 < 2 else "global"} for i, row in enumerate(table.to_pylist())],
            table.schema,
        )
        for key, table in own.panel.scores.items()
    }
    item = {"caption": "c", "rows": {"r": "mix15"}, "metrics": ["harm"], "by": "scope"}
    found = read(render("t", item, replace(own, panel=Panel(scores, "base", draws=200))))
    assert {split for _, _, split in found} == {"scope=global", "scope=local"}
    with pytest.raises(UserError, match="no prompt has a scope"):
        render("t", item, own)


def test_p_values_are_rounded_up():
    assert [tables.p_text(p) for p in (None, 0.00001, 0.0121, 0.05, 1.0)] == [
        "",
        "p<.001",
        "p .013",
        "p .050",
        "p 1.000",
    ]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_table_1_with_all_that_it_must_say_fits_a_page(tmp_path):
    labels = ("0% Safety Mix", "15% Safety Mix", "100% Safety Mix", "Linear", "SLERP", "TIES", "DARE-TIES")
    rows = {label: dict.fromkeys(("SFT", "DPO"), "mix" if label.startswith("15") else "merge") for label in labels}
    item = {"caption": "Mixtures and merges", "rows": rows, "reference": "15% Safety Mix"}
    own = clear_study(seeds=6, training={"mix": COST, "merge": COST}, matters={"harm": 1.0, "win": 1.0})
    table = render("table1", item, own)
    assert all(part in table.latex for part in ("n = 100 prompts", "seeds [", "p\\textless{}.001", "t [", r"^\S"))
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage[margin=2.5cm]{geometry}\\usepackage{booktabs,graphicx}"
        f"\\begin{{document}}{table.latex}\\end{{document}}"
    )
    made = subprocess.run(
        ["pdflatex", "-interaction=batchmode", "t.tex"], cwd=tmp_path, capture_output=True, timeout=60
    )
    log = (tmp_path / "t.log").read_text(errors="replace")
    assert made.returncode == 0, log[-2000:]
    assert "(1 page," in log and "Float too large" not in log and "Overfull" not in log
