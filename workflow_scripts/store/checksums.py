"""The hash of every artifact, recorded when it was written, so that a later change by hand is found.

results/.checksums/<path of the artifact, / as %>  holds {"sha256", "size", "mtime_ns"}.  As in git's index, a file
whose size and time are those recorded counts as unchanged; another is hashed, so new times (cp -r, touch, a fresh
clone) cost one look.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.base import hashing
from workflow_scripts.store import finished_work


def record(results: Path, paths: Iterable[Path]) -> None:
    """Record what artifacts in `results` are now."""
    for path in paths:
        finished_work.write_text(_place(results, path), _content(path, hashing.of_file(path)))


@contextmanager
def recording(results: Path, paths: Iterable[Path]) -> Iterator[None]:
    """Record the artifacts that are written in this context; a kill in it leaves no old record of a new artifact."""
    paths = list(paths)
    for path in paths:
        _place(results, path).unlink(missing_ok=True)
    yield
    record(results, paths)


def changed(results: Path) -> list[Path]:
    """The artifacts that are not what was recorded; not deleted ones, since deleting is consent to rebuild."""
    found = []
    for place in sorted((results / ".checksums").glob("*")):
        path = results / place.name.replace("%", "/")
        if place.name.startswith(".") or not path.exists():
            continue
        try:
            recorded, status = json.loads(place.read_text()), path.stat()
        except ValueError:  # without a readable record nobody knows what the artifact was
            found.append(path)
            continue
        if (status.st_size, status.st_mtime_ns) == (recorded["size"], recorded["mtime_ns"]):
            continue
        if status.st_size == recorded["size"] and hashing.of_file(path) == recorded["sha256"]:
            finished_work.write_text(place, _content(path, recorded["sha256"]))
        else:
            found.append(path)
    return found


def discard(results: Path, path: Path) -> None:
    """Delete an artifact with its record."""
    path.unlink(missing_ok=True)
    _place(results, path).unlink(missing_ok=True)


def _place(results: Path, path: Path) -> Path:
    return results / ".checksums" / os.path.relpath(path, results).replace("/", "%")


def _content(path: Path, sha256: str) -> str:
    status = path.stat()
    return json.dumps({"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns})
