"""Every answer is asked about once, with its own baseline, and only what the judge needs is in the request."""

import json

import pyarrow as pa
import pytest

from tests.unit.judge.test_scores import LABELS, Judge, generations, run
from tests.unit.llm.test_prompts import fenced
from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.judge import questions
from workflow_scripts.llm.prompts import messages, template
from workflow_scripts.metrics import METRICS


@pytest.mark.parametrize("metric", LABELS)
def test_each_metric_has_a_prompt_that_shows_its_texts_and_asks_for_its_verdicts(metric):
    for question in METRICS[metric].questions:
        texts = {tag: f"some {tag}" for tag in question.texts}
        system, user = messages(template(f"{metric}-v1"), texts)
        assert fenced(user["content"]) == texts
        assert "<<<" not in system["content"]
        for label in LABELS[metric]:
            assert json.dumps({METRICS[metric].field: label}) in user["content"]


def test_the_request_holds_the_judges_parameters_and_no_other_setting():
    client = Judge(lambda _: "")
    run("harm", client, generations(["x"]))
    (request,) = client.requests
    assert (request.model, request.parameters, request.label) == (
        "openai/judge",
        {"temperature": 0.0, "max_tokens": 64},
        "strict",
    )


def test_the_baseline_may_come_in_any_order():
    baseline = generations(["a", "b", "c"])
    seen = Judge(lambda t: json.dumps({"winner": "tie"}) + t["PROMPT"] + t["RESPONSE_A"] + t["RESPONSE_B"])
    run("preference", seen, generations(["x", "y", "z"]), baseline.take([2, 0, 1]), "base")
    pairs = [fenced(request.messages[1]["content"]) for request in seen.requests]
    assert [(p["PROMPT"], p["RESPONSE_A"], p["RESPONSE_B"]) for p in pairs[::2]] == [
        ("prompt 0", "x", "a"),
        ("prompt 1", "y", "b"),
        ("prompt 2", "z", "c"),
    ]


@pytest.mark.parametrize(
    ("baseline", "named"),
    [
        (generations(["a", "b"]), "p2-en"),
        (generations(["a", "b", "c", "d"]), "p3-en"),
        (generations(["a", "b", "c"], language="fr"), "p0-en, p0-fr"),
        (generations(["a", "b", "c"], prompt="another"), "p0-en"),
        (generations(["a", "b", "c"], suite="other"), "p0-en"),
        (pa.concat_tables([generations(["a", "b", "c"])] * 2), "p0-en"),
    ],
    ids=["missing", "extra", "language", "prompt", "suite", "twice"],
)
def test_suites_that_do_not_pair_up_are_refused_by_id(baseline, named):
    with pytest.raises(UserError, match=named):
        run("preference", Judge(lambda _: ""), generations(["x", "y", "z"]), baseline, "base")


def test_many_unpaired_ids_are_not_all_listed():
    with pytest.raises(UserError, match="and 15 more"):
        run(
            "preference",
            Judge(lambda _: ""),
            generations(["x"] * 20),
            generations(["y"] * 20, prompt="another"),
            "base",
        )


def test_a_comparison_without_a_baseline_is_refused():
    with pytest.raises(UserError, match="baseline"):
        run("preference", Judge(lambda _: ""), generations(["x"]))


@pytest.mark.parametrize("metric", LABELS)
def test_an_empty_suite_is_refused(metric):
    with pytest.raises(UserError, match="no generations"):
        run(metric, Judge(lambda _: ""), generations([]), generations([]), "base")


def test_two_answers_that_are_the_same_are_a_tie_and_nobody_is_asked():
    asked = []

    def says(texts):
        asked.append(texts["RESPONSE_A"])
        return '{"winner": "A"}'

    ours, theirs = generations(["same", "mine"]), generations(["same", "yours"])
    scores = run("preference", Judge(says), ours, theirs, "base")
    assert scores["verdict"].to_pylist() == ["tie", "tie", "win", "loss"]
    assert scores["answer_sha256"].to_pylist()[:2] == [None, None] and scores["missing"].null_count == 4
    assert set(asked) == {"mine", "yours"}


def test_a_judge_sees_answers_without_reasoning_by_the_rule_of_the_model_that_answered(tmp_path):
    said = ["<think>Hm.</think>Yes.", "No.", "<think>Hm"]
    suite = pa.Table.from_pylist([], records.ROWS)
    records.write(tmp_path / "suite.parquet", suite, records.ROWS, {})
    marked = {"reasoning": {"rule": "think", "is_open": False}}
    table = generations(said).set_column(6, "finish_reason", pa.array(["stop", "stop", "length"]))
    for name, lineage in (("one", marked), ("other", {})):
        records.write(tmp_path / f"{name}.parquet", table, records.GENERATIONS, lineage)
    _, answered, baseline = questions.read({}, *(tmp_path / f"{name}.parquet" for name in ("suite", "one", "other")))
    assert answered["completion"].to_pylist() == ["Yes.", "No.", ""]
    assert answered["completion_tokens"].to_pylist() == [round(5 * 4 / 22), 5, 0]
    assert baseline.equals(table.cast(records.GENERATIONS)), "the other model's answers are whole"
