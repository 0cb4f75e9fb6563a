"""What protects the LaTeX: names escaped, braces balanced, every row as wide as its columns, a page that holds it."""

import re
import shutil
import subprocess

import pytest

from tests.unit.paper.scores import COST, ITEM, clear_scores, scores, scores_by_language
from workflow_scripts.paper.table import render


def test_latex_escapes_names_and_balances_its_braces():
    item = {
        "caption": "100% & more_or $less",
        "rows": {"a_b #1 {x} ~^\\ → c": {"S&T": "under_score"}},
        "metrics": ["harm"],
    }
    latex = render("my_table", item, scores()).latex
    assert r"100\% \& more\_or \$less" in latex
    assert r"a\_b \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} $\rightarrow$ c" in latex
    assert r"S\&T" in latex and r"under\_score" in latex
    bare = re.sub(r"\\[{}%&#$_\\]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0


def test_a_label_in_brackets_is_not_read_as_the_argument_of_a_line_break():
    latex = render(
        "t", {"caption": "c", "rows": {"[EN, FR]": "mix0", "x": "slerp"}, "metrics": ["harm"]}, scores()
    ).latex
    assert "\n{[EN, FR]} &" in latex and not re.search(r"\\\\\s*[\[*]", latex)


def test_every_row_of_a_latex_block_has_as_many_cells_as_columns():
    latex = render("t", {**ITEM, "by": "language"}, scores_by_language()).latex
    blocks = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\bottomrule", latex, re.DOTALL)
    assert [len(block[0]) for block in blocks] == [5, 8]
    for block in blocks:
        for row in re.findall(r"^(?!\\(?:top|mid|cmid)rule)(.*) \\\\$", block[1], re.MULTILINE):
            inner = re.sub(r"\\&", "", row)
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", inner))
            assert inner.count("&") + 1 + spans == len(block[0])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_table_1_with_all_that_it_must_say_fits_a_page(tmp_path):
    labels = ("0% Safety Mix", "15% Safety Mix", "100% Safety Mix", "Linear", "SLERP", "TIES", "DARE-TIES")
    rows = {label: dict.fromkeys(("SFT", "DPO"), "mix" if label.startswith("15") else "merge") for label in labels}
    item = {"caption": "Mixtures and merges", "rows": rows, "reference": "15% Safety Mix"}
    own = clear_scores(seeds=6, training={"mix": COST, "merge": COST}, matters={"harm": 1.0, "win": 1.0})
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
