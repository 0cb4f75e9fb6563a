"""Command: a table, from scores and what merges reported, as CSV, Markdown and LaTeX."""

from collections.abc import Mapping
from typing import Any

from workflow_scripts.base import hashing
from workflow_scripts.base.job import Job
from workflow_scripts.paper import scores
from workflow_scripts.paper.tables import TABLES
from workflow_scripts.paper.typeset import Table
from workflow_scripts.store.outputs import write_bytes


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


def make(job: Job) -> None:
    """Make what a job is about."""
    recipe = hashing.of_json(job.recipe._asdict())
    made = render(job.settings["item"], scores.item(job.settings), scores.of(job))
    forms = {
        "csv": made.csv,
        "md": f"{made.markdown}\n<!-- recipe {recipe} -->\n",
        "tex": f"{made.latex}\n% recipe {recipe}\n",
    }
    for form, text in forms.items():
        write_bytes(job.output(form), text.encode())
