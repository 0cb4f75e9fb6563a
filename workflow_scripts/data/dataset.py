"""Stage: the rows of a published dataset."""

import argparse
import json
from pathlib import Path

from workflow_scripts.base import hashing, records
from workflow_scripts.data import formats
from workflow_scripts.store import checksums


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="dataset", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    table, counts = formats.rows(work)
    kept = records.counts(table)
    lineage = {
        "recipe": given.recipe,
        "rows": hashing.of_table(table),
        "licences": {work["name"]: names["licence"]},
        "counts": {**counts, **kept},
    }
    print(f"{work['name']}: {json.dumps({**counts, **kept})}")
    with checksums.recording(Path("results"), [given.output]):
        records.write(given.output, table, records.ROWS, lineage)
