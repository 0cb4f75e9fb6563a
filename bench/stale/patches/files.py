"""Edits of what lies in the experiment's folder."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from bench.stale.edit import Patch
from bench.stale.run import CODE, Run

Rows = list[dict[str, Any]]


def prompts(change: Callable[[Rows], None]) -> Patch:
    """Change rows of the red-team file."""

    def patch(run: Run) -> None:
        file = run.folder / "data/redteam.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        change(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return patch


def reword(rows: Rows) -> None:
    rows[0]["prompt"] += " + 1"


def one_more(rows: Rows) -> None:
    rows.append({**rows[0], "id": "another", "prompt": rows[0]["prompt"] + " + 2"})


def one_less(rows: Rows) -> None:
    rows.pop()


def backwards(rows: Rows) -> None:
    rows.reverse()


def delete(*patterns: str) -> Patch:
    """Delete what lies in the folder."""

    def patch(run: Run) -> None:
        for pattern in patterns:
            paths = list(run.folder.glob(pattern))
            assert paths, f"{pattern}: nothing to delete"
            for path in paths:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return patch


def damage(pattern: str) -> Patch:
    """Turn a bit of a file, in place, as a bad disk does."""

    def patch(run: Run) -> None:
        (path,) = run.folder.glob(pattern)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))

    return patch


def discard(*patterns: str) -> Patch:
    """Consent to the loss of what is damaged."""

    def patch(run: Run) -> None:
        for pattern in patterns:
            for path in run.folder.glob(pattern):
                run.command("discard", str(path.relative_to(run.folder)))

    return patch


def touch(run: Run) -> None:
    """Give every file the present time, in a random order."""
    paths = [path for path in run.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    random.Random(0).shuffle(paths)
    for path in paths:
        path.touch()


def copy_without_times(run: Run) -> None:
    """Cp -r: other inodes, new times."""
    copy = run.folder.with_name("copy")
    subprocess.run(["cp", "-r", str(run.folder), str(copy)], check=True)
    shutil.rmtree(run.folder)
    copy.rename(run.folder)


def old_times(run: Run) -> None:
    """What a checkout or an archive does: every file of ours becomes older than all results."""
    for path in [*run.folder.glob("data/*"), *run.code.rglob("*.py"), *run.code.rglob("*.smk")]:
        os.utime(path, (1.0e9, 1.0e9))


def clone(run: Run) -> None:
    """Run from a fresh clone of the code, without what Snakemake remembers outside results/."""
    copy = run.folder.parent / "clone"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in CODE:
        take = shutil.copytree if (run.code / name).is_dir() else shutil.copy
        take(run.code / name, copy / name)
    run.code = copy
    shutil.rmtree(run.folder / ".snakemake")
