"""What is said of rows beside their numbers: merges by SLERP that were linear, and rows that are equal."""

import math
import re
from dataclasses import replace

import matplotlib.style
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.unit.paper.scores import ITEM, read, scores
from workflow_scripts.merge.methods import METHODS
from workflow_scripts.paper import drawing, remarks
from workflow_scripts.paper.figures import FIGURES
from workflow_scripts.paper.table import render
from workflow_scripts.statistics.panel import Panel

ROWS = {"Mix": {"SFT": "mix15", "DPO": "mix15"}, "SLERP": {"SFT": "slerp", "DPO": "under_score"}}
CELLS = {"caption": "c", "rows": ROWS}


def linear(**by_seed):
    """What the merges of some models reported, seed by seed."""
    return {model: [None if share is None else {"slerp_linear_share": share} for share in shares]
            for model, shares in by_seed.items()}  # fmt: skip


def equal_scores(**changes):
    """As `scores`, and a model `linear` that does what `slerp` does."""
    own = scores(**changes)
    return replace(own, panel=Panel({**own.panel.scores, ("linear", 0): own.panel.scores["slerp", 0]}, "base"))


def notes(item, of):
    return [line[2:] for line in render("t", item, of).markdown.splitlines() if line.startswith("- ")]


def note(item, of, beginning):
    return next((line for line in notes(item, of) if line.startswith(beginning)), "")


def slerp_note(facts, item=CELLS):
    return note(item, scores(facts=facts), "SLERP")


def test_a_merge_by_slerp_that_was_linear_is_called_a_linear_merge():
    said = slerp_note(linear(slerp=[1.0]))
    assert "cosine above 0.9995): here 100% of the parameters of SLERP (SFT), which is a linear merge" in said
    assert "13 degrees" not in said, "of parameters that there are none of"


def test_a_merge_that_was_linear_in_part_is_not_called_linear():
    said = slerp_note(linear(slerp=[0.25]))
    assert "here 25% of the parameters of SLERP (SFT). Up to 13 degrees" in said and "which is" not in said


def test_equal_shares_stand_in_one_sentence_and_others_apart():
    said = slerp_note(linear(slerp=[0.25], under_score=[0.25], mix15=[1.0]))
    assert "here 100% of the parameters of Mix (SFT, DPO), which is a linear merge" in said
    assert said.count("SLERP interpolates") == 1 and "; 25% of the parameters of SLERP (SFT, DPO). Up" in said


def test_several_seeds_give_their_range_and_are_linear_only_if_all_are():
    said = slerp_note(linear(slerp=[0.5, 1.0, 0.75]))
    assert "by seed 50% to 100% of the parameters of SLERP (SFT). Up" in said
    assert "here 100% of the parameters" in slerp_note(linear(slerp=[1.0, 1.0]))
    assert "by seed 0% to 5%" in slerp_note(linear(slerp=[0.0, 0.05]))


def test_nothing_is_said_of_merges_that_were_not_linear_nor_of_models_that_are_not_shown():
    assert slerp_note(linear(slerp=[0.0])) == slerp_note({}) == slerp_note(linear(mix0=[1.0])) == ""
    assert slerp_note({"slerp": [{"tensors": 3}]}) == ""


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_is_never_rounded_to_none_or_to_all(share):
    text = remarks._percent(share)
    assert text not in ("0%", "100%")
    (number,) = re.findall(r"[\d.]+", text)
    assert abs(float(number) - 100 * share) <= 0.1 + 1e-9


@given(st.floats(math.acos(0.9995), math.radians(13)), st.floats(0, 1))
def test_up_to_13_degrees_slerp_weights_parents_as_a_linear_merge_does_within_a_percent(angle, t):
    for weight in (t, 1 - t):
        assert math.sin(weight * angle) / math.sin(angle) == pytest.approx(weight, rel=0.01, abs=1e-300)
    assert math.degrees(math.acos(0.9995)) == pytest.approx(1.8, abs=0.05)


def test_a_merge_whose_manifest_is_missing_is_said_to_be_unknown():
    unknown = note(CELLS, scores(facts=linear(slerp=[None])), "Not known")
    assert unknown == "Not known, since manifests are missing: what the merges of SLERP (SFT) reported."
    assert note(CELLS, scores(facts=linear(slerp=[0.0])), "Not known") == ""


@pytest.mark.parametrize("kind", ["contrasts", "verdicts"])
def test_both_sides_of_a_contrast_are_named_by_their_models(kind):
    said = slerp_note(linear(slerp=[1.0], mix15=[1.0]), {"kind": kind, "caption": "c"})
    assert "100% of the parameters of slerp and mix15, which is a linear merge" in said


