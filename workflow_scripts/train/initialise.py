"""Command: a model with random weights, and a tokenizer made from the words of a mixture."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def make(job: Job) -> Made:
    """Make what a job is about."""
    rows, owed = records.read(job.file("mixture"), records.MIXTURE), key(job)

    def initialise(_: Path, output: Path) -> dict[str, Any]:
        command.heavy("train.random_model").initialise(job.settings, rows, output)
        return {}

    entry = finished_work.get_or_make(STORE, owed, initialise)
    manifest.publish(job, owed, entry, data=_content(rows), licences=records.licences(job.file("mixture")))
    return Made(store=owed)


def key(job: Job) -> str:
    """The store's key."""
    return finished_work.key(job.work, data=_content(records.read(job.file("mixture"), records.MIXTURE)))


def _content(rows: pa.Table) -> str:
    return hashing.of_table(rows.select(["prompt", "completion", "rejected"]))
