"""Stage: safety data made from the rows of another source, and how much of it came through."""

import argparse
import json
import os
from pathlib import Path

from workflow_scripts.base import hashing, records
from workflow_scripts.data import synthesis
from workflow_scripts.llm.client import Answer, Client, Request
from workflow_scripts.store import checksums


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="synthesise", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--yields", type=Path, required=True)
    given = parser.parse_args(arguments)
    seeds = records.read(given.seeds, records.ROWS)

    def ask(section: str, key: str, requests: list[Request]) -> list[Answer]:
        with Client(given.how[section][key], given.store / "judgments") as client:
            return client.answers(requests)

    rows, yields = synthesis.rows(given.recipe["work"], seeds, ask)
    print(*synthesis.summary(yields), sep="\n", flush=True)
    lineage = {
        "recipe": given.recipe,
        "seeds": hashing.of_table(seeds),
        "rows": hashing.of_table(rows),
        "licences": records.licences(given.seeds),
        "counts": records.counts(rows),
    }
    with checksums.recording(Path("results"), [given.output, given.yields]):
        records.write(given.yields, yields, records.SYNTHESIS, lineage)
        records.write(given.output, rows, records.ROWS, lineage)
