"""Command: a model that exists, from a local folder or the hub's cache, safetensors only."""

import shutil
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import contents, manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def fetch(work: dict[str, Any], output: Path) -> None:
    """Copy a model into a folder, and see that it can be trained, merged and answered with.

    Raises:
        UserError: it is not there or not to be had, its files contradict one another or its config.json, it is
            quantised, or it brings code and there is no consent.
    """
    source = hub.folder(work["load"], work["revision"], contents.TAKEN)
    try:
        for path in contents.of_model(source, work["trust_remote_code"]):
            shutil.copyfile(path, output / path.name)
        command.heavy("models.check").check(output)
    except UserError as error:  # the user knows the model by its name, not by where it lies
        said = str(error).replace(str(output), work["load"]).replace(str(source), work["load"])
        raise UserError(said) from None


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
    """The files of a local folder."""
    source = Path(job.settings["load"])
    return contents.of_model(source, job.settings["trust_remote_code"]) if source.is_dir() else []
