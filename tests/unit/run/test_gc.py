"""What no experiment refers to any more is named, and nothing else."""

import copy
from pathlib import Path

import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base.job import JOBS, STORE
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.run import gc

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
RESULTS = Path("results/checked")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def finished(**sections):
    """An experiment whose artifacts and jobs lie there."""
    found = artifacts(load({**copy.deepcopy(CHECKED), **sections}))
    finish(found)
    JOBS.mkdir(parents=True, exist_ok=True)
    for artifact in found.all:
        artifact.job.path.write_text(artifact.job.text())
    return found


def test_a_finished_experiment_has_nothing_left_over():
    assert gc.leftovers(finished()) == []


def test_what_the_config_no_longer_has_is_left_over_with_its_jobs_as_whole_folders():
    before = finished()
    models = {name: row for name, row in CHECKED["models"].items() if name != "slerp"}
    tables = {"plain": {"caption": "Plain", "rows": {"Mix": "mix"}}}
    after = artifacts(load({**CHECKED, "models": models, "tables": tables, "figures": {}, "contrasts": {}}))
    left = gc.leftovers(after)
    assert {RESULTS / "seed0/models/slerp", RESULTS / "seed0/generations/slerp", RESULTS / "figures"} <= set(left)
    assert RESULTS / "tables/table1.md" in left and RESULTS / "tables/table1.execution.json" not in after.by_path
    gone = [one for one in before.all if one.path not in after.by_path]
    assert {one.job.path for one in gone} <= set(left)
    kept = {file for path in left for file in ([path] if path.is_file() else path.rglob("*"))} & set(after.by_path)
    assert kept == set()


def test_records_of_how_things_were_made_go_with_them():
    finished()
    after = artifacts(load({**CHECKED, "tables": {"plain": {"caption": "Plain", "rows": {"Mix": "mix"}}}}))
    assert RESULTS / "tables/table1.execution.json" in gc.leftovers(after)
    assert after.by_path[RESULTS / "data/suites/general.parquet"].record not in gc.leftovers(after)


def test_other_experiments_in_the_same_results_are_left_alone():
    finished()
    other = finished(experiment="other")
    assert gc.leftovers(other) == gc.leftovers(artifacts(load(CHECKED))) == []


def test_a_job_of_earlier_settings_and_what_is_no_job_are_left_over():
    finished()
    after = finished(bootstrap={"resamples": 300})
    (JOBS / "half.json").write_text("half {")
    stale = {one.job.path for one in artifacts(load(CHECKED)).all} - {one.job.path for one in after.all}
    assert stale and set(gc.leftovers(after)) == {*stale, JOBS / "half.json"}


def test_entries_of_the_store_that_nothing_leads_to_are_named(monkeypatch):
    finished()  # every manifest there leads to one entry of the store
    for name in ("0" * 64, "1" * 64):
        (STORE / "models" / name).mkdir(parents=True)
        (STORE / "work" / f"{name}-settings").mkdir(parents=True)
    found = [path.name for path in gc.unreferenced([])]
    assert found == ["1" * 64, f"{'1' * 64}-settings"]
    models = [path for path in RESULTS.rglob("models")]
    assert len(gc.unreferenced(models)) == 4, "without the models nothing leads there"


def test_the_command_names_first_and_frees_when_it_is_told_to(capsys):
    finished()
    Path("config.yaml").write_text(yaml.safe_dump({**CHECKED, "figures": {}}))
    gc.main(["--config", "config.yaml"])
    assert "results/checked/figures" in capsys.readouterr().out and (RESULTS / "figures").exists()
    gc.main(["--config", "config.yaml", "--yes"])
    assert not (RESULTS / "figures").exists() and (RESULTS / "tables/table1.md").exists()
    capsys.readouterr()
    gc.main(["--config", "config.yaml"])
    assert capsys.readouterr().out == "Everything is referred to.\n"
