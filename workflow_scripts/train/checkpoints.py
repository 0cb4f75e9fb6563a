"""Checkpoints of a training: only one whose files are all written is resumed from."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = "whole.json"  # in a checkpoint: the size of each file, written last


def mark(checkpoint: Path) -> None:
    """Mark a checkpoint as whole, and delete older ones."""
    sizes = {str(file.relative_to(checkpoint)): file.stat().st_size for file in checkpoint.rglob("*") if file.is_file()}
    (checkpoint / MARKER).write_text(json.dumps(sizes, sort_keys=True))
    for older in checkpoint.parent.glob("checkpoint-*"):
        if older != checkpoint:
            shutil.rmtree(older)


def last_whole(work: Path) -> Path | None:
    """The last checkpoint whose files are all as long as its marker says; others, cut off by a kill, are deleted."""
    whole = []
    for checkpoint in work.glob("checkpoint-*"):
        try:
            sizes = json.loads((checkpoint / MARKER).read_text())
            if any((checkpoint / name).stat().st_size != size for name, size in sizes.items()):
                raise OSError("truncated")
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
        else:
            whole.append(checkpoint)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


@contextmanager
def nothing_halfway(work: Path) -> Iterator[None]:
    """After an error, leave whole checkpoints alone, and no others: a full disk has no room for halves."""
    try:
        yield
    except Exception:
        if os.environ.get("RANK", "0") == "0":
            last_whole(work)
        raise
