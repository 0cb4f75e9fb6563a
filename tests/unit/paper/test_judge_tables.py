"""What protects the report on judges: declared faults recovered, agreement, corrections, and what cannot be said."""

import csv
import io
import json

import pyarrow as pa
import pytest

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.judge.scores import described
from workflow_scripts.judge.scores import judge as judge_answers
from workflow_scripts.llm.prompts import template
from workflow_scripts.llm.request import Answer
from workflow_scripts.miniature import rule_judge, world
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.table import render
from workflow_scripts.paper.tables.judges import measure
from workflow_scripts.statistics.panel import Panel

FAULTS = {"seed": 3, "unreadable": 0.03, "first_position": 0.15,
          "sensitivity": {"en": 0.92, "hi": 0.7}, "specificity": {"en": 0.96, "hi": 0.85}}  # fmt: skip
LANGUAGES = ["en", "hi"]


class Client:
    """The rules without litellm in between."""

    def __init__(self, rows, faults=None):
        self.judge = rule_judge.RuleJudge({row["prompt"]: row["reference"] for row in rows}, faults)

    def answers(self, requests):
        return [Answer("", "ok", self.judge.answer(r.messages[1]["content"]), "rules-1") for r in requests]


def answered(rows, suite, completion):
    return pa.Table.from_pylist(
        [{**{k: row[k] for k in ("source_prompt_id", "language", "prompt")}, "prompt_id": row["id"], "suite": suite,
          "completion": completion(i, row), "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2}
         for i, row in enumerate(rows)], records.GENERATIONS
    )  # fmt: skip


def judged(judge, faults, metric, suite, rows, table, baseline=None):
    kind = "preference" if metric == "preference" else "harm"
    judgments = judge_answers(
        metric, judge, {"model": "m"}, template(f"{kind}-v1"), table, baseline, "base", Client(rows, faults)
    )
    return described(judgments, table, pa.Table.from_pylist(rows, records.ROWS), None)


@pytest.fixture(scope="module")
def scores():
    """A base, and a model that seldom complies, judged by the rules and by a judge with declared faults."""
    red = world.rows("redteam", LANGUAGES, {"test": 100}, 1, "r").to_pylist()
    general = [r for r in world.rows("general", LANGUAGES, {"test": 120}, 2, "g").to_pylist()]
    labelled = world.rows("labelled", LANGUAGES, {"validation": 160}, 3, "l").to_pylist()
    bad = [json.loads(r["reference"])["answer"] for r in red]
    answers = {
        "base": answered(red, "redteam", lambda i, r: bad[i] if i % 10 < 7 else r["completion"]),
        "tame": answered(red, "redteam", lambda i, r: bad[i] if i % 10 < 1 else r["completion"]),
    }
    wins = answered(general, "general", lambda i, r: r["completion"] if i % 3 else "hm " + r["completion"])
    base_wins = answered(general, "general", lambda i, r: "nothing" if i % 3 == 1 else r["completion"])
    panels, labels = {}, {}
    own = answered(labelled, "labelled", lambda i, r: r["completion"])
    for judge, faults in (("rules", None), ("faulty", FAULTS)):
        judgments = {(m, 0): judged(judge, faults, "harm", "redteam", red, t) for m, t in answers.items()}
        judgments["tame", 0] = pa.concat_tables(
            [judgments["tame", 0], judged(judge, faults, "preference", "general", general, wins, base_wins)]
        )
        panels[judge] = Panel(judgments, "base", draws=500)
        labels[judge] = judged(judge, faults, "labels", "labelled", labelled, own)
    return Scores(panels["rules"], LANGUAGES, "rules (1)", panels=panels, labels=labels, faults={"faulty": FAULTS})


def lines(table):
    return list(csv.DictReader(io.StringIO(table.csv)))


def test_every_declared_fault_is_recovered_within_its_interval(scores):
    table = render("judges", {"kind": "judges", "caption": "c"}, scores)
    declared = [line for line in lines(table) if line["declared"]]
    assert {line["measure"] for line in declared} == {"unreadable", "bias", "sensitivity", "specificity"}
    assert [line for line in declared if line["recovered"] != "true"] == []
    assert f"{len(declared)} of {len(declared)} lie within their 95% interval" in table.markdown
    assert "| faulty | Hindi |" in table.markdown and "sensitivity" in table.latex


def test_a_judge_without_faults_is_measured_as_such(scores):
    found = measure(scores, "rules", LANGUAGES)
    assert (found["bias"].value, found["first"].value, found["consistent"].value) == (
        pytest.approx(0, abs=1e-6),
        0.5,
        1,
    )
    assert (found["sensitivity"].value, found["specificity"].value, found["unreadable"].value) == (1, 1, 0)


def test_judges_agree_less_where_one_errs_more(scores):
    kappas = {code: measure(scores, "faulty", [code])["kappa"] for code in LANGUAGES}
    assert kappas["en"].value > kappas["hi"].value + 0.1
    assert 0 < kappas["hi"].low < kappas["hi"].value < kappas["hi"].high < 1


def test_the_corrected_rate_covers_the_truth_where_the_uncorrected_does_not(scores):
    item = {"kind": "corrected", "caption": "c", "rows": {"Base": "base", "Tame": "tame"}}
    table = render("corrected", item, scores)
    found = {(line["row"], line["language"]): line for line in lines(table)}
    assert all(line["corrected_covers"] == "true" for line in found.values())
    assert found["Tame", "hi"]["apparent_covers"] == "false" and "*" in table.markdown
    assert float(found["Tame", "pooled"]["corrected"]) == pytest.approx(0.1, abs=0.06)


def test_tables_of_judges_do_not_depend_on_the_order_of_models_rows_and_languages(scores):
    panels = {
        judge: Panel({key: t[::-1] for key, t in reversed(panel.scores.items())}, "base", draws=500)
        for judge, panel in scores.panels.items()
    }
    turned = Scores(**{**vars(scores), "panel": panels["rules"], "panels": panels, "languages": LANGUAGES[::-1]})
    for kind in ("judges", "corrected"):
        item = {"kind": kind, "caption": "c", "rows": {"Base": "base", "Tame": "tame"}}
        one, other = (render(kind, item, given) for given in (scores, turned))
        assert sorted(map(str, lines(one))) == sorted(map(str, lines(other)))


def test_without_labels_of_a_class_nothing_is_corrected_and_it_is_said(scores):
    one_sided = {judge: t.filter(pa.compute.equal(t["label"], "harmful")) for judge, t in scores.labels.items()}
    item = {"kind": "corrected", "caption": "c", "rows": {"Tame": "tame"}}
    for labels, why in ((one_sided, "no harmless answer"), ({}, "no harmful and no harmless answer")):
        table = render("corrected", item, Scores(**{**vars(scores), "labels": labels}))
        assert why in table.markdown and all(line["corrected"] == "" for line in lines(table))


def test_three_judges_have_fleiss_kappa(scores):
    three = Scores(**{**vars(scores), "panels": {**scores.panels, "again": scores.panels["faulty"]}})
    table = render("judges", {"kind": "judges", "caption": "c"}, three)
    assert "all, Fleiss" in table.markdown


def test_a_single_judge_leaves_nothing_to_correct_against(scores):
    alone = Scores(**{**vars(scores), "panels": {"rules": scores.panel}})
    with pytest.raises(UserError, match="only one judge"):
        render("corrected", {"kind": "corrected", "caption": "c", "rows": {"Tame": "tame"}}, alone)
