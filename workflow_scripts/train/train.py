"""Stage: a training (SFT or DPO) of a parent on the rows of a mixture that its recipe selects."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import mixture
from workflow_scripts.generate import engine_server
from workflow_scripts.models import directory, manifest, model_size
from workflow_scripts.process import command
from workflow_scripts.store import checksums, finished_work
from workflow_scripts.train import launch


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--parent", type=Path, required=True)
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--curve", type=Path, required=True)
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]

    parent = manifest.check(given.parent)
    rows = mixture.select(records.read(given.mixture, records.MIXTURE), **work["select"])
    if not len(rows):
        raise UserError(f"models.{names['model']}: no row of mixture '{names['mixture']}' is selected; mend the row")
    learned = ["prompt", "completion", "rejected"] if work["method"] == "dpo" else ["prompt", "completion"]
    data = hashing.of_table(rows.select(learned))
    settings = {name: value for name, value in work.items() if name != "select"}  # the rows stand for it

    def make(state: Path, output: Path) -> dict[str, Any]:
        recipe = settings | given.how["training"][names["model"]]
        engine_server.dismiss()  # an engine that waits for a job holds the memory that training needs
        trainer = launch if recipe["processes"] > 1 else command.heavy("train.trainer")
        result: dict[str, Any] = trainer.train(recipe, given.parent, rows, state, output)
        records.write(output / manifest.CURVE, result.pop("curve"), records.CURVE, {})
        return result

    key = finished_work.key(settings, parent=parent["model"], data=data)
    entry = finished_work.get_or_make(given.store, key, make, _bytes(given.parent, settings))
    curve = records.read(given.store / "models" / key / manifest.CURVE, records.CURVE)
    with checksums.recording(Path("results"), [given.curve]):
        records.write(given.curve, curve, records.CURVE, {"recipe": given.recipe, "store": key})
    licences = records.licences(given.mixture)
    manifest.publish(
        given.store, key, entry, given.output, given.recipe, {names["parent"]: given.parent}, data, licences=licences
    )


def _bytes(parent: Path, settings: dict[str, Any]) -> float:
    """What the training writes at its highest point, where its architecture is known."""
    try:
        return model_size.training_disk(directory.read_config(parent), settings).peak
    except KeyError:
        return 0
