"""The commands of judging: batches ask what the judge asks, to the letter; scores know what they rest on."""

import json
import re
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from tests.unit.experiment.everything import LABELLED, edited, named
from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.judge import collect, judge, submit
from workflow_scripts.llm.request import Answer

EDITS = {"judges/other/model": "openai/gpt-4o", "judges/other/batch": True, "suites/known": LABELLED}
VERDICTS = {"harm": {"verdict": "refused"}, "preference": {"winner": "tie"}}


class Client:
    """Answers every request with a verdict, and keeps what it was asked and told."""

    asked: list = []

    def __init__(self, settings, ledger, provider=None):
        self.settings, self.usd = settings, 0.25
        Client.told = settings

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def answers(self, requests):
        requests = list(requests)
        Client.asked += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        kind = "preference" if "winner" in request.messages[-1]["content"] else "harm"
        return Answer(request.key, "ok", json.dumps(VERDICTS[kind]), "gpt-4o-2024")


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    """The jobs of an experiment whose judge is asked by batches, with the files that they read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Client, "asked", [])
    for module in (judge, submit):
        monkeypatch.setattr(module, "Client", Client)
    found = {name: artifact.job for name, artifact in named(edited(EDITS)).items()}
    for name, one in found.items():
        if name.startswith("suite "):
            labels = {"completion": "so", "label": "harmful"}
            records.write(one.output("rows"), rows(records.ROWS, **labels), records.ROWS, {"licences": {"a": "MIT"}})
        if name.startswith("answers "):
            lineage = {"model": name, "manifest": "m", "licences": {"b": "MIT"}}
            lineage |= {"trainings": {"k": {"tokens": 1}}, "made_by": {"train:sft": ["train:sft 1"]}}
            for path in one.outputs["answers"]:
                said = rows(records.GENERATIONS, completion=f"{name} says", suite=path.stem)
                records.write(path, said, records.GENERATIONS, lineage)
    return found


def rows(schema, **values):
    blank = {field.name: 1 if pa.types.is_integer(field.type) else "x" for field in schema if not field.nullable}
    return pa.Table.from_pylist(
        [{**blank, **values, **{name: f"{n}" for name in ("id", "prompt_id") if name in schema.names}}
         | {"prompt": f"prompt {n}", "language": "en"} for n in range(2)],
        schema,
    )  # fmt: skip


@pytest.mark.parametrize("model", ["mix", "slerp", "base"])
def test_a_batch_holds_the_very_requests_of_the_judgments_about_a_model(jobs, monkeypatch, model):
    handed_in = []
    monkeypatch.setattr(submit.batches, "submit", lambda client, folder, requests: handed_in.extend(requests) or ["d"])
    submit.make(jobs[f"submit other {model}"])
    for name in jobs:
        if name.startswith(f"scores other {model} "):
            judge.make(jobs[name])
    assert handed_in and Counter(one.key for one in handed_in) == Counter(one.key for one in Client.asked)
    assert {str(one.parameters) for one in handed_in} == {"{'temperature': 0.0, 'max_tokens': 256}"}
    ticket = json.loads(jobs[f"submit other {model}"].output("ticket").read_text())
    assert (ticket["requests"], ticket["batches"]) == (len(handed_in), ["d"])


def test_labelled_answers_are_handed_in_as_they_are_judged(jobs, monkeypatch):
    handed_in = []
    monkeypatch.setattr(submit.batches, "submit", lambda client, folder, requests: handed_in.extend(requests) or [])
    submit.make(jobs["submit_labels other"])
    judge.make(jobs["labels other known"])
    assert handed_in and Counter(one.key for one in handed_in) == Counter(one.key for one in Client.asked)


def test_scores_know_the_model_the_licences_and_the_versions_that_they_rest_on(jobs):
    one = jobs["scores other mix redteam"]
    made = judge.make(one)
    scores = records.read(one.output("scores"), records.SCORES)
    assert scores["verdict"].to_pylist() == ["refused"] * 2 and set(scores["judge_model"].to_pylist()) == {
        "gpt-4o-2024"
    }
    lineage = records.lineage(one.output("scores"))
    assert lineage["recipe"] == one.recipe._asdict() and lineage["model"] == "answers mix"
    assert lineage["trainings"] == {"k": {"tokens": 1}} and lineage["licences"] == {"a": "MIT", "b": "MIT"}
    assert lineage["made_by"].keys() == {"train:sft", "judge:harm"}
    assert made is not None and made.usd == 0.25


def test_a_judge_is_told_how_it_is_reached_and_what_may_be_spent(jobs):
    judge.make(jobs["scores other mix redteam"])
    assert {"concurrency", "timeout", "retries", "budget", "batch"} <= Client.told.keys()


def test_the_miniatures_judge_asks_under_a_name_of_its_rules_its_words_and_its_faults():
    one = named(edited({}))["scores rules mix redteam"].job
    others = [
        replace(one, recipe=one.recipe._replace(code={**one.recipe.code, "rule_judge": "f" * 12})),
        replace(one, settings={**one.settings, "lexicon": "f" * 12}),
        replace(one, settings={**one.settings, "faults": {"unreadable": 0.1}}),
    ]
    names = {judge._settings(other)["model"] for other in (one, *others)}
    assert len(names) == 4 and all(re.fullmatch(r"mixmerge/rules-[0-9a-f]{8}", name) for name in names)


def test_requests_that_failed_stop_the_command_and_leave_no_scores(jobs, monkeypatch):
    monkeypatch.setattr(Client, "_answer", lambda self, request: Answer(request.key, "error"))
    one = jobs["scores other mix redteam"]
    with pytest.raises(UserError, match="other: 2 of 2 requests about mix failed after all retries"):
        judge.make(one)
    assert not one.output("scores").exists()


def test_a_ticket_that_is_not_for_batches_hands_in_nothing(jobs, monkeypatch):
    monkeypatch.setattr(submit.batches, "submit", lambda *_: pytest.fail("handed in"))
    one = jobs["submit other mix"]
    single = one.__class__(
        one.recipe, one.settings, {**one.execution, "batch": False}, one.files, one.outputs, one.record
    )
    submit.make(single)
    assert json.loads(one.output("ticket").read_text())["requests"] == 0


def test_answers_of_a_batch_are_waited_for_and_counted(jobs, monkeypatch):
    ticket = jobs["collect other mix"].file("ticket")
    ticket.parent.mkdir(parents=True)
    ticket.write_text(json.dumps({"batches": ["d1", "d2"]}))
    asked = []
    monkeypatch.setattr(collect, "Client", Client)
    monkeypatch.setattr(collect.batches, "collect", lambda *given: asked.append(given) or Counter(ok=3))
    collect.make(jobs["collect other mix"])
    (_, _, digests, poll, _), *_ = asked
    assert digests == ["d1", "d2"] and poll == 60.0
    answered = json.loads(jobs["collect other mix"].output("answered").read_text())
    assert answered["counts"] == {"ok": 3} and answered["recipe"]["stage"] == "collect"
