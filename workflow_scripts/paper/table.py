"""Stage: a table, from scores alone, as CSV, Markdown and LaTeX."""

import argparse
import json
from pathlib import Path

from workflow_scripts.base import hashing
from workflow_scripts.experiment import recipes
from workflow_scripts.paper import judge_tables, study, tables
from workflow_scripts.store import checksums, finished_work


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="table", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--scores", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True, help="path without its ending")
    given = parser.parse_args(arguments)
    work, recipe = given.recipe["work"], hashing.of_json(given.recipe)
    render = judge_tables.render if work["spec"]["kind"] in recipes.MEASURING else tables.render
    made = render(work["item"], study.item(work), study.assemble(work, given.scores))
    forms = {
        ".csv": made.csv,
        ".md": f"{made.markdown}\n<!-- recipe {recipe} -->\n",
        ".tex": f"{made.latex}\n% recipe {recipe}\n",
    }
    files = {given.output.with_name(given.output.name + ending): text for ending, text in forms.items()}
    with checksums.recording(Path("results"), files):
        for path, text in files.items():
            finished_work.write_text(path, text)
