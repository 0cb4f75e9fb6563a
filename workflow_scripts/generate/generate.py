"""Command: the answers of one model to all suites, with one start of the engine; answers are found again row by row."""

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.job import STORE, Job, Made, made_by
from workflow_scripts.generate import engine, engine_server
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import finished_work
from workflow_scripts.store.append_only import AppendOnlyRows
from workflow_scripts.store.outputs import write_rows

COMMIT_EVERY = 200  # rows that a power cut may cost


def make(job: Job) -> Made:
    """Make what a job is about."""
    folder, suites = job.file("manifest").parent, job.named("suites")
    described, rows = manifest.read(folder), _rows(job)
    place, answers, generated = answer(job, folder, described, _prompts(rows))
    lineage = {
        "model": described["model"],
        "manifest": hashing.of_file(job.file("manifest")),
        "trainings": described["trainings"],
        "made_by": made_by(job.recipe, described["made_by"]),
        "completions": place,
        **({"reasoning": described["reasoning"]} if "reasoning" in described else {}),
    }
    for (suite, path), output in zip(suites.items(), job.outputs["answers"], strict=True):
        table = pa.Table.from_pylist([_row(suite, row, answers[row["prompt"]]) for row in rows[suite]])
        licences = described["licences"] | records.licences(path)
        content = records.lineage(path)["rows"]
        write_rows(job, output, table, records.GENERATIONS, **lineage, suite=content, licences=licences)
    if manifest.is_temporary(folder, described):
        manifest.release(described["store"])
    return Made(found=not generated)


def answer(job: Job, folder: Path, described: dict[str, Any], prompts: list[str]) -> tuple[str, dict[str, Any], int]:
    """Where completions are kept, that of each prompt, and how many had to be generated; each is kept as it comes."""
    keys = {prompt: hashing.of_json(prompt) for prompt in prompts}
    name, place = _place(job, described)
    with AppendOnlyRows(STORE / "completions" / place) as kept:
        found = kept.find(keys.values())
        owed = [prompt for prompt in prompts if keys[prompt] not in found]
        if owed:
            settings = job.settings | job.execution | {"engine": name}
            generated = _engine(settings, _weights(folder, described), described).generate(owed)
            for count, (prompt, completion) in enumerate(zip(owed, generated, strict=True)):
                row = {"key": keys[prompt], "prompt": prompt, **completion._asdict()}
                kept.append(row)
                found[keys[prompt]] = row
                if count % COMMIT_EVERY == 0:
                    kept.commit()
    return place, {prompt: found[key] for prompt, key in keys.items()}, len(owed)


def is_found(job: Job) -> bool:
    """Whether every answer is kept already."""
    _, place = _place(job, manifest.read(job.file("manifest").parent))
    keys = {hashing.of_json(prompt) for prompt in _prompts(_rows(job))}
    with AppendOnlyRows(STORE / "completions" / place) as kept:
        return kept.find(keys).keys() == keys


def _place(job: Job, described: dict[str, Any]) -> tuple[str, str]:
    """The engine on this machine, and the key of the answers of a model by it."""
    name = engine.resolve(job.settings["engine"])
    code = engine.versions(name) | {f"generate:{name}": ""} | job.recipe.code
    return name, finished_work.key({"settings": job.recipe.settings, "code": code}, model=described["model"])


def _rows(job: Job) -> dict[str, list[dict[str, Any]]]:
    return {suite: records.read(path, records.ROWS).to_pylist() for suite, path in job.named("suites").items()}


def _prompts(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The prompts of all suites, each once."""
    return list(dict.fromkeys(row["prompt"] for suite in rows.values() for row in suite))


def _engine(settings: dict[str, Any], folder: Path, described: dict[str, Any]) -> Any:
    """The model's engine: one that stays up between jobs, where it is worth it, or one of this process."""
    if engine_server.allowed(settings["engine"]):
        weights = {name: sha256 for name, sha256 in described["files"].items() if name.endswith(".safetensors")}
        if remote := engine_server.start(settings, folder, weights):
            return remote
    return command.heavy("generate.engine").start(settings, folder)


def _weights(folder: Path, described: dict[str, Any]) -> Path:
    """The folder to start an engine on."""
    if not manifest.is_temporary(folder, described):
        manifest.check(folder)
        return folder
    # Not imported by name: the code of merging is in the recipe of the merge, and is no part of this stage's.
    weights: Path = importlib.import_module("workflow_scripts.merge.remerge").again(folder)
    return weights


def _row(suite: str, row: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt_id": row["id"],
        "source_prompt_id": row["source_prompt_id"],
        "language": row["language"],
        "suite": suite,
        "prompt": row["prompt"],
        "completion": answered["text"],
        "finish_reason": answered["finish_reason"],
        "prompt_tokens": answered["prompt_tokens"],
        "completion_tokens": answered["completion_tokens"],
    }
