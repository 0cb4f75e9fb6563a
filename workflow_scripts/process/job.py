"""A job: one stage's function called in this process, marked as running, its user's errors said in one line."""

import fcntl
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.base import disk
from workflow_scripts.base import job as base_job
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.store import execution, finished_work

RUNNING = Path("results/.running")  # every job holds a shared lock on it


def module_of(stage: str) -> str:
    """The module of a command, which is the file of its name in its room; the package's own where there is none.

    >>> module_of("overlap")
    'workflow_scripts.data.overlap'
    """
    file = next(PACKAGE.glob(f"*/{stage}.py"), PACKAGE / f"{stage}.py")
    return ".".join([PACKAGE.name, *file.relative_to(PACKAGE).with_suffix("").parts])


def execute(command: str, arguments: list[str]) -> int:
    """Run a command in this process; 0, or 1 after a user's error, which goes to stderr in one line."""
    try:
        module = importlib.import_module(module_of(command))
        if hasattr(module, "make"):
            _make(module.make, *arguments)
        else:
            module.main(arguments)
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else disk.full_disk_message(error)
        if message is None:
            raise
        print(f"mixmerge {command}: {message}", file=sys.stderr, flush=True)
        return 1
    return 0


def _make(make: Callable[[Job], Made | None], file: str) -> None:
    """Make an artifact, and write beside it how it was made; what was found in the store keeps its first record."""
    job = base_job.read(Path(file))
    if job.kept and not is_found(job):
        raise UserError(
            f"{job.record.parent}: was to be kept, but what it is made from is another now; "
            "give the same command again, which makes it with the code that is here"
        )
    with execution.measured(job.execution) as measured:
        made = make(job) or Made()
    earlier = finished_work.execution_of(STORE, made.store) if made.store else None
    if earlier is None and made.found:
        earlier = base_job.read_record(job.record)
    record = {**(earlier or measured), "usd": made.usd, "recipe": job.recipe._asdict()}
    finished_work.write_text(job.record, json.dumps(record, indent=1, sort_keys=True) + "\n")


def is_found(job: Job) -> bool | None:
    """Whether the store has the finished work of a job; None where its inputs do not lie there to tell."""
    command = importlib.import_module(module_of(job.recipe.stage))
    try:
        if hasattr(command, "is_found"):
            return bool(command.is_found(job))
        return hasattr(command, "key") and finished_work.known(STORE, command.key(job)) is not None
    except (UserError, OSError):
        return None


@contextmanager
def running() -> Iterator[None]:
    """Show that a job is at work in results/, by a lock that the next run waits for."""
    RUNNING.parent.mkdir(exist_ok=True)
    with RUNNING.open("a+") as file:  # NFS gives a shared lock to readers only, an exclusive one to writers
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
