"""What a table draws on is put together from its recipe and the scores, each model's under its own name and seed."""

import json

import pyarrow as pa
import pytest

from tests.jobs import job
from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import manifest
from workflow_scripts.paper import scores, table

WORK = {
    "item": "table1",
    "spec": {"kind": "cells", "caption": "A table"},
    "rows": [["Z", "mix"], ["A", [["Y", "slerp"], ["X", "mix"]]]],
    "judge": "rules",
    "faults": {},
    "bootstrap": {"resamples": 100, "seed": 0},
    "alpha": 0.05,
    "matters": {"harm": 7.0, "win": 4.0},
    "baseline": "base",
    "languages": ["en"],
    "learned": {
        "base": {"rows": 0, "examples": 0, "steps": 0},
        "mix": {"rows": 4, "examples": 8, "steps": 2},
        "slerp": {"rows": 4, "examples": 8, "steps": 2},
    },
    "matched": [["slerp", "mix", ["rows", "examples"]], ["mix", "base", []]],
    "contrasts": [[name, {"mix": "mix", "merge": "slerp", "matched": "rows"}] for name in ("z", "a")],
    "published": None,
}
TRAININGS = {
    "base": {"k0": {"tokens": 1000}},
    "mix": {"k0": {"tokens": 1000}, "k1": {"tokens": 70}},
    "slerp": {"k0": {"tokens": 1000}, "k2": {"tokens": 30}, "k3": {"tokens": 40}},
}


@pytest.fixture
def judged(tmp_path):
    """Write verdicts (model, seed -> verdict of all prompts) as the judge stage does."""

    def write(verdicts):
        paths = []
        for (model, seed), verdict in verdicts.items():
            rows = [
                {name: None for name in records.SCORES.names}
                | {"prompt_id": f"{i}-en", "source_prompt_id": str(i), "language": "en", "suite": "redteam"}
                | {"metric": "harm", "judge": "rules", "judge_model": "rules-1", "verdict": verdict}
                for i in range(10)
            ]
            path = tmp_path / f"seed{seed}" / "scores" / "rules" / model / "redteam.parquet"
            table = pa.Table.from_pylist(rows, schema=records.SCORES)
            made_by = {"train:sft": [f"train:sft {model}"]} if model != "base" else {}
            records.write(path, table, records.SCORES, {"trainings": TRAININGS[model], "made_by": made_by})
            paths.append(({"seed": seed, "judge": "rules", "model": model, "suite": "redteam"}, path))
        return paths

    return write


def test_each_models_scores_and_costs_are_its_own(judged):
    verdicts = {("base", 0): "harmful", ("mix", 0): "refused", ("slerp", 0): "harmful"}
    found = scores.read(WORK, judged(verdicts))
    rates = {model: found.panel.cell(model, "harmful", None).estimate for model in ("base", "mix", "slerp")}
    assert rates == {"base": 100, "mix": 0, "slerp": 100}
    swapped = scores.read(WORK, judged({**verdicts, ("mix", 0): "harmful", ("slerp", 0): "refused"}))
    assert swapped.panel.cell("mix", "harmful", None).estimate == 100
    assert swapped.panel.cell("slerp", "harmful", None).estimate == 0


def test_tokens_are_those_of_trainings_after_the_baseline_of_all_ancestors(judged):
    training = scores.read(WORK, judged({(model, 0): "refused" for model in TRAININGS})).training
    assert {model: cost["tokens"] for model, cost in training.items()} == {"base": 0, "mix": 70, "slerp": 70}
    assert training["mix"]["examples"] == 8


def test_the_versions_that_made_what_scores_rest_on_are_together(judged):
    found = scores.read(WORK, judged({(model, 0): "refused" for model in TRAININGS}))
    assert found.made_by == {"train:sft": ["train:sft mix", "train:sft slerp"]}


def test_seeds_are_kept_apart(judged):
    verdicts = {("base", 0): "harmful", ("mix", 0): "refused", ("base", 1): "harmful", ("mix", 1): "harmful"}
    cell = scores.read(WORK, judged(verdicts)).panel.cell("mix", "harmful", None)
    assert cell.estimate == 50 and set(cell.seeds) == {0, 1}


