"""A job says its user's mistakes in one line, shows its own in full, and is seen to be running."""

import errno
import fcntl
import os
import sys
import types

import pytest

from workflow_scripts.base.errors import UserError
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