def test_different_models_with_equal_numbers_are_said_to_be_equal():
    item = {
        "caption": "c",
        "rows": {"Linear": {"SFT": "linear", "DPO": "mix0"}, "SLERP": {"SFT": "slerp", "DPO": "mix15"}},
    }
    assert note(item, equal_scores(), "Equal") == "Equal in all measured numbers: Linear (SFT) and SLERP (SFT)."
    assert note({**item, "reference": "SLERP"}, equal_scores(), "Equal"), "one of them may be what is compared with"


def test_rows_that_are_equal_in_some_numbers_alone_are_not_said_to_be_equal():
    item = {"caption": "c", "rows": {"A": "mix0", "B": "mix15"}}  # as many wins, another harm
    assert note(item, scores(), "Equal") == ""
    assert note({**item, "metrics": ["win"]}, scores(), "Equal") == "Equal in all measured numbers: A and B."


def test_one_model_in_two_rows_is_not_worth_a_note():
    item = {"caption": "c", "rows": {"A": "slerp", "B": "slerp"}}
    assert note(item, scores(), "Equal") == ""


def test_rows_without_any_number_are_not_equal():
    own = equal_scores()
    tame = Panel({**own.panel.scores, ("base", 0): own.panel.scores["under_score", 0]}, "base")
    item = {"caption": "c", "rows": {"A": "slerp", "B": "linear"}, "metrics": ["harm"]}
    assert note(item, replace(own, panel=tame), "Equal") == ""


def test_contrasts_with_equal_differences_are_said_to_be_equal():
    merges = {"by SLERP": ("mix15", "slerp"), "linear": ("mix15", "linear"), "other": ("mix0", "slerp")}
    pairs = merges | {"against one": ("slerp", "mix0"), "against another": ("linear", "mix0")}
    contrasts = {name: {"mix": mix, "merge": merge, "matched": "none"} for name, (mix, merge) in pairs.items()}
    item = {"kind": "contrasts", "caption": "c"}
    assert note(item, equal_scores(contrasts=contrasts), "Equal") == (
        "Equal in all measured numbers: by SLERP and linear; against one and against another."
    )


def test_special_characters_of_a_label_come_out_as_they_are_in_markdown_and_latex():
    label, group = "a_b *50%* & $x$ | <i> `c`", "S_1"
    item = {"caption": "c", "rows": {label: {group: "slerp"}, "Linear #1": {group: "linear"}}}
    table = render("t", item, equal_scores(facts=linear(slerp=[1.0])))
    tokens = [token for token in MarkdownIt().parse(table.markdown) if token.type == "inline"]
    shown = ["".join(part.content for part in token.children or []) for token in tokens]
    assert f"Equal in all measured numbers: {label} ({group}) and Linear #1 ({group})." in shown
    assert [line for line in shown if f"100% of the parameters of {label} ({group}), which is" in line]
    escaped = r"a\_b *50\%* \& \$x\$ | \textless{}i\textgreater{} `c` (S\_1)"
    assert rf"{{\footnotesize Equal in all measured numbers: {escaped} and Linear \#1 (S\_1).}}\par" in table.latex
    assert rf"here 100\% of the parameters of {escaped}, which is" in table.latex


def test_a_csv_has_the_share_of_each_merge_seed_by_seed_and_no_column_where_none_reports_it():
    found = read(render("t", ITEM, scores(facts=linear(slerp=[0.001093613, 1.0]))))
    assert found["SLERP", "harm", "pooled"]["slerp_linear_share"] == "0.00109361 1"
    assert found["15% Safety Mix", "win", "pooled"]["slerp_linear_share"] == ""
    assert "slerp_linear_share" not in render("t", ITEM, scores(facts={"slerp": [{"tensors": 3}, None]})).csv


@pytest.mark.parametrize("kind", ["bars", "languages", "sweep"])
def test_a_figure_says_it_in_its_small_print_and_in_its_csv(kind):
    item = {"kind": kind, "caption": "c", "rows": {"0.1": "linear", "0.5": "slerp"}, "metrics": ["harm"]}
    with matplotlib.style.context(drawing.STYLE):
        figure, data = FIGURES[kind]("t", item, equal_scores(facts=linear(slerp=[1.0])), {})
    words = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "100% of the parameters of 0.5, which is a linear merge" in words
    assert "Equal in all measured numbers: 0.1 and 0.5." in words and "slerp_linear_share" in data


def test_a_table_of_corrected_rates_says_it_too():
    own = equal_scores(facts=linear(slerp=[1.0]))
    both = replace(own, panels={"rules": own.panel, "other": replace(own.panel)})
    rows = {"A": {"SFT": "slerp"}, "B": {"SFT": "linear"}, "C": {"SFT": "mix0"}}
    item = {"kind": "corrected", "caption": "c", "rows": rows}
    assert "100% of the parameters of A (SFT), which is" in note(item, both, "SLERP")
    assert note(item, both, "Equal") == "Equal in all measured numbers: A (SFT) and B (SFT)."


def test_every_method_that_is_remarked_on_is_a_method_of_merging():
    assert set(remarks.REMARKS) <= set(METHODS)
