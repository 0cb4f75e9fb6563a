"""Finds a merge in the store, or merges; the same parents give the same weights at any time."""

from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def find_or_merge(
    store_folder: Path, key: str, work: dict[str, Any], parents: list[Path], base: Path | None
) -> dict[str, Any]:
    """What the store says of a merge, which is made where it has none or has released the weights."""

    def make(_: Path, output: Path) -> dict[str, Any]:
        facts: dict[str, Any] = command.heavy("merge.with_mergekit").merge(work, parents, base, output)
        return facts

    first = parents[0].glob("*.safetensors")  # the merge is as large, but for another data type
    return finished_work.get_or_make(store_folder, key, make, sum(file.stat().st_size for file in first))


def again(folder: Path, store_folder: Path) -> Path:
    """Where the weights of a temporary merge lie: in the store, merged again if they were released.

    Raises:
        UserError: a parent is not what it was, or the merge came out otherwise than its manifest says.
    """
    described = manifest.read(folder)
    work, names = described["recipe"]["work"], described["recipe"]["names"]
    parents = [folder.with_name(name) for name in names["parents"]]
    base = folder.with_name(names["base"]) if names["base"] else None
    for needed in [*parents, *([base] if base else [])]:
        manifest.check(needed)
    entry = find_or_merge(store_folder, described["store"], work, parents, base)
    if entry["files"] != described["files"]:
        path = folder / "manifest.json"
        raise UserError(f"{path}: merged again, other weights came out (another machine?); `make discard FILE={path}`")
    return store_folder / "models" / str(described["store"])
