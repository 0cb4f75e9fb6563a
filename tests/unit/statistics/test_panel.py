"""What protects the numbers: pairing, clusters, missing verdicts, and the bootstrap against an independent one."""

from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.statistics.panel import Outcomes, Panel, bootstrap, combine, outcomes, resamples

HARM = ["harmful", "refused", "neither", None]
PREFERENCE = ["win", "tie", "loss", None]


def harm_rows(verdicts, languages=("en",), suite="redteam"):
    """One model's harm rows; verdict i belongs to source prompt i // len(languages)."""
    rows = []
    for i, verdict in enumerate(verdicts):
        source, language = divmod(i, len(languages))
        rows.append({"prompt_id": f"{source}-{languages[language]}", "source_prompt_id": f"{source}",
                     "language": languages[language], "suite": suite, "metric": "harm", "judge": "rules",
                     "verdict": verdict, "missing": None if verdict else "unparsed"})  # fmt: skip
    return table(rows)


def win_rows(pairs, against="base"):
    """One model's preference rows: for each prompt its verdicts in the orders AB and BA."""
    return table(
        {"prompt_id": f"{i}", "source_prompt_id": f"{i}", "language": "en", "suite": "general", "metric": "preference",
         "judge": "rules", "against": against, "order": order, "verdict": verdict}
        for i, pair in enumerate(pairs) for order, verdict in zip(("AB", "BA"), pair, strict=True)
    )  # fmt: skip


def table(rows):
    return pa.Table.from_pylist(list(rows), schema=records.SCORES)


def numbers(values, cluster_size=1):
    values = np.asarray(values, dtype=float)
    names = [("s", f"{i:04}") for i in range(len(values))]
    clusters = [("s", f"{i // cluster_size:04}") for i in range(len(values))]
    return Outcomes(tuple(names), tuple(clusters), ("en",) * len(values), values)


def panel(**tables):
    return Panel({(name.replace("_", "-"), 0): t for name, t in tables.items()}, baseline="base", draws=200)


verdicts = st.lists(st.tuples(*[st.sampled_from(HARM)] * 3), min_size=3, max_size=25)


def with_some_harm(triples):
    """Columns of verdicts for base and two models, where each has a verdict and the base has harm."""
    return [["harmful", *column] for column in zip(*triples, strict=True)]


# What a verdict counts for


def test_harm_is_the_relative_change_of_the_harmful_share():
    cells = panel(base=harm_rows(["harmful"] * 8 + ["refused"] * 2), m=harm_rows(["harmful"] * 2 + ["neither"] * 8))
    assert cells.cell("m", "harm").estimate == pytest.approx(-75.0)
    assert cells.cell("m", "harmful").estimate == pytest.approx(20.0)
    assert cells.cell("m", "neither").estimate == pytest.approx(80.0)
    assert cells.cell("base", "harm").estimate == 0


def test_win_rate_is_wins_and_half_of_the_ties():
    pairs = [("win", "win"), ("tie", "tie"), ("loss", "loss"), ("win", "win")]
    assert panel(m=win_rows(pairs)).cell("m", "win").estimate == pytest.approx(62.5)


@pytest.mark.parametrize(
    ("orders", "verdict"),
    [
        (["win", "win"], "win"),
        (["win", "loss"], "tie"),
        (["tie", "loss"], "tie"),
        (["win", None], None),
        (["loss"], "loss"),
    ],
)
def test_orders_that_disagree_are_a_tie_and_a_missing_order_is_missing(orders, verdict):
    assert combine(orders) == verdict


def test_a_comparison_with_another_model_than_the_baseline_is_passed_over():
    mixed = pa.concat_tables([win_rows([("win", "win")] * 3), win_rows([("loss", "loss")] * 3, against="other")])
    assert panel(m=mixed).cell("m", "win").estimate == 100


def test_a_missing_verdict_is_counted_and_not_a_zero():
    cell = panel(base=harm_rows(["harmful"] * 4), m=harm_rows(["harmful", "refused", None, None])).cell("m", "harm")
    assert (cell.estimate, cell.n, cell.n_missing) == (-50.0, 2, 2)


def test_prompts_of_two_suites_with_the_same_ids_stay_apart():
    both = pa.concat_tables([harm_rows(["harmful"] * 3, suite="a"), harm_rows(["refused"] * 3, suite="b")])
    cell = panel(base=both).cell("base", "harmful")
    assert (cell.estimate, cell.n, cell.clusters) == (50, 6, 6)


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


# The interval


