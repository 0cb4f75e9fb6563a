"""Stage: a model with random weights, and a tokenizer made from the words of a mixture."""

import argparse
import json
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, records
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="initialise", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    rows = records.read(given.mixture, records.MIXTURE)
    data = hashing.of_table(rows.select(["prompt", "completion", "rejected"]))

    def make(_: Path, output: Path) -> dict[str, Any]:
        command.heavy("train.random_model").initialise(given.recipe["work"], rows, output)
        return {}

    key = finished_work.key(given.recipe["work"], data=data)
    entry = finished_work.get_or_make(given.store, key, make)
    manifest.publish(
        given.store, key, entry, given.output, given.recipe, data=data, licences=records.licences(given.mixture)
    )
