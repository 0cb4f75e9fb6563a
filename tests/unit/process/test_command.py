"""A command runs as a job that holds the lock; the fork server does what takes long to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.process import command, fork_server

ROOT = Path(__file__).parents[3]


def test_a_command_as_it_is_typed_holds_the_lock_and_gives_its_status(tmp_path):
    code = (
        "import sys, types, fcntl\n"
        "from workflow_scripts.process import command, job\n"
        "from workflow_scripts.base.errors import UserError\n"
        "def main(arguments):\n"
        "    try:\n"
        "        fcntl.flock(open(job.RUNNING), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
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


def test_heavy_work_asks_for_the_fork_server_once_and_not_within_it(monkeypatch):
    monkeypatch.setattr(fork_server, "allowed", lambda: True)
    with pytest.raises(fork_server.Wanted):
        command.heavy("experiment.training_data")
    monkeypatch.setattr(fork_server, "inside", lambda: True)
    assert command.heavy("experiment.training_data").__name__ == "workflow_scripts.experiment.training_data"
    monkeypatch.setattr(fork_server, "allowed", lambda: False)
    monkeypatch.setattr(fork_server, "inside", lambda: False)
    assert command.heavy("experiment.training_data").__name__ == "workflow_scripts.experiment.training_data"
