"""Command: a model that exists, from a local folder or the hub's cache, safetensors only."""

import shutil
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import manifest
from workflow_scripts.store import finished_work

TAKEN = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def fetch(work: dict[str, Any], output: Path) -> None:
    """Copy a model into a folder.

    Raises:
        UserError: it is not there, not to be had, or has no safetensors.
    """
    source = hub.folder(work["load"], work["revision"], TAKEN)
    files = [path for pattern in TAKEN for path in sorted(source.glob(pattern))]
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(f"{work['load']}: has no .safetensors; convert it first (other formats can run code)")
    for path in files:
        shutil.copyfile(path, output / path.name)


def make(job: Job) -> Made:
    """Make what a job is about."""
    owed = key(job)

    def load(_: Path, output: Path) -> dict[str, Any]:
        fetch(job.settings, output)
        return {}

    entry = finished_work.get_or_make(STORE, owed, load, sum(path.stat().st_size for path in _files(job)))
    licences = {job.recipe.inputs["model"]: job.recipe.inputs["licence"]}
    manifest.publish(job, owed, entry, licences=licences)
    return Made(store=owed)


def key(job: Job) -> str:
    """The store's key: the content of a folder; of the hub's, the revision is among the settings."""
    return finished_work.key(job.work, files={path.name: hashing.of_file(path) for path in _files(job)})


def _files(job: Job) -> list[Path]:
    source = Path(job.settings["load"])
    return [path for pattern in TAKEN for path in sorted(source.glob(pattern))]
