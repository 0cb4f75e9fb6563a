"""Command: a model that exists, from a local folder or the hub's cache, safetensors only, with its chat settled."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.models import contents, manifest, template_files
from workflow_scripts.process import command, limited
from workflow_scripts.store import finished_work

SECONDS = 120.0  # that trying a chat template may take; it takes a few


def fetch(work: dict[str, Any], output: Path) -> dict[str, Any]:
    """Copy a model into a folder with its chat settled, and see that it can be trained, merged and answered with.

    Returns:
        How its answers mark reasoning, if they do.

    Raises:
        UserError: it is not there or not to be had, its files contradict one another or its config.json, it is
            quantised, it brings code and there is no consent, or its chat template does not go with `chat`.
    """
    source = hub.folder(work["load"], work["revision"], contents.TAKEN)
    try:
        for path in contents.of_model(source, work["trust_remote_code"]):
            _take(path, output / path.name)
        command.heavy("models.check").check(output)  # first: it says what consent is missing for
        settled = _settled(output, work)
    except UserError as error:  # the user knows the model by its name, not by where it lies
        said = str(error).replace(str(output), work["load"]).replace(str(source), work["load"])
        raise UserError(said) from None
    for name, text in settled.files.items() if settled else ():
        (output / name).write_text(text, encoding="utf-8")
    return {"reasoning": settled.reasoning} if settled and settled.reasoning else {}


def _take(path: Path, target: Path) -> None:
    """Have a file in a folder of ours: its bytes are shared with the user's where the disk allows, weights are large.

    Small files are copied, since people edit those in place.
    """
    if path.suffix == ".safetensors":
        with contextlib.suppress(OSError):  # another disk, or one without links
            os.link(path.resolve(), target)
            return
    shutil.copyfile(path, target)


def _settled(model: Path, work: dict[str, Any]) -> Any:
    """What is to be written of a model's chat; None for a model without a template, which may do without an answer."""
    chat = dict(work["chat"])
    given = chat.pop("template")
    if given is None and template_files.template(model) is None:
        if chat != template_files.NEUTRAL:
            raise UserError(f"{work['load']}: its tokenizer has no chat template for `chat`; give one by chat.template")
        return None
    settle = command.heavy("models.settled_chat").settle
    name = f"{work['load']}: its chat template"
    return limited.within(SECONDS, name, settle, model, given, chat, work["trust_remote_code"])


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
    """The files of a local folder."""
    source = Path(job.settings["load"])
    return contents.of_model(source, job.settings["trust_remote_code"]) if source.is_dir() else []
