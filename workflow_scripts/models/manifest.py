"""The manifest of a model: what it is, by content, and how it came about, by hashes; `docs/schemas.md` describes it.

{"schema": 1, "model": <content>, "files": {name: sha256}, "recipe": {...}, "store": <key>,
 "parents": {name: {"model": <content>, "manifest": <sha256>}}, "data": <content or null>,
 "trainings": {<key>: {"rows", "examples", "tokens", "steps"}} of the model and all its ancestors,
 "made_by": {<unit of code>: [<versions>]} of them as well,
 "licences": {<source, translator or loaded model>: <licence>} of all that they were made of, "facts": {...},
 "reasoning": {"rule": <of base.reasoning>, "is_open": <the prompt begins the block>}, where its answers mark reasoning}
"""

import json
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE, Job, made_by
from workflow_scripts.store import checksums, finished_work

SCHEMA_VERSION = 2
ANYWHERE = "[!.]*/**/manifest.json"  # below results/
CURVE = "curve.parquet"  # in a training's entry: no part of the model


def publish(
    job: Job,
    key: str,
    entry: dict[str, Any],
    parents: dict[str, Path] | None = None,
    data: str | None = None,
    temporary: bool = False,
    licences: dict[str, Any] | None = None,
) -> None:
    """Put a model's files from the store into its folder, with recipe.json and, last, manifest.json.

    Args:
        job: that makes the model.
        key: of its entry in the store.
        entry: what the store says of it; a fact `cost` is that of a training.
        parents: the folders of the models it was made from, by name.
        data: content of the rows it was trained on.
        temporary: leave its files in the store.
        licences: of what the model was made of besides its parents, by name; None where none is declared.
    """
    folder, recipe = job.output("manifest").parent, job.recipe._asdict()
    described = {name: read(path) for name, path in (parents or {}).items()}
    trainings: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    for parent in described.values():
        trainings |= parent["trainings"]
        inherited |= parent["licences"]
    inherited |= {name: licence for name, licence in (licences or {}).items() if licence}
    facts = dict(entry["facts"])
    reasons = facts.pop("reasoning", None) or next((parent.get("reasoning") for parent in described.values()), None)
    if cost := facts.pop("cost", None):
        trainings[key] = cost
    files = {name: sha256 for name, sha256 in entry["files"].items() if name != CURVE}
    manifest = {
        "schema": SCHEMA_VERSION,
        "model": hashing.of_json(files),
        "files": files,
        "recipe": recipe,
        "store": key,
        "parents": {
            name: {"model": parent["model"], "manifest": hashing.of_file((parents or {})[name] / "manifest.json")}
            for name, parent in described.items()
        },
        "data": data,
        "trainings": trainings,
        "made_by": made_by(job.recipe, *(parent["made_by"] for parent in described.values())),
        "licences": inherited,
        "facts": facts,
        **({"reasoning": reasons} if reasons else {}),
    }
    placed = [] if temporary else list(files)
    for path in folder.glob("*"):  # files of a model that was here before would be loaded with this one's
        if path.is_file() and path.name not in placed and path != job.record:
            path.unlink()
    with checksums.recording(RESULTS, [folder / name for name in [*placed, "recipe.json", "manifest.json"]]):
        finished_work.link(STORE, key, placed, folder)
        for name, content in (("recipe.json", recipe), ("manifest.json", manifest)):
            text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
            finished_work.write_text(folder / name, f"{text}\n")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a model.

    Raises:
        UserError: there is none, or it is of another schema.
    """
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run snakemake to make it") from None
    except (TypeError, ValueError):
        raise UserError(f"{path}: is not JSON; `make discard FILE={path}` lets the next run make it again") from None
    if manifest.get("schema") != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema {manifest.get('schema')}, but this mixmerge reads {SCHEMA_VERSION}; "
            "move results/ away, or use the mixmerge that wrote it"
        )
    return manifest


def check(folder: Path) -> dict[str, Any]:
    """Read a manifest and compare every file of the model with it, before a stage builds on it.

    Raises:
        UserError: a file is missing or is not what it was.
    """
    manifest = read(folder)
    for name, sha256 in manifest["files"].items():
        path = folder / name
        if not path.exists():
            raise UserError(f"{path}: no such file; run snakemake to make it")
        if hashing.of_file(path) != sha256:
            raise UserError(f"{path}: is not what its manifest says (truncated or edited); `make discard FILE={path}`")
    return manifest


def is_temporary(folder: Path, described: dict[str, Any]) -> bool:
    """Whether a model is a merge whose weights are not beside its manifest."""
    return described["recipe"]["stage"] == "merge" and not any((folder / name).exists() for name in described["files"])


def waiting() -> set[str]:
    """Keys of the temporary merges whose weights lie in the store, for answers that are not all there."""
    models = [(path.parent, read(path.parent)) for path in RESULTS.glob(ANYWHERE)]
    keys = {described["store"] for folder, described in models if is_temporary(folder, described)}
    return {key for key in keys if (entry := finished_work.known(STORE, key)) and not entry["released"]}


def release(key: str) -> None:
    """Let a temporary merge's weights go, unless a model that is kept is the same: its files may be links to them."""
    for path in RESULTS.glob(ANYWHERE):
        described = read(path.parent)
        if described["store"] == key and not is_temporary(path.parent, described):
            return
    finished_work.release(STORE, key)