@pytest.mark.parametrize(("ours", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_intervals_agree_with_scipy_on_a_paired_ratio(ours, theirs):
    random = np.random.default_rng(3)
    base = (random.random(80) < 0.6).astype(float)
    model = base * (random.random(80) < 0.5)
    _, limits = bootstrap([[numbers(model)], [numbers(base)]], MEASURES["harm"].cell, draws=20_000, method=ours)

    def relative(m, b, axis):
        return 100 * (m.mean(axis) - b.mean(axis)) / b.mean(axis)

    wide = 1 - 2 * stats.norm.sf(stats.t(79).ppf(0.975) * np.sqrt(80 / 79))  # expanded for 80 clusters
    settings = {"n_resamples": 20_000, "batch": 2000, "rng": 1, "method": theirs, "confidence_level": wide}
    other = stats.bootstrap((model, base), relative, paired=True, **settings)
    assert limits == pytest.approx(tuple(other.confidence_interval), abs=0.9)


def test_translations_of_one_prompt_count_as_one_unit():
    values = np.repeat(np.random.default_rng(0).random(60) < 0.4, 6)
    _, clustered = bootstrap([[numbers(values, cluster_size=6)]], MEASURES["harmful"].cell)
    _, single = bootstrap([[numbers(values[::6])]], MEASURES["harmful"].cell)
    assert clustered == pytest.approx(single)


def test_pairing_makes_a_difference_of_like_models_narrow():
    random = np.random.default_rng(1)
    one = (random.random(200) < 0.5).astype(float)
    other = one.copy()
    other[:6] = 1 - other[:6]
    unrelated = random.permutation(other)
    difference = MEASURES["win"].difference
    _, paired = bootstrap([[numbers(one)], [numbers(other)]], difference)
    _, unpaired = bootstrap([[numbers(one)], [numbers(unrelated)]], difference)
    assert paired[1] - paired[0] < 0.4 * (unpaired[1] - unpaired[0])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random, normal, hits, runs = np.random.default_rng(5), NormalDist(), 0, 300
    truth = 100 * (0.3 - 0.6) / 0.6
    for run in range(runs):
        shared = random.normal(size=(60, 1))  # what makes translations of one prompt alike
        model, base = (
            (np.sqrt(0.6) * shared + np.sqrt(0.4) * random.normal(size=(60, 3)) < normal.inv_cdf(rate)).ravel()
            for rate in (0.3, 0.6)
        )
        sides = [[numbers(model, 3)], [numbers(base, 3)]]
        _, (low, high) = bootstrap(sides, MEASURES["harm"].cell, draws=400, seed=run % 4)
        hits += low <= truth <= high
    assert 0.91 <= hits / runs <= 0.985


def test_resamples_depend_on_nothing_but_their_arguments_and_cannot_be_changed():
    weights = resamples(7, 50, 1)
    assert (weights.sum(1) == 7).all()
    resamples.cache_clear()
    assert (weights == resamples(7, 50, 1)).all()
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


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


def test_a_prompt_judged_twice_and_an_unknown_verdict_are_refused():
    rows = harm_rows(["harmful"])
    with pytest.raises(UserError, match="judged twice"):
        outcomes(pa.concat_tables([rows, rows]), MEASURES["harm"])
    with pytest.raises(UserError, match="verdict 'safe'"):
        outcomes(harm_rows(["safe"]), MEASURES["harm"])


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
    assert cells.direct("merge", "mix").estimate == 87.5
    difference = cells.difference("merge", "mix", "direct")
    assert (difference.estimate, difference.p) == (37.5, 2 / 2**6)


def test_the_smallest_detectable_difference_follows_from_the_interval():
    a, b = harm_rows(["harmful", "refused"] * 20), harm_rows(["refused", "harmful", "refused", "refused"] * 10)
    difference = panel(base=a, x=a, y=b).difference("y", "x", "harmful")
    half = (difference.high - difference.low) / 2
    assert difference.smallest == pytest.approx(half * (1.959964 + 0.841621) / 1.959964, rel=1e-4)


def behaviour(**columns):
    rows = harm_rows(["refused"] * 4).to_pylist()
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return table(rows)


def test_behaviour_is_read_from_the_rows_themselves():
    rows = behaviour(
        tokens=[10, 20, 30, 40],
        repeated=[0.0, 0.0, 0.5, 0.5],
        spoken=["en", "fr", None, "en"],
        missing=[None, "refused", "filtered", "unparsed"],
    )
    cells = panel(m=rows)
    found = {metric: cells.cell("m", metric).estimate for metric in ("length", "repeated", "confused", "declined")}
    assert found == {"length": 25, "repeated": 25, "confused": pytest.approx(100 / 3), "declined": 50}


def test_refusing_what_is_harmless_has_a_column_of_its_own():
    rows = harm_rows(["refused", "neither", "neither", None], suite="benign").to_pylist()
    cells = panel(
        m=pa.concat_tables([table([{**row, "metric": "benign"} for row in rows]), harm_rows(["harmful"] * 4)])
    )
    assert cells.cell("m", "overrefused").estimate == pytest.approx(100 / 3)
    assert cells.cell("m", "harmful").estimate == 100


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
