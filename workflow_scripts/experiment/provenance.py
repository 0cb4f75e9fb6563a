"""Where artifacts come from: the params that Snakemake recorded, the recipe that each carries, what is still current.

Snakemake compares params only for files that it has a record of (results/.provenance).  Results that came without it
are compared here by the recipe that they carry, and never taken silently.
"""

import ast
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, Recipe
from workflow_scripts.experiment import params
from workflow_scripts.experiment.artifacts import Artifact, Artifacts

SHOWN = 5


def recorded(path: Path) -> dict[str, str] | None:
    """The params by which Snakemake made a file, by name; None where it has no record of it."""
    name = urlsafe_b64encode(str(path).encode()).decode()
    longest = os.pathconf(RESULTS, "PC_NAME_MAX") - 1
    parts = [name[i : i + longest] for i in range(0, len(name), longest)]
    place = RESULTS.joinpath(".provenance", *(f"@{part}" for part in parts[:-1]), parts[-1])
    if not place.is_file():
        return None
    texts = [ast.literal_eval(text) for text in json.loads(place.read_text()).get("params") or []]
    found = {name: text for text in texts for name in params.LIMITS if str(text).startswith(f"{name}: ")}
    return found if found.keys() == params.LIMITS.keys() else None


def carried(artifact: Artifact) -> Recipe | None:
    """The recipe that an artifact carries: in itself, or (a table, a figure) in the record beside it."""
    try:
        if artifact.path.suffix == ".parquet":
            recipe = records.lineage(artifact.path)["recipe"]
        elif artifact.path.suffix == ".json":
            recipe = json.loads(artifact.path.read_text(encoding="utf-8"))["recipe"]
        else:
            recipe = json.loads(artifact.record.read_text(encoding="utf-8"))["recipe"]
        return Recipe(**recipe)
    except (UserError, ValueError, KeyError, TypeError, OSError):
        return None


def made_by(artifact: Artifact) -> dict[str, str] | None:
    """The params by which an artifact was made, as far as anybody knows; None where it does not lie there whole."""
    if not all(path.exists() for paths in artifact.outputs.values() for path in paths):
        return None
    if found := recorded(artifact.path):
        return found
    recipe = carried(artifact)
    return None if recipe is None else params.of(recipe)


def current(
    artifacts: Artifacts, compared: Iterable[str] = params.LIMITS, expected: Mapping[str, Any] | None = None
) -> Callable[[Artifact], bool]:
    """A function from an artifact to whether it, and all that it was made from, is as the experiment says.

    Args:
        artifacts: of the experiment.
        compared: names of the params that must be the same.
        expected: path -> the code with which one is about to be redone; if given, this, and what is gone and about to
            be restored, counts as if it had been done.
    """

    @cache
    def is_current(path: Path) -> bool:
        artifact = artifacts.by_path[path]
        made = made_by(artifact)
        if made is None:
            return expected is not None and needs_are_current(artifact)
        redone = expected is not None and expected.get(str(path)) == artifact.recipe.code
        if any(made[part] != artifact.params[part] for part in compared if not (redone and part == "code")):
            return False
        own = [file for files in artifact.files.values() for file in files if file not in artifacts.by_path]
        made_at = path.stat().st_mtime
        if any(file.exists() and file.stat().st_mtime > made_at for file in own):
            return False
        return needs_are_current(artifact)

    def needs_are_current(artifact: Artifact) -> bool:
        waits = {file for files in files_of(artifact).values() for file in files}
        return all(is_current(need.path) for need in artifacts.depends_on(artifact) if need.path in waits)

    return lambda artifact: is_current(artifact.path)


def files_of(artifact: Artifact) -> dict[str, list[Path]]:
    """The files that a job waits for: those of its artifact, but for a batch that has nothing left to answer.

    Snakemake compares a job's inputs, and how answers come in must not make anything run again: so scores that are as
    their recipe says keep the inputs that they were made with.  And scores that came without any models are printed
    without them: nothing is trained to say what a merge reported.
    """
    files = dict(artifact.files)
    if "merges" in files and all(path.exists() for path in files["scores"]):
        files["merges"] = [path for path in files["merges"] if path.parents[1].exists()]
    for ticket in files.get("batch", []):
        is_made = artifact.path.exists() and recorded(artifact.path) == artifact.params
        asks = artifact.entry.execution["batch"] and not is_made
        files["batch"] = [ticket] if ticket.exists() or asks else []
    return files


def ancient(artifact: Artifact) -> frozenset[str]:
    """The roles of files that may be newer than an artifact without making it stale.

    Snakemake does not look at what lies below a job that runs: where only ancient files lead from that job to another,
    it takes the other for done, whatever has changed there.  Weights lie beside a manifest, which is not ancient; but
    the check of overlaps is ancient only to what is done.
    """
    roles = artifact.stage.ancient
    if "overlap" not in roles or not artifact.path.exists():
        return roles
    made_at = min(path.stat().st_mtime for paths in artifact.outputs.values() for path in paths if path.exists())
    read = [path for role, paths in artifact.files.items() if role not in roles for path in paths]
    is_older = any(path.exists() and path.stat().st_mtime > made_at for path in read)
    return roles - {"overlap"} if is_older or recorded(artifact.path) != artifact.params else roles


def foreign(artifacts: Artifacts) -> list[str]:
    """A line for each file that Snakemake has no record of and that was made by another recipe than it should have."""
    lines = []
    for artifact in artifacts.all:
        if not artifact.path.exists() or recorded(artifact.path) is not None or carried(artifact) == artifact.recipe:
            continue
        lines.append(
            f"{artifact.path}: came without its provenance and was made by another recipe; bring "
            f"results/.provenance along, or have it made again: `make discard FILE={artifact.path}`"
        )
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"... and {len(lines) - SHOWN} more files of results/ like these"]
    return lines
