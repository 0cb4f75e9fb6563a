"""How a command runs: as a job of this process, or of the fork server where that saves seconds of imports."""

import importlib
import os
import sys
from types import ModuleType
from typing import NoReturn

from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.process import fork_server, job


def run(stage: str, arguments: list[str]) -> NoReturn:
    """Run a stage as a command of its own and exit with its status."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # stages that use more threads set it themselves
    with job.running():
        status = fork_server.ask(stage, arguments) if fork_server.allowed() else None
        if status is None:
            try:
                status = job.execute(stage, arguments)
            except fork_server.Wanted:
                status = fork_server.ask(stage, arguments, may_start=True)
                if status is None:  # no server to be had: a killed one, or a machine that is too busy
                    os.environ["MIXMERGE_WARM"] = "0"
                    status = job.execute(stage, arguments)
    sys.stdout.flush()
    os._exit(status)  # at once: threads that libraries leave behind are not waited for


def is_known(name: str) -> bool:
    """Whether there is a command of a name."""
    return name.isidentifier() and any(PACKAGE.glob(f"*/{name}.py"))


def heavy(module: str) -> ModuleType:
    """Import a module of work, which takes seconds; where the fork server may have it already, ask there instead."""
    if fork_server.allowed() and not fork_server.inside():
        raise fork_server.Wanted
    return importlib.import_module(f"workflow_scripts.{module}")
