"""Stage: a table, from scores alone, as CSV, Markdown and LaTeX."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing
from workflow_scripts.paper import scores
from workflow_scripts.paper.tables import TABLES
from workflow_scripts.paper.typeset import Table
from workflow_scripts.store import checksums, finished_work


def render(name: str, item: Mapping[str, Any], found: scores.Scores) -> Table:
    """A table of the config, in its three forms.

    Args:
        name: its key in the config.
        item: see `tables`, and the module of its kind there.
        found: all that it may say something about.

    Raises:
        UserError: the item names what there is not, or has no rows.
    """
    return TABLES[item.get("kind") or "cells"](name, item, found)


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="table", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--scores", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True, help="path without its ending")
    given = parser.parse_args(arguments)
    work, recipe = given.recipe["work"], hashing.of_json(given.recipe)
    made = render(work["item"], scores.item(work), scores.read(work, given.scores))
    forms = {
        ".csv": made.csv,
        ".md": f"{made.markdown}\n<!-- recipe {recipe} -->\n",
        ".tex": f"{made.latex}\n% recipe {recipe}\n",
    }
    files = {given.output.with_name(given.output.name + ending): text for ending, text in forms.items()}
    with checksums.recording(Path("results"), files):
        for path, text in files.items():
            finished_work.write_text(path, text)
