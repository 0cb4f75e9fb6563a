"""Command: delete an artifact, or a damaged entry of the store with what is linked from it, so that it is made again.

This is the consent without which nothing that was changed by hand is rebuilt.
"""

import argparse
import json
import shutil
from pathlib import Path

from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE
from workflow_scripts.store import checksums, finished_work

MODELS = STORE / "models"


def discard(path: Path) -> list[Path]:
    """Delete a file of results/, or an entry of the store; what was deleted.

    A model's file is a link into the store: edited in place, it damaged the store's copy as well, which goes with it.

    Raises:
        UserError: there is no such artifact in results/.
    """
    if not path.exists() or RESULTS.resolve() not in path.resolve().parents:
        raise UserError(f"{path}: no artifact in results/; give the path as it was named")
    if MODELS.resolve() in path.resolve().parents:
        entry = MODELS / path.resolve().relative_to(MODELS.resolve()).parts[0]
        return [*_forget(entry), entry]
    twins = [entry for entry in _entries_with(path)]
    checksums.discard(RESULTS, path)
    return [path, *(gone for entry in twins for gone in [*_forget(entry), entry])]


def _entries_with(path: Path) -> list[Path]:
    """The store's entries that share this very file and are not what they were."""
    status = path.stat()
    found = []
    for twin in MODELS.glob(f"*/{path.name}"):
        if (twin.stat().st_dev, twin.stat().st_ino) == (status.st_dev, status.st_ino):
            try:
                finished_work.find(MODELS.parent, twin.parent.name)
            except UserError:
                found.append(twin.parent)
    return found


def _forget(entry: Path) -> list[Path]:
    """Delete an entry and every artifact that is a link to one of its damaged files."""
    gone = []
    try:
        files = json.loads((entry / "entry.json").read_text())["files"]
    except (OSError, ValueError, KeyError):
        files = {}  # the entry's own description is what was damaged
    for name, sha256 in files.items():
        if not (entry / name).exists() or hashing.of_file(entry / name) == sha256:
            continue
        inode = (entry / name).stat().st_ino
        for artifact in RESULTS.glob(f"[!.]*/**/{name}"):
            if artifact.stat().st_ino == inode:
                checksums.discard(RESULTS, artifact)
                gone.append(artifact)
    shutil.rmtree(entry)
    return gone


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="discard", description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    for path in parser.parse_args(arguments).paths:
        for gone in discard(path):
            print(f"deleted {gone}")
