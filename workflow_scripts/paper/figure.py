"""Stage: a figure, from scores (or learning curves) alone, as SVG and PNG, and the numbers it draws as CSV."""

import argparse
import json
from pathlib import Path

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.paper import scores
from workflow_scripts.process import command
from workflow_scripts.store import checksums, finished_work


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="figure", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--scores", type=Path, nargs="*", default=[])
    parser.add_argument("--curves", type=Path, nargs="*", default=[])
    parser.add_argument("--output", type=Path, required=True, help="path without its ending")
    given = parser.parse_args(arguments)
    work = given.recipe["work"]
    figures = command.heavy("paper.drawing")
    curves: dict[tuple[str, int], pa.Table] = {
        (path.stem, int(path.parts[-3].removeprefix("seed"))): records.read(path, records.CURVE)
        for path in given.curves
    }
    drawn = figures.draw(work["item"], scores.item(work), scores.read(work, given.scores), curves)
    note = f"<!-- recipe {hashing.of_json(given.recipe)} -->\n".encode()
    for ending, content in ((".svg", drawn.svg + note), (".png", drawn.png), (".csv", drawn.csv.encode())):
        path = given.output.with_name(given.output.name + ending)
        with checksums.recording(Path("results"), [path]):
            finished_work.write_bytes(path, content)
