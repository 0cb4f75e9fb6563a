"""Merges that are made when they are needed, a second time for a temporary one."""

from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def merged(key: str, settings: dict[str, Any], parents: list[Path], base: Path | None = None) -> dict[str, Any]:
    """The store's entry of a merge, which is made if it is not there."""

    def make(_: Path, output: Path) -> dict[str, Any]:
        facts: dict[str, Any] = command.heavy("merge.with_mergekit").merge(settings, parents, base, output)
        return {**facts, "settings": settings}  # all of them, for when it is made again

    first = parents[0].glob("*.safetensors")  # the merge is as large, but for another data type
    return finished_work.get_or_make(STORE, key, make, sum(file.stat().st_size for file in first))


def again(folder: Path) -> Path:
    """Where the weights of a temporary merge lie: in the store, merged again if they were released.

    Raises:
        UserError: a parent is not what it was, or the merge came out otherwise than its manifest says.
    """
    described = manifest.read(folder)
    recipe = described["recipe"]
    parents = [folder.with_name(name) for name in recipe["inputs"]["parents"]]
    base = folder.with_name(recipe["inputs"]["base"]) if recipe["inputs"]["base"] else None
    for needed in [*parents, *([base] if base else [])]:
        manifest.check(needed)
    entry = merged(described["store"], described["facts"]["settings"], parents, base)
    if entry["files"] != described["files"]:
        path = folder / "manifest.json"
        raise UserError(
            f"{path}: merged again, other weights came out (by other code or on another machine?); "
            f"`make discard FILE={path}`"
        )
    return STORE / "models" / str(described["store"])
