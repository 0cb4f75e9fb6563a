"""A job says its user's mistakes in one line, shows its own in full, and is seen to be running."""

import dataclasses
import errno
import fcntl
import json
import os
import sys
import types
from pathlib import Path

import pytest

from tests import jobs
from workflow_scripts.base import job as base_job
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Made
from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.process import job


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """A stage whose main does what it is told."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("workflow_scripts.probe")
    monkeypatch.setitem(sys.modules, "workflow_scripts.probe", module)

    def does(main):
        module.main = main

    return does


def failing(error):
    def main(_):
        raise error

    return main


def test_a_stage_gets_its_arguments_and_success_is_zero(stage):
    got = []
    stage(got.extend)
    assert job.execute("probe", ["--a", "1"]) == 0 and got == ["--a", "1"]


def test_a_users_mistake_is_one_line_on_stderr_and_exit_status_one(stage, capsys):
    stage(failing(UserError("models.x: is wrong; fix it")))
    assert job.execute("probe", []) == 1
    assert capsys.readouterr() == ("", "mixmerge probe: models.x: is wrong; fix it\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/a"), "results/a: No space left on device"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "results/: No space left on device"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "results/a"), "results/a: Disk quota exceeded"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "results/: No space left on device"),
    ],
)
def test_a_full_disk_is_one_line_whoever_finds_it(stage, capsys, error, told):
    stage(failing(error))
    assert job.execute("probe", []) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mixmerge probe: {told}; ") and "is free; make room" in said and said.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EACCES, "Permission denied", "x")])
def test_what_is_not_the_users_is_not_hidden(stage, error):
    stage(failing(error))
    with pytest.raises(type(error)):
        job.execute("probe", [])


def test_running_holds_a_lock_that_others_share_and_a_new_run_waits_for(stage):
    with job.running(), job.running(), job.RUNNING.open() as sign, pytest.raises(BlockingIOError):
        fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with job.RUNNING.open() as sign:
        fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Commands that make an artifact


@pytest.fixture
def making(stage, monkeypatch):
    """A command whose `make` does what it is told, and its job, written down."""
    one = jobs.job("probe", {"rows": [Path("results/a.parquet")]}, settings={"n": 1}, execution={"threads": 2})
    one.path.parent.mkdir(parents=True)
    one.path.write_text(one.text())

    def run(make):
        monkeypatch.setattr(sys.modules["workflow_scripts.probe"], "make", make, raising=False)
        return job.execute("probe", [str(one.path)]), base_job.read_record(one.record)

    return one, run


def test_a_command_that_makes_is_handed_its_job_and_its_record_is_written_beside(making):
    one, run = making
    got = []
    status, record = run(got.append)
    assert (status, got) == (0, [one])
    assert record["settings"] == {"threads": 2} and record["recipe"] == one.recipe._asdict() and record["usd"] == 0.0
    assert {"started", "machine", "seconds", "peak_memory_bytes", "devices"} <= record.keys()


def test_what_answers_cost_is_in_the_record(making):
    _, run = making
    assert run(lambda _: Made(usd=1.5))[1]["usd"] == 1.5


def test_what_was_found_keeps_the_record_of_when_it_was_made(making):
    one, run = making
    one.record.write_text(json.dumps({"seconds": 3600.0, "usd": 2.0, "recipe": {}}))
    _, record = run(lambda _: Made(found=True, usd=2.0))
    assert record["seconds"] == 3600.0 and record["recipe"] == one.recipe._asdict()
    assert run(lambda _: Made())[1]["seconds"] < 3600.0, "made again"


def test_what_the_store_has_is_recorded_as_it_was_made_there(making):
    _, run = making
    entry = base_job.STORE / "models" / "key"
    entry.mkdir(parents=True)
    (entry / "execution.json").write_text(json.dumps({"seconds": 7200.0, "settings": {"threads": 8}}))
    _, record = run(lambda _: Made(store="key"))
    assert record["seconds"] == 7200.0 and record["settings"] == {"threads": 8}


def test_a_command_that_fails_writes_no_record(making):
    one, run = making
    assert run(failing(UserError("no")))[0] == 1
    assert not one.record.exists()


def test_a_job_file_that_is_not_there_is_one_line(making, capsys):
    _, run = making
    run(lambda _: None)
    assert job.execute("probe", ["results/.jobs/none.json"]) == 1
    assert capsys.readouterr().err == (
        "mixmerge probe: results/.jobs/none.json: no such job; run snakemake, which writes it down\n"
    )


@pytest.mark.parametrize(
    ("command", "room"), [("mixture", "data"), ("train", "train"), ("why", "run"), ("table", "paper")]
)
def test_a_command_is_the_file_of_its_name(command, room):
    assert job.module_of(command) == f"workflow_scripts.{room}.{command}"


def test_no_two_files_of_commands_have_one_name():
    """A command is found by its file's name, in whatever room."""
    for stage in STAGES.values():
        assert len(list(PACKAGE.glob(f"*/{stage.command}.py"))) == 1, stage.command


def test_what_was_to_be_kept_and_is_not_in_the_store_is_not_made_as_if_by_older_code(stage, capsys):
    """What it is made from was made again, and is another now; its recipe holds the code that made it once."""
    asked = dataclasses.replace(jobs.job("probe", {"rows": [Path("out/rows.parquet")]}), kept=True)
    Path("job.json").write_text(asked.text())
    assert base_job.read(Path("job.json")) == asked
    module, made = sys.modules["workflow_scripts.probe"], []
    module.make = made.append
    for is_found, status in ((False, 1), (True, 0)):
        module.is_found = lambda job, found=is_found: found
        assert job.execute("probe", ["job.json"]) == status
    assert len(made) == 1
    assert capsys.readouterr().err.count("was to be kept, but what it is made from is another now") == 1
