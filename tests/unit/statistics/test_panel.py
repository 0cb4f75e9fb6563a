"""What protects the numbers: pairing, clusters, missing verdicts, seeds, and what cannot be said."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.unit.statistics.rows import harm_rows, panel, table, win_rows
from workflow_scripts.base.errors import UserError
from workflow_scripts.statistics.panel import Panel

HARM = ["harmful", "refused", "neither", None]
PREFERENCE = ["win", "tie", "loss", None]


verdicts = st.lists(st.tuples(*[st.sampled_from(HARM)] * 3), min_size=3, max_size=25)


def with_some_harm(triples):
    """Columns of verdicts for base and two models, where each has a verdict and the base has harm."""
    return [["harmful", *column] for column in zip(*triples, strict=True)]


# Properties


@settings(deadline=None, max_examples=40)
@given(verdicts)
def test_swapping_two_models_swaps_their_cells(triples):
    base, a, b = map(harm_rows, with_some_harm(triples))
    one, other = panel(base=base, x=a, y=b), panel(base=base, x=b, y=a)
    assert one.cell("x", "harm") == other.cell("y", "harm")
    assert one.cell("y", "harm") == other.cell("x", "harm")
    assert one.difference("x", "y", "harm") == other.difference("y", "x", "harm")


@settings(deadline=None, max_examples=40)
@given(verdicts)
def test_a_difference_turned_round_changes_its_sign_only(triples):
    base, a, b = map(harm_rows, with_some_harm(triples))
    cells = panel(base=base, x=a, y=b)
    there, back = cells.difference("x", "y", "harm"), cells.difference("y", "x", "harm")
    assert there.estimate == pytest.approx(-back.estimate)
    if there.low is not None:
        assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_order_of_rows_changes_nothing(data):
    pairs = data.draw(st.lists(st.tuples(*[st.sampled_from(PREFERENCE)] * 2), min_size=2, max_size=20))
    rows = win_rows([("win", "win"), *pairs])
    shuffled = rows.take(data.draw(st.permutations(range(len(rows)))))
    assert panel(m=rows).cell("m", "win") == panel(m=shuffled).cell("m", "win")


@settings(deadline=None, max_examples=40)
@given(verdicts)
def test_identical_models_differ_by_nothing_with_certainty(triples):
    base, a, _ = map(harm_rows, with_some_harm(triples))
    cell = panel(base=base, x=a, y=a).difference("x", "y", "harm")
    assert cell.estimate == 0
    assert cell.low in (0, None) and cell.high in (0, None)
    assert cell.low == 0 or cell.why


@settings(deadline=None, max_examples=40)
@given(verdicts)
def test_the_bracket_is_exactly_the_difference_of_the_cells(triples):
    base, a, b = map(harm_rows, with_some_harm(triples))
    cells = panel(base=base, x=a, y=b)
    expected = cells.cell("y", "harm").estimate - cells.cell("x", "harm").estimate
    assert cells.difference("x", "y", "harm").estimate == pytest.approx(expected)


# Seeds, languages, saturation


def test_seeds_are_averaged_and_their_range_is_kept():
    tables = {("base", s): harm_rows(["harmful"] * 10) for s in (0, 1)}
    tables |= {("m", s): harm_rows(["harmful"] * k + ["refused"] * (10 - k)) for s, k in ((0, 2), (1, 6))}
    cell = Panel(tables, "base").cell("m", "harm")
    assert (cell.estimate, cell.seed_min, cell.seed_max, cell.seeds) == (-60, -80, -40, (0, 1))
    assert cell.n == 10


def test_a_language_has_its_own_baseline():
    cells = panel(
        base=harm_rows(["harmful", "refused", "harmful", "harmful"] * 3, languages=("en", "ru")),
        m=harm_rows(["refused", "refused", "harmful", "harmful"] * 3, languages=("en", "ru")),
    )
    assert cells.cell("m", "harm", ["en"]).estimate == -50
    assert cells.cell("m", "harm", ["ru"]).estimate == 0
    assert cells.cell("m", "harm", ["en", "ru"]) == cells.cell("m", "harm")


@pytest.mark.parametrize(
    ("harmful", "saturated"), [(0, True), (1, True), (2, False), (38, False), (39, True), (40, True)]
)
def test_rates_close_to_their_bounds_are_saturated(harmful, saturated):
    m = harm_rows(["harmful"] * harmful + ["refused"] * (40 - harmful))
    assert panel(base=harm_rows(["harmful"] * 40), m=m).cell("m", "harm").saturated is saturated


def test_the_baseline_ties_with_itself_wherever_it_stands():
    tables = panel(base=harm_rows(["harmful"] * 4), m=win_rows([("win", "win")] * 3 + [("loss", "loss")]))
    assert (tables.cell("base", "win").estimate, tables.cell("base", "win").n) == (50, 4)
    assert tables.difference("m", "base", "win").estimate == 25


# What cannot be said is said in words


def test_a_baseline_without_harm_leaves_the_change_undefined_in_words():
    cell = panel(base=harm_rows(["refused"] * 5), m=harm_rows(["harmful"] * 5)).cell("m", "harm")
    assert (cell.estimate, cell.low, cell.why) == (None, None, "base has no harmful answer")


def test_a_baseline_with_hardly_any_harm_gets_an_estimate_without_interval():
    base = harm_rows(["harmful"] + ["refused"] * 30)
    cell = panel(base=base, m=base).cell("m", "harm")
    assert (cell.estimate, cell.low, cell.why) == (0, None, "too few harmful answers of base for an interval")


def test_a_model_without_any_verdict_has_no_estimate():
    cell = panel(base=harm_rows(["harmful"] * 3), m=harm_rows([None] * 3)).cell("m", "harm")
    assert (cell.estimate, cell.why, cell.n, cell.n_missing, cell.saturated) == (None, "m has no verdict", 0, 3, False)


def test_a_single_source_prompt_has_no_interval():
    cell = panel(m=win_rows([("win", "win")])).cell("m", "win")
    assert (cell.estimate, cell.low, cell.why) == (100, None, "no interval from a single source prompt")


def test_prompts_that_do_not_pair_up_are_named():
    tables = panel(base=harm_rows(["harmful"] * 5), m=harm_rows(["harmful"] * 4))
    with pytest.raises(UserError, match=r"m and base do not pair up in 1 prompts \(4-en\)"):
        tables.cell("m", "harm")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.cell("nobody", "harm"), "nobody: no scores"),
        (lambda p: p.cell("m", "win"), "m: no preference scores"),
        (lambda p: p.cell("m", "harm", ["fr"]), "no harm scores in fr"),
    ],
    ids=["model", "metric", "language"],
)
def test_no_scores_at_all_is_an_error_that_names_what_lacks(ask, message):
    with pytest.raises(UserError, match=message):
        ask(panel(base=harm_rows(["harmful"] * 5), m=harm_rows(["harmful"] * 5)))


def test_seeds_that_the_baseline_lacks_are_named():
    tables = {("base", 0): harm_rows(["harmful"]), ("m", 0): harm_rows(["harmful"]), ("m", 1): harm_rows(["harmful"])}
    with pytest.raises(UserError, match="base: no scores for seed 1"):
        Panel(tables, "base").cell("m", "harm")


# Tests of differences, and what is no verdict


def test_one_seed_of_independent_prompts_is_tested_by_mcnemar():
    a, b = harm_rows(["harmful"] * 9 + ["refused"] * 3), harm_rows(["refused"] * 8 + ["harmful"] * 4)
    difference = panel(base=a, x=a, y=b).difference("y", "x", "harmful")
    assert difference.p == pytest.approx(stats.binomtest(8, 8 + 3).pvalue)
    assert difference.p_seeds is None and difference.p_both == difference.p


def test_translations_and_seeds_of_a_prompt_are_flipped_together():
    a, b = (harm_rows([verdict] * 12, languages=("en", "ru")) for verdict in ("harmful", "refused"))
    tables = {(name, seed): rows for name, rows in (("base", a), ("x", a), ("y", b)) for seed in (0, 1)}
    difference = Panel(tables, "base", draws=200).difference("y", "x", "harmful")
    assert difference.p == 2 / 2**6
    assert difference.p_seeds == 0.0  # both seeds say exactly the same


def test_a_missing_verdict_leaves_its_pair_out_of_the_test():
    a = harm_rows(["harmful"] * 6 + [None] * 4)
    b = harm_rows(["refused"] * 6 + ["refused"] * 4)
    assert panel(base=a, x=a, y=b).difference("y", "x", "harmful").p == 2 / 2**6


def test_a_direct_comparison_is_held_against_a_half():
    against = pa.concat_tables(
        [win_rows([("loss", "loss")] * 8), win_rows([("win", "win")] * 6 + [("tie", "tie")] * 2, against="mix")]
    )
    cells = panel(merge=against)
    assert cells.cell("merge", "win").estimate == 0
    assert cells.cell("merge", "direct", reference="mix").estimate == 87.5
    difference = cells.difference("merge", "mix", "direct")
    assert (difference.estimate, difference.p) == (37.5, 2 / 2**6)


def test_the_smallest_detectable_difference_follows_from_the_interval():
    a, b = harm_rows(["harmful", "refused"] * 20), harm_rows(["refused", "harmful", "refused", "refused"] * 10)
    difference = panel(base=a, x=a, y=b).difference("y", "x", "harmful")
    half = (difference.high - difference.low) / 2
    assert difference.smallest == pytest.approx(half * (1.959964 + 0.841621) / 1.959964, rel=1e-4)


def test_length_control_that_fails_says_so_and_leaves_no_nan():
    rows = [
        {**row, "tokens": i, "against_tokens": 5} for i, row in enumerate(win_rows([("win", "win")] * 9).to_pylist())
    ]
    cell = panel(m=table(rows)).cell("m", "win_lc")
    assert cell.estimate is None and cell.why.startswith("length control failed: wins and losses are separated")


def test_length_control_leaves_a_rate_of_equal_lengths_alone():
    pairs = [("win", "win")] * 12 + [("loss", "loss")] * 6 + [("tie", "tie")] * 2
    rows = [{**row, "tokens": 9, "against_tokens": 9} for row in win_rows(pairs).to_pylist()]
    cell = panel(m=table(rows)).cell("m", "win_lc")
    assert cell.estimate == pytest.approx(65) and cell.low < 65 < cell.high
