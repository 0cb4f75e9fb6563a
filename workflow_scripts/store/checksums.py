"""Seals: the hash of every artifact, taken when it was written, so that a later change by hand is seen.

results/.seals/<path of the artifact, / as %>  holds {"sha256", "size", "mtime_ns"}.  As in git's index, a file whose
size and time are those of the seal is believed; another is hashed, so new times (cp -r, touch, a fresh clone) cost one
look.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.base import hashing
from workflow_scripts.store import finished_work


def seal(results: Path, paths: Iterable[Path]) -> None:
    """Record what artifacts in `results` are now."""
    for path in paths:
        finished_work.write_text(_place(results, path), _record(path, hashing.of_file(path)))


@contextmanager
def sealing(results: Path, paths: Iterable[Path]) -> Iterator[None]:
    """Seal the artifacts that are written in this context; a kill in it leaves no old seal on a new artifact."""
    paths = list(paths)
    for path in paths:
        _place(results, path).unlink(missing_ok=True)
    yield
    seal(results, paths)


def broken(results: Path) -> list[Path]:
    """The artifacts that are not what was sealed; not deleted ones, since deleting is consent to rebuild."""
    changed = []
    for place in sorted((results / ".seals").glob("*")):
        path = results / place.name.replace("%", "/")
        if place.name.startswith(".") or not path.exists():
            continue
        try:
            record, status = json.loads(place.read_text()), path.stat()
        except ValueError:  # a seal that cannot be read vouches for nothing
            changed.append(path)
            continue
        if (status.st_size, status.st_mtime_ns) == (record["size"], record["mtime_ns"]):
            continue
        if status.st_size == record["size"] and hashing.of_file(path) == record["sha256"]:
            finished_work.write_text(place, _record(path, record["sha256"]))
        else:
            changed.append(path)
    return changed


def discard(results: Path, path: Path) -> None:
    """Delete an artifact with its seal."""
    path.unlink(missing_ok=True)
    _place(results, path).unlink(missing_ok=True)


def _place(results: Path, path: Path) -> Path:
    return results / ".seals" / os.path.relpath(path, results).replace("/", "%")


def _record(path: Path, sha256: str) -> str:
    status = path.stat()
    return json.dumps({"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns})
