"""Stage: the answers of one model to all suites, with one start of the engine; answers are found again row by row."""

import argparse
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.generate import engine, engine_server
from workflow_scripts.models import manifest
from workflow_scripts.process import command
from workflow_scripts.store import checksums, finished_work
from workflow_scripts.store.append_only import AppendOnlyRows

RESULTS = Path("results")
COMMIT_EVERY = 200  # rows that a power cut may cost


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="generate", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--suites", type=Path, nargs="+", required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder, a file per suite")
    given = parser.parse_args(arguments)
    described = manifest.read(given.model)
    suites = dict(zip(given.recipe["names"]["suites"], given.suites, strict=True))
    rows = {suite: records.read(path, records.ROWS).to_pylist() for suite, path in suites.items()}
    prompts = list(dict.fromkeys(row["prompt"] for suite in rows.values() for row in suite))
    kept, answers = answer(given.recipe["work"], given.model, described, prompts, given.store)
    lineage = {
        "recipe": given.recipe,
        "model": described["model"],
        "manifest": hashing.of_file(given.model / "manifest.json"),
        "trainings": described["trainings"],
        "completions": kept,
    }
    for suite, path in suites.items():
        table = pa.Table.from_pylist([_row(suite, row, answers[row["prompt"]]) for row in rows[suite]])
        output = given.output / f"{suite}.parquet"
        of_suite = {
            "suite": records.lineage(path)["rows"],
            "licences": described.get("licences", {}) | records.licences(path),
        }
        with checksums.recording(RESULTS, [output]):
            records.write(output, table, records.GENERATIONS, {**lineage, **of_suite})
    if manifest.is_temporary(given.model, described):
        manifest.release(given.store, described["store"], RESULTS)


def answer(
    work: dict[str, Any],
    folder: Path,
    described: dict[str, Any],
    prompts: list[str],
    store_folder: Path,
    execution: Mapping[str, Any] = {},
) -> tuple[str, dict[str, Any]]:
    """Where completions are kept, and that of each prompt: found there, or generated and put there as it comes.

    Args:
        work: what decides the completions.
        folder: of the model.
        described: its manifest.
        prompts: each once.
        store_folder: the store.
        execution: what else the engine is started with (see `engine.start`), which does not count for the completions.
    """
    name = engine.resolve(work["engine"])
    settings = {**work, "engine": name, "versions": engine.versions(name)}
    keys = {prompt: hashing.of_json(prompt) for prompt in prompts}
    place = finished_work.key(settings, model=described["model"])
    with AppendOnlyRows(store_folder / "completions" / place) as kept:
        found = kept.find(keys.values())
        owed = [prompt for prompt in prompts if keys[prompt] not in found]
        if owed:
            weights = _weights(folder, described, store_folder)
            generated = _engine({**settings, **execution}, weights, described).generate(owed)
            for count, (prompt, completion) in enumerate(zip(owed, generated, strict=True)):
                row = {"key": keys[prompt], "prompt": prompt, **completion._asdict()}
                kept.append(row)
                found[keys[prompt]] = row
                if count % COMMIT_EVERY == 0:
                    kept.commit()
    return place, {prompt: found[key] for prompt, key in keys.items()}


def _engine(settings: dict[str, Any], folder: Path, described: dict[str, Any]) -> Any:
    """The model's engine: one that stays up between jobs, where it is worth it, or one of this process."""
    if engine_server.allowed(settings["engine"]):
        weights = {name: sha256 for name, sha256 in described["files"].items() if name.endswith(".safetensors")}
        if remote := engine_server.start(settings, folder, weights):
            return remote
    return command.heavy("generate.engine").start(settings, folder)


def _weights(folder: Path, described: dict[str, Any], store_folder: Path) -> Path:
    """The folder to start an engine on."""
    if not manifest.is_temporary(folder, described):
        manifest.check(folder)
        return folder
    # Not imported by name: the code of merging is in the recipe of the merge, and is no part of this stage's.
    weights: Path = importlib.import_module("workflow_scripts.merge.remerge").again(folder, store_folder)
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
