"""A full disk: found before work starts where its size is known, and reported in one line when it happens; locks."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.base.errors import UserError

# Libraries raise errors of their own; torch reports only that it could not write.
SYSTEM = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
SIGNS = (*SYSTEM, "PytorchStreamWriter failed writing", "iostream error", "unexpected pos")


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room left, in whatever words."""
    text = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(sign in text for sign in SIGNS)


@contextmanager
def room(folder: Path, needed: float = 0) -> Iterator[None]:
    """Work that will have written `needed` bytes below a folder, as far as is known; what is there already counts.

    Raises:
        UserError: the disk has less, or filled up on the way.
    """
    missing = needed - size(folder)
    if missing > free(folder):
        raise UserError(f"{folder}: {_readable(missing)} to be written, but {_free_and_advice(folder)}")
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        wanted = f", and {_readable(needed)} is needed in all" if needed else ""
        raise UserError(f"{folder}: the disk is full{wanted}; {_free_and_advice(folder)}") from None


def full_disk_message(error: Exception) -> str | None:
    """The line for a full disk that nobody expected; None for other errors."""
    if not is_full(error):
        return None
    place = getattr(error, "filename", None) or "results/"
    reason = next((sign for sign in SYSTEM if sign in str(error)), SYSTEM[0])
    return f"{place}: {reason}; {_free_and_advice(Path(place))}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a path, which one process has at a time; others wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free(folder: Path) -> int:
    """Bytes that the file system of a folder, which need not exist yet, has for this user."""
    there = next(place for place in [folder, *folder.absolute().parents] if place.exists())
    return shutil.disk_usage(there).free


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _free_and_advice(folder: Path) -> str:
    return f"{_readable(free(folder))} is free; make room, or move results/, and run again"


def _readable(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
