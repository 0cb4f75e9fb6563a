"""A run is alone in results/, and changes nothing of what does not belong to it."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base import job
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.run import session
from workflow_scripts.store import checksums

ROOT = Path(__file__).parents[3]
CHECKED = yaml.safe_load((ROOT / "tests/configs/checked.yaml").read_text(encoding="utf-8"))

pytestmark = pytest.mark.usefixtures("own_folder")


def found(**sections):
    return artifacts(load({**copy.deepcopy(CHECKED), **sections}))


def test_a_run_writes_down_its_jobs_and_what_its_code_consists_of():
    made = found()
    session.start(made, dry_run=False)
    for artifact in made.all:
        assert job.read(artifact.job.path) == artifact.job
    versions = {path.stem for path in job.CODE.iterdir()}
    assert versions == {version for one in made.all for unit, version in one.recipe.code.items() if unit in one.units}
    assert not [path for path in job.JOBS.iterdir() if path.suffix != ".json"]


def test_looking_writes_no_jobs_and_takes_nothing():
    session.start(found(), dry_run=True)
    assert not job.JOBS.exists() and not session._held and not Path("results/.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "looks"),
    [(["-c", "2"], False), (["--lint"], True), (["--report=a.html"], True), (["--list-rules"], True), (["-n"], False)],
)
def test_what_is_asked_of_snakemake_besides_a_run_is_only_looking(monkeypatch, arguments, looks):
    monkeypatch.setattr(sys, "argv", ["snakemake", *arguments])
    assert session.only_looks(False) is looks and session.only_looks(True)


def test_results_of_another_layout_are_refused_and_left_alone():
    Path("results").mkdir()
    Path("results/.schema").write_text("1\n")
    with pytest.raises(UserError, match=r"another layout of mixmerge \(1; this one writes 2\)") as refused:
        session.start(found(), dry_run=True)
    assert "\n" not in str(refused.value) and [path.name for path in Path("results").iterdir()] == [".schema"]


def test_results_of_the_layout_before_there_was_a_mark_are_refused():
    """The mark is as old as results are, so results without it are none yet."""
    session.start(found(), dry_run=True)
    assert Path("results/.schema").read_text() == "2\n"


def test_two_runs_do_not_work_in_the_same_results():
    session.start(found(), dry_run=False)
    code = (
        "import fcntl; from workflow_scripts.run import session\n"
        "try: session._take_results()\n"
        "except Exception as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"results/: another run is at work there (process {os.getpid()} on ")


def test_modules_of_one_process_share_results():
    session.start(found(), dry_run=False)
    session.start(found(experiment="other"), dry_run=False)
    assert len(session._held) == 1


def test_what_was_changed_by_hand_stops_a_run():
    made = found()
    finish(made)
    path = Path("results/checked/data/suites/general.parquet")
    with checksums.recording(job.RESULTS, [path]):
        pass
    session.start(made, dry_run=True)
    path.write_bytes(b"changed")
    with pytest.raises(UserError, match=r"general\.parquet: was changed by hand .*make discard FILE="):
        session.start(made, dry_run=True)


def test_provenance_lies_in_results_and_what_snakemake_had_is_taken_along():
    Path(".snakemake/metadata").mkdir(parents=True)
    Path(".snakemake/metadata/known").write_text("{}")
    for _ in range(2):
        session.start(found(), dry_run=True)
        assert Path(".snakemake/metadata").is_symlink() and Path("results/.provenance/known").read_text() == "{}"


def test_a_config_is_read_with_a_lock_that_is_whole(monkeypatch, tmp_path):
    place = Path("config.yaml")
    place.write_text(yaml.safe_dump(CHECKED))
    assert session.load(CHECKED, [place]).experiment.config.experiment == "checked"
    (tmp_path / "code.lock").write_text("<<<<<<< HEAD\n")
    read = code_lock.read.__wrapped__
    monkeypatch.setattr(code_lock, "read", lambda: read(tmp_path / "code.lock"))
    with pytest.raises(UserError, match=r"code\.lock: has conflict markers"):
        session.load(CHECKED, [place])


def test_what_yaml_hides_from_snakemake_is_seen():
    place = Path("config.yaml")
    place.write_text(f"{yaml.safe_dump(CHECKED)}\nseeds: [1]\n")
    with pytest.raises(UserError, match="seeds"):
        session.load(CHECKED, [place])
    given = Path("given.json")
    given.write_text(json.dumps({"experiment": "checked"}))
    session.load(CHECKED, [given])
