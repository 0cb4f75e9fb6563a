"""A command tells its user's mistakes in one line, shows its own in full, and is seen to be running."""

import errno
import fcntl
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.process import command, fork_server

ROOT = Path(__file__).parents[3]


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
    assert command.execute("probe", ["--a", "1"]) == 0 and got == ["--a", "1"]


def test_a_users_mistake_is_one_line_on_stderr_and_exit_status_one(stage, capsys):
    stage(failing(UserError("models.x: is wrong; mend it")))
    assert command.execute("probe", []) == 1
    assert capsys.readouterr() == ("", "mixmerge probe: models.x: is wrong; mend it\n")


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
    assert command.execute("probe", []) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mixmerge probe: {told}; ") and "is free; make room" in said and said.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EACCES, "Permission denied", "x")])
def test_what_is_not_the_users_is_not_hidden(stage, error):
    stage(failing(error))
    with pytest.raises(type(error)):
        command.execute("probe", [])


def test_running_holds_a_lock_that_others_share_and_a_new_run_waits_for(stage):
    with command.running(), command.running(), command.RUNNING.open() as sign, pytest.raises(BlockingIOError):
        fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with command.RUNNING.open() as sign:
        fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_command_as_it_is_typed_holds_the_lock_and_gives_its_status(tmp_path):
    code = (
        "import sys, types, fcntl\n"
        "from workflow_scripts.process import command\n"
        "from workflow_scripts.base.errors import UserError\n"
        "def main(arguments):\n"
        "    try:\n"
        "        fcntl.flock(open(command.RUNNING), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except BlockingIOError:\n"
        "        print('held', arguments)\n"
        "    raise UserError('no')\n"
        "probe = types.ModuleType('workflow_scripts.probe'); probe.main = main\n"
        "sys.modules['workflow_scripts.probe'] = probe\n"
        "command.run('probe', sys.argv[1:])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MIXMERGE_WARM": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, "--a"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "held ['--a']\n", "mixmerge probe: no\n")


def test_heavy_work_asks_for_the_warm_process_once_and_not_within_it(monkeypatch):
    monkeypatch.setattr(fork_server, "allowed", lambda: True)
    with pytest.raises(fork_server.Wanted):
        command.heavy("experiment.training_data")
    monkeypatch.setattr(fork_server, "inside", lambda: True)
    assert command.heavy("experiment.training_data").__name__ == "workflow_scripts.experiment.training_data"
    monkeypatch.setattr(fork_server, "allowed", lambda: False)
    monkeypatch.setattr(fork_server, "inside", lambda: False)
    assert command.heavy("experiment.training_data").__name__ == "workflow_scripts.experiment.training_data"