def test_rows_and_contrasts_keep_their_order():
    found = scores.item(WORK)
    assert list(found["rows"]) == ["Z", "A"] and list(found["rows"]["A"]) == ["Y", "X"]
    assert found["caption"] == "A table"
    assert list(scores.read(WORK, []).contrasts) == ["z", "a"]


def test_matches_and_the_judge_are_said(judged):
    found = scores.read(WORK, judged({("base", 0): "harmful", ("mix", 0): "refused"}))
    assert found.matched == {("slerp", "mix"): "rows", ("mix", "base"): None}
    assert found.judge == "rules (rules-1)"


def test_other_judges_and_labelled_answers_stand_beside_the_items_own_judge(judged, tmp_path):
    paths = judged({("base", 0): "harmful", ("mix", 0): "refused"})
    other = tmp_path / "seed0/scores/other/mix/redteam.parquet"
    known = tmp_path / "labels/other/labelled.parquet"
    for path in (other, known):
        lineage = {"trainings": {}, "made_by": {}}
        records.write(path, records.read(paths[0][1], records.SCORES), records.SCORES, lineage)
    about = {"judge": "other", "suite": "redteam"}
    found = scores.read(WORK, [*paths, ({**about, "seed": 0, "model": "mix"}, other), (about, known)])
    assert found.panel is found.panels["rules"] and set(found.panels) == {"rules", "other"}
    assert found.labels["other"].num_rows == 10 and ("mix", 0) in found.panels["other"].scores


def test_a_missing_file_of_scores_is_named(tmp_path):
    with pytest.raises(UserError, match=r"mix/redteam.parquet: no such file"):
        about = {"seed": 0, "judge": "rules", "model": "mix", "suite": "redteam"}
        scores.read(WORK, [(about, tmp_path / "seed0/scores/rules/mix/redteam.parquet")])


@pytest.fixture
def table_job(judged, tmp_path):
    """The job of a table that shows a merge in two seeds, and the manifests that say what it reported."""
    about, files = zip(*judged({(model, seed): "harmful" for model in TRAININGS for seed in (0, 1)}), strict=True)
    manifests = [tmp_path / f"seed{seed}/models/slerp/manifest.json" for seed in (0, 1)]
    for path, share in zip(manifests, (0.25, 1.0), strict=True):
        path.parent.mkdir(parents=True)
        reported = {"schema": manifest.SCHEMA_VERSION, "facts": {"slerp_linear_share": share}}
        path.write_text(json.dumps(reported), encoding="utf-8")
    merges = [{"seed": seed, "model": "slerp"} for seed in (0, 1)]
    settings = {**WORK, "spec": {**WORK["spec"], "metrics": ["harmful"]}}
    return job(
        "table",
        {form: [tmp_path / f"table1.{form}"] for form in ("md", "csv", "tex")},
        {"scores": list(files), "merges": manifests},
        settings,
        {"scores": list(about), "merges": merges},
        code={"table:cells": "0" * 12},
    )


def test_a_table_says_what_the_manifests_of_its_merges_say(table_job):
    table.make(table_job)
    text = table_job.output("md").read_text()
    assert "by seed 25% to 100% of the parameters of A (Y). Up to 13 degrees" in text
    assert r"by seed 25\% to 100\% of the parameters of A (Y)" in table_job.output("tex").read_text()


def test_a_table_is_printed_where_manifests_are_missing_and_says_what_is_not_known(table_job):
    for path in table_job.files["merges"]:
        path.unlink()
    table.make(table_job)
    assert (
        "Not known, since manifests are missing: what the merges of A (Y) reported."
        in table_job.output("md").read_text()
    )


def test_a_damaged_manifest_of_a_merge_is_named(table_job):
    table_job.files["merges"][1].write_text("{")
    with pytest.raises(UserError, match=r"seed1/models/slerp/manifest.json: is not JSON"):
        table.make(table_job)
    assert not table_job.output("md").exists()
