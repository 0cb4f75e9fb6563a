"""What is current is told by what Snakemake recorded, else by the recipe that an artifact carries."""

import copy
import json
import os
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml

from tests.finished import PROVENANCE, finish, record
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
FOLDER = Path("results/checked")
MIX = FOLDER / "seed0/models/mix/manifest.json"
TABLE = FOLDER / "tables/table1.md"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(**sections):
    return artifacts(load({**copy.deepcopy(CHECKED), **sections}))


def finished(**how):
    made = found()
    finish(made, **how)
    return made


def merges(made):
    return [str(path) for path in provenance.files_of(made.by_path[TABLE])["merges"]]


def not_current(artifacts):
    is_current = provenance.current(artifacts)
    return {artifact.path for artifact in artifacts.all if not is_current(artifact)}


# What was recorded


def test_params_are_read_as_snakemake_records_them():
    artifact = finished().by_path[MIX]
    assert provenance.recorded(MIX) == artifact.params
    assert provenance.recorded(FOLDER / "seed0/models/none/manifest.json") is None


def test_a_long_path_lies_in_folders_as_snakemake_has_it():
    finished()
    path = FOLDER / ("a" * 200) / ("b" * 200) / "manifest.json"
    name = urlsafe_b64encode(str(path).encode()).decode()
    longest = os.pathconf("results", "PC_NAME_MAX") - 1
    assert len(name) > longest
    place = PROVENANCE / f"@{name[:longest]}" / f"@{name[longest : 2 * longest]}" / name[2 * longest :]
    place.parent.mkdir(parents=True)
    params = {name: f"{name}: a=1" for name in ("settings", "inputs", "code")}
    place.write_text(json.dumps({"params": [repr(text) for text in params.values()]}))
    assert provenance.recorded(path) == params


@pytest.mark.parametrize("params", [None, [], ["'settings: a=1'"], ["7", "None", "'settings: a'", "'code: b'"]])
def test_a_record_without_our_params_is_none(params):
    finished()
    name = urlsafe_b64encode(str(MIX).encode()).decode()
    (PROVENANCE / name).write_text(json.dumps({"params": params}))
    assert provenance.recorded(MIX) is None


def test_every_kind_of_file_carries_its_recipe_in_itself_or_in_its_record():
    made = finished()
    for artifact in made.all:
        assert provenance.carried(artifact) == artifact.recipe, artifact.path


@pytest.mark.parametrize("path", [MIX, TABLE, FOLDER / "data/suites/general.parquet"])
def test_what_is_damaged_carries_no_recipe(path):
    artifact = finished().by_path[path]
    for file in (artifact.path, artifact.record):
        file.write_text("half {")
    assert provenance.carried(artifact) is None


# What is current


def test_a_finished_experiment_is_current_also_without_snakemakes_records():
    assert not_current(finished()) == set()
    for path in PROVENANCE.iterdir():
        path.unlink()
    assert not_current(found()) == set()


def test_what_was_recorded_counts_before_what_is_carried():
    made = finished()
    record(MIX, {**made.by_path[MIX].params, "settings": "settings: another=1"})
    assert MIX in not_current(made)


def test_an_edit_makes_stale_what_comes_after_it_and_nothing_else():
    finished()
    mixtures = copy.deepcopy(CHECKED["mixtures"])
    mixtures["mix"]["seed"] = 1
    stale = not_current(found(mixtures=mixtures))
    models = {path.parts[-2] for path in stale if path.name == "manifest.json"}
    assert models == {"mix"}, "a slerp of other parents, and trainings that only wait for the check of overlaps, stay"
    assert FOLDER / "data/overlap.parquet" in stale and FOLDER / "data/mixtures/general.parquet" not in stale
    assert TABLE in stale and FOLDER / "seed0/generations/slerp/general.parquet" not in stale


def test_an_artifact_of_which_a_file_is_missing_is_not_current_nor_what_comes_after_it():
    made = finished()
    MIX.with_name("config.json").unlink()
    assert {MIX, TABLE, FOLDER / "seed0/generations/mix/general.parquet"} <= not_current(made)


def test_a_users_file_that_is_newer_makes_stale():
    Path("mine.jsonl").write_text('{"prompt": "p", "language": "en", "split": "test"}\n')
    made = found(sources={**CHECKED["sources"], "redteam": {"file": "mine.jsonl"}})
    finish(made)
    assert not_current(made) == set()
    os.utime("mine.jsonl", (2e9, 2e9))
    assert {FOLDER / "data/sources/redteam.parquet", FOLDER / "data/suites/redteam.parquet"} <= not_current(made)


def test_some_params_alone_may_be_compared():
    made = finished()
    record(MIX, {**made.by_path[MIX].params, "code": "code: another=1"})
    is_current = provenance.current(made, ("settings", "inputs"))
    assert is_current(made.by_path[MIX]) and is_current(made.by_path[TABLE])
    assert not provenance.current(made)(made.by_path[MIX])


# What came from elsewhere


def test_results_without_records_are_taken_only_if_their_recipes_are_those_of_the_experiment():
    finished(recorded=False)
    assert provenance.foreign(found()) == []
    merging = copy.deepcopy(CHECKED["merging"])
    merging["slerp"]["t"] = 0.4
    (line,) = provenance.foreign(found(merging=merging))
    slerp = MIX.parent.with_name("slerp") / "manifest.json"
    assert line.startswith(f"{slerp}: came without") and f"make discard FILE={slerp}" in line and "\n" not in line


def test_many_foreign_files_are_counted():
    finished(recorded=False)
    lines = provenance.foreign(found(languages=["fr", "en"]))
    assert len(lines) == provenance.SHOWN + 1 and lines[-1].startswith("... and ")


def test_a_foreign_file_that_carries_nothing_is_named():
    finished(recorded=False)
    MIX.write_text("half {")
    (line,) = provenance.foreign(found())
    assert line.startswith(f"{MIX}: came without its provenance")


# Tables without the models that they show


def test_scores_that_came_without_any_models_are_printed_without_making_one():
    made = finished()
    (FOLDER / "seed0/models").rename("elsewhere")
    assert merges(made) == []


def test_a_manifest_that_is_missing_is_waited_for_like_scores_that_are():
    manifest = str(FOLDER / "seed0/models/slerp/manifest.json")
    assert merges(found()) == [manifest], "nothing is there yet"
    made = finished()
    assert merges(made) == [manifest]
    shutil.rmtree(FOLDER / "seed0/models/slerp")
    assert merges(made) == [manifest]
    (FOLDER / "seed0/models").rename("elsewhere")
    made.by_path[TABLE].files["scores"][0].unlink()
    assert merges(made) == [manifest]
