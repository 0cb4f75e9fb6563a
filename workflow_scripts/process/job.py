"""A job: one stage's function called in this process, marked as running, its user's errors said in one line."""

import fcntl
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.base import disk
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import PACKAGE

RUNNING = Path("results/.running")  # every job holds a shared lock on it


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
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else disk.full_disk_message(error)
        if message is None:
            raise
        print(f"mixmerge {stage}: {message}", file=sys.stderr, flush=True)
        return 1
    return 0


@contextmanager
def running() -> Iterator[None]:
    """Show that a job is at work in results/, by a lock that the next run waits for."""
    RUNNING.parent.mkdir(exist_ok=True)
    with RUNNING.open("a+") as file:  # NFS gives a shared lock to readers only, an exclusive one to writers
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
