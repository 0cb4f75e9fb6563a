"""Command: the model that a LoRA adapter makes of its base: merged to full weights, from a local folder or the hub."""

from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import contents, manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work


def make(job: Job) -> Made:
    """Make what a job is about."""
    folder = hub.folder(job.settings["load"], job.settings["revision"], contents.TAKEN)
    base, named = _base(job, folder), job.recipe.inputs["base"]
    if named:
        manifest.check(base)
    owed = key(job)

    def adapt(_: Path, output: Path) -> dict[str, Any]:
        command.heavy("train.adapters").adapt(folder, base, output)
        return {}

    entry = finished_work.get_or_make(STORE, owed, adapt, sum(p.stat().st_size for p in base.glob("*.safetensors")))
    licences = {job.recipe.inputs["model"]: job.recipe.inputs["licence"]}
    manifest.publish(job, owed, entry, {named: base} if named else {}, licences=licences)
    return Made(store=owed)


def key(job: Job) -> str:
    """The store's key: the adapter and its base by content; of the hub's, the revision is among the settings."""
    local = Path(job.settings["load"])
    files = _hashes(contents.of_adapter(local)) if local.is_dir() else {}
    base = _base(job, local)
    content = manifest.read(base)["model"] if job.recipe.inputs["base"] else _hashes(contents.of_model(base, False))
    return finished_work.key(job.work, files=files, base=content)


def _base(job: Job, adapter: Path) -> Path:
    """The folder of the base: of a model of the table, or the local one that the adapter names."""
    return job.file("base").parent if job.recipe.inputs["base"] else contents.base_folder(adapter)


def _hashes(files: list[Path]) -> dict[str, str]:
    return {path.name: hashing.of_file(path) for path in files}
