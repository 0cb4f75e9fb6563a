"""What is kept though its code changed, and what is redone: results/<experiment>/kept.json.

{"kept": {<path>: {"settings", "inputs": texts of its params, "code": {...} that made it}},
 "redone": {<path>: {...} the code that it may be redone with}}

A kept artifact's recipe holds the code that made it, so keys of the store and recorded params stay as they were.  This
ends by itself when its settings or inputs change, or when neither the files nor the store have it.  Where what it is
made from was deleted, or is redone by consent, the job looks for it in the store by what then lies there.
"""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE, Job
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.artifacts import Artifact, Artifacts, artifacts
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.process.job import is_found, module_of
from workflow_scripts.store import finished_work


def place(experiment: Experiment) -> Path:
    """Where it is written down."""
    return RESULTS / experiment.config.experiment / "kept.json"


def read(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """What is kept and redone.

    Raises:
        UserError: the file is not whole.
    """
    path = place(experiment)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        notes = {part: dict(found[part]) for part in ("kept", "redone")}
        for note in notes["kept"].values():
            dict(note["code"], settings=note["settings"], inputs=note["inputs"])
        return notes
    except FileNotFoundError:
        return {"kept": {}, "redone": {}}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is not as `make keep` writes it; remove it, and keep again what you want") from None


def with_kept(experiment: Experiment) -> Artifacts:
    """The artifacts of an experiment, with the code of those that are kept.

    Raises:
        UserError: kept.json is not whole.
    """
    declared = artifacts(experiment)
    notes = read(experiment)
    if not (kept := notes["kept"]):
        return declared
    known = {artifact.path: artifact for artifact in declared.all}
    by_path: dict[Path, Artifact] = {}

    @cache
    def settled(path: Path) -> Artifact:
        """An artifact with its code, after all that it is made from."""
        artifact = known[path]
        needs = [settled(needed.path) for needed in declared.depends_on(artifact)]
        pin = kept.get(str(path))
        if pin and all(map(will_be_current, needs)):
            pinned = dataclasses.replace(artifact, pinned=dict(pin["code"]))
            same = all(pinned.params[part] == pin[part] for part in ("settings", "inputs"))
            lies_here = all(map(is_current, needs)) and provenance.made_by(pinned) == pinned.params
            if same and (lies_here or in_store(pinned) is not False):
                artifact = pinned
        by_path.update({file: artifact for files in artifact.outputs.values() for file in files})
        return artifact

    found = Artifacts(experiment, [], by_path)
    is_current = provenance.current(found)
    will_be_current = provenance.current(found, expected=notes["redone"])
    found.all.extend(settled(artifact.path) for artifact in declared.all)
    return found


def in_store(artifact: Artifact) -> bool | None:
    """Whether the store has the finished work of an artifact; None where its inputs do not lie there to tell."""
    return is_found(artifact.job)


def is_released(artifact: Artifact) -> bool:
    """Whether the store knows the work of an artifact, and has let its files go."""
    key = key_of(artifact.job)
    entry = finished_work.known(STORE, key) if key else None
    return entry is not None and bool(entry["released"])


def key_of(job: Job) -> str | None:
    """The store's key of a job, for commands that keep their work there; None also where an input is not there yet."""
    command = importlib.import_module(module_of(job.recipe.stage))
    try:
        return str(command.key(job)) if hasattr(command, "key") else None
    except (UserError, OSError):
        return None


def stale_by_code(found: Artifacts) -> Iterator[tuple[Artifact, dict[str, str]]]:
    """The artifacts that would be made again only because code or versions changed, with the params that made them.

    What is made again for another reason, in itself or in what it is made from, is made by the code that is here.
    """
    is_as_declared = provenance.current(found, ("settings", "inputs"))
    for artifact in found.all:
        made = provenance.made_by(artifact) if is_as_declared(artifact) else None
        if made is not None and made["code"] != artifact.params["code"]:
            yield artifact, made
