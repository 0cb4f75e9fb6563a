"""Command: a model that exists, from a local folder or the hub's cache, safetensors only, with its chat settled."""

import shutil
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import manifest, template_files
from workflow_scripts.process import command, limited
from workflow_scripts.store import finished_work

TAKEN = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


SECONDS = 120.0  # that trying a chat template may take; it takes a few


def fetch(work: dict[str, Any], output: Path) -> dict[str, Any]:
    """Copy a model into a folder, with what `chat` says of it, and say how its answers mark reasoning, if they do.

    Raises:
        UserError: it is not there, not to be had, or has no safetensors; or its chat template does not go with `chat`.
    """
    source = hub.folder(work["load"], work["revision"], TAKEN)
    files = [path for pattern in TAKEN for path in sorted(source.glob(pattern))]
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(f"{work['load']}: has no .safetensors; convert it first (other formats can run code)")
    settled = _settled(source, work)
    for path in files:
        shutil.copyfile(path, output / path.name)
    for name, text in settled.files.items() if settled else ():
        (output / name).write_text(text, encoding="utf-8")
    return {"reasoning": settled.reasoning} if settled and settled.reasoning else {}


def _settled(source: Path, work: dict[str, Any]) -> Any:
    """What is to be written of a model's chat; None for a model without a template, which may do without an answer."""
    chat = dict(work["chat"])
    given = chat.pop("template")
    if given is None and template_files.template(source) is None:
        if chat != template_files.NEUTRAL:
            raise UserError(f"{work['load']}: its tokenizer has no chat template for `chat`; give one by chat.template")
        return None
    settle = command.heavy("models.settled_chat").settle
    name = f"{work['load']}: its chat template"
    return limited.within(SECONDS, name, settle, source, given, chat, work["trust_remote_code"])


def make(job: Job) -> Made:
    """Make what a job is about."""
    owed = key(job)

    def load(_: Path, output: Path) -> dict[str, Any]:
        return fetch(job.settings, output)

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
