"""`make why` names the nearest cause of each job that would run, and what it can cost."""

import copy
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import CODE
from workflow_scripts.experiment import code_lock
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast.resources import Requirements
from workflow_scripts.run import why
from workflow_scripts.run.why import Planned

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
MIX = Path("results/checked/seed0/models/mix/manifest.json")


@pytest.fixture(autouse=True)
def finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = artifacts(load(CHECKED))
    finish(found)
    return found


def edited(**sections):
    return artifacts(load({**copy.deepcopy(CHECKED), **sections}))


def reasons(path, found, reason="Params have changed"):
    artifact = found.by_path[path]
    return why.reasons(Planned(artifact.stage.name, [str(path)], reason), artifact)


def test_a_setting_that_changed_is_named_with_both_values():
    training = copy.deepcopy(CHECKED["training"])
    training["sft"] |= {"learning_rate": 0.5, "epochs": 2}
    lines = reasons(MIX, edited(training=training))
    assert sorted(lines) == ["epochs went from its neutral value to 2.0", "learning_rate went from 0.001 to 0.5"]


def test_an_input_that_changed_is_named():
    models = copy.deepcopy(CHECKED["models"])
    models["slerp"]["parents"] = ["safety", "general"]
    (line,) = reasons(MIX.parent.with_name("slerp") / "manifest.json", edited(models=models))
    assert line == 'inputs.parents went from ["general", "safety"] to ["safety", "general"]'


def test_a_version_that_changed_is_named(monkeypatch):
    installed = code_lock.installed
    monkeypatch.setattr(code_lock, "installed", lambda package: "99.0" if package == "trl" else installed(package))
    (line,) = reasons(MIX, edited())
    assert line == f'trl went from "{installed("trl")}" to "99.0"'


def test_the_definition_that_changed_is_named_where_the_earlier_ones_are_known(monkeypatch):
    code_lock.remember(["train:sft"], CODE)
    version, parts = code_lock.version, code_lock.parts
    monkeypatch.setattr(code_lock, "version", lambda unit: "f" * 12 if unit == "train:sft" else version(unit))
    changed = {"train.trainer.train": "another"}
    monkeypatch.setattr(code_lock, "parts", lambda unit: parts(unit) | (changed if unit == "train:sft" else {}))
    assert reasons(MIX, edited()) == ["code of train:sft: train.trainer.train changed"]
    for path in CODE.iterdir():
        path.unlink()
    (line,) = reasons(MIX, edited())
    assert line.startswith("train:sft went from ") and line.endswith(f'to "{"f" * 12}"')


def test_a_file_that_is_missing_and_one_that_is_made_again_are_named(finished):
    MIX.unlink()
    assert reasons(MIX, finished, "Missing output files: x") == [f"{MIX} is not there"]
    table = Path("results/checked/tables/table1.md")
    (line,) = reasons(table, finished, "Input files updated by another job: a.parquet, b.parquet; x")
    assert line == "a.parquet is made again (and 1 more)"
    assert reasons(table, finished, "Forced execution") == ["forced execution"]


def test_rows_of_a_users_file_that_changed_are_named():
    def table(*prompts):
        names = [field.name for field in records.ROWS if not field.nullable]
        rows = [{**dict.fromkeys(names, "x"), "id": str(n), "prompt": prompt} for n, prompt in enumerate(prompts)]
        return pa.Table.from_pylist(rows, records.ROWS)

    assert why.row_changes(table("a", "b"), table("a", "c", "d")) == [
        "row 2 was added",
        'row 1: prompt went from "b" to "c"',
    ]
    assert why.row_changes(table("a", "b"), table("a")) == ["row 1 was removed"]


def test_long_values_are_shortened():
    (line,) = why.changes({"settings": {"prompt": "a"}}, {"settings": {"prompt": "b" * 500}})
    assert line.startswith('prompt went from "a" to "bbb') and line.endswith("...") and len(line) < 120


def test_what_a_job_can_cost_is_said(finished):
    sizes = Requirements(finished.experiment)

    def cost(path):
        return why.cost(finished.by_path[path], finished, sizes)

    assert cost(MIX) == "at most 4 optimizer steps unless what it is made from changes"
    MIX.unlink()
    assert cost(MIX) == "at most 4 optimizer steps"
    assert cost(Path("results/checked/data/mixtures/mix.parquet")) == "seconds"
    answers = Path("results/checked/seed0/generations/mix/general.parquet")
    assert cost(answers).startswith("at most 40 completions")


def test_a_workflow_that_does_not_start_is_reported(monkeypatch):
    ended = type("Ended", (), {"returncode": 1, "stderr": "models.x: is wrong\n", "stdout": ""})
    monkeypatch.setattr(why.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(UserError, match=r"^models\.x: is wrong$"):
        why.plan(Path("config.yaml"))
