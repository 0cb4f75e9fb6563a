"""Stage: a model that exists, from a local folder or the hub's cache, safetensors only."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import manifest
from workflow_scripts.store import finished_work

TAKEN = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def fetch(work: dict[str, Any], output: Path) -> None:
    """Copy a model into a folder.

    Raises:
        UserError: it is not there, not to be had, or has no safetensors.
    """
    source = hub.folder(work["load"], work["revision"], TAKEN)
    files = [path for pattern in TAKEN for path in sorted(source.glob(pattern))]
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(f"{work['load']}: has no .safetensors; convert it first (other formats can run code)")
    for path in files:
        shutil.copyfile(path, output / path.name)


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    source = Path(given.recipe["work"]["load"])
    content = {p.name: hashing.of_file(p) for pattern in TAKEN for p in sorted(source.glob(pattern))}

    def make(_: Path, output: Path) -> dict[str, Any]:
        fetch(given.recipe["work"], output)
        return {}

    key = finished_work.key(given.recipe["work"], files=content)
    files = (path for pattern in TAKEN for path in source.glob(pattern))
    entry = finished_work.get_or_make(given.store, key, make, sum(path.stat().st_size for path in files))
    licences = {given.recipe["names"]["model"]: given.recipe["names"]["licence"]}
    manifest.publish(given.store, key, entry, given.output, given.recipe, licences=licences)
