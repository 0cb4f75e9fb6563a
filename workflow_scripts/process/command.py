"""How a command runs: marked as running, in a warm process where one helps, its errors in one line."""

import fcntl
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from workflow_scripts.base import disk
from workflow_scripts.base.errors import UserError
from workflow_scripts.process import fork_server

PACKAGE = Path(__file__).parent.parent
RUNNING = Path("results/.running")  # every job holds a shared lock on it


def run(stage: str, arguments: list[str]) -> NoReturn:
    """Run a stage as a command of its own and exit with its status."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # stages that use more threads say so in their recipes
    with running():
        status = fork_server.ask(stage, arguments) if fork_server.allowed() else None
        if status is None:
            try:
                status = execute(stage, arguments)
            except fork_server.Wanted:
                status = fork_server.ask(stage, arguments, may_start=True)
                if status is None:  # no server to be had: a killed one, or a machine that is too busy
                    os.environ["MIXMERGE_WARM"] = "0"
                    status = execute(stage, arguments)
    sys.stdout.flush()
    os._exit(status)  # at once: threads that libraries leave behind are not waited for


def module_of(stage: str) -> str:
    """The module of a command, which is the file of its name in its room; the package's own where there is none.

    >>> module_of("overlap")
    'workflow_scripts.data.overlap'
    """
    file = next(PACKAGE.glob(f"*/{stage}.py"), PACKAGE / f"{stage}.py")
    return ".".join([PACKAGE.name, *file.relative_to(PACKAGE).with_suffix("").parts])


def execute(stage: str, arguments: list[str]) -> int:
    """Run a stage's `main` in this process; 0, or 1 after a user's error, which goes to stderr in one line."""
    try:
        importlib.import_module(module_of(stage)).main(arguments)
    except UserError as error:
        print(f"mixmerge {stage}: {error}", file=sys.stderr, flush=True)
        return 1
    except Exception as error:
        if not (told := disk.in_words(error)):
            raise
        print(f"mixmerge {stage}: {told}", file=sys.stderr, flush=True)
        return 1
    return 0


def heavy(module: str) -> ModuleType:
    """Import a module of work, which takes seconds; where a warm process may have it already, ask there instead."""
    if fork_server.allowed() and not fork_server.inside():
        raise fork_server.Wanted
    return importlib.import_module(f"workflow_scripts.{module}")


@contextmanager
def running() -> Iterator[None]:
    """Hold the sign that a job is at work in results/, which the next run waits for."""
    RUNNING.parent.mkdir(exist_ok=True)
    with RUNNING.open("a+") as sign:  # NFS gives a shared lock to readers only, an exclusive one to writers
        fcntl.flock(sign, fcntl.LOCK_SH)
        yield
