"""Command: a training (SFT or DPO) of a parent on the rows of a mixture that its recipe selects."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.data import mixture
from workflow_scripts.generate import engine_server
from workflow_scripts.models import directory, manifest, model_size
from workflow_scripts.process import command
from workflow_scripts.store import finished_work, outputs
from workflow_scripts.train import launch


def make(job: Job) -> Made:
    """Make what a job is about."""
    parent, settings = job.file("parent").parent, job.settings | job.execution
    rows, owed = _rows(job), key(job)

    def train(state: Path, output: Path) -> dict[str, Any]:
        engine_server.dismiss()  # an engine that waits for a job holds the memory that training needs
        trainer = launch if settings["processes"] > 1 else command.heavy("train.trainer")
        result: dict[str, Any] = trainer.train(settings, parent, rows, state, output)
        records.write(output / manifest.CURVE, result.pop("curve"), records.CURVE, {})
        return result

    entry = finished_work.get_or_make(STORE, owed, train, _bytes(parent, settings), job.execution)
    curve = records.read(STORE / "models" / owed / manifest.CURVE, records.CURVE)
    outputs.write_rows(job, job.output("curve"), curve, records.CURVE, store=owed)
    licences = records.licences(job.file("mixture"))
    manifest.publish(job, owed, entry, {job.recipe.inputs["parent"]: parent}, _content(job, rows), licences=licences)
    return Made(store=owed)


def key(job: Job) -> str:
    """The store's key: settings and code, the parent, and the rows themselves in place of how they are selected."""
    settings = {name: value for name, value in job.recipe.settings.items() if name != "select"}
    parent = manifest.read(job.file("parent").parent)["model"]
    return finished_work.key(job.work | {"settings": settings}, parent=parent, data=_content(job, _rows(job)))


def _rows(job: Job) -> pa.Table:
    """The rows that the training sees."""
    rows = mixture.select(records.read(job.file("mixture"), records.MIXTURE), **job.settings["select"])
    if not len(rows):
        about = job.recipe.inputs
        raise UserError(f"models.{about['model']}: no row of mixture '{about['mixture']}' is selected; correct the row")
    return rows


def _content(job: Job, rows: pa.Table) -> str:
    """What the training reads of its rows, as a hash."""
    learned = ["prompt", "completion"] if job.settings["method"] == "sft" else ["prompt", "completion", "rejected"]
    return hashing.of_table(rows.select(learned))


def _bytes(parent: Path, settings: dict[str, Any]) -> float:
    """What the training writes at its highest point, where its architecture is known."""
    try:
        return model_size.training_disk(directory.read_config(parent), settings).peak
    except KeyError:
        return 0
