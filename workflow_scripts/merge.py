"""Stage: a merge of parents."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from workflow_scripts import cli, manifest, store


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="merge", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--parents", type=Path, nargs="+", required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--temporary", action="store_true", help="keep no copy in the store: the weights will be removed"
    )
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    parents = [manifest.check(parent)["model"] for parent in given.parents]
    base = manifest.check(given.base)["model"] if given.base else None

    def make(_: Path, output: Path) -> dict[str, Any]:
        facts: dict[str, Any] = cli.heavy("merging").merge(work, given.parents, given.base, output)
        return facts

    key = store.key(work, parents=parents, base=base)
    entry = store.get_or_make(given.store, key, make)
    folders = dict(zip(names["parents"], given.parents, strict=True)) | (
        {names["base"]: given.base} if given.base else {}
    )
    manifest.publish(given.store, key, entry, given.output, given.recipe, folders)
    if given.temporary:
        shutil.rmtree(given.store / "models" / key)


if __name__ == "__main__":
    cli.run_this()
