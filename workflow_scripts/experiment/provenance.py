"""Where artifacts come from: the recipe that each should have, the one Snakemake remembers, the one it carries.

Snakemake compares recipes only for files that it remembers (results/.provenance).  Results that came without it are
compared here by what they carry themselves, and never taken silently.
"""

import ast
import json
import os
import re
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment.recipes import Judged, Recipes

RESULTS = Path("results")
SHOWN = 5


class Artifact(NamedTuple):
    """What one job makes: its rule, the file that carries the recipe, and the recipe it should have."""

    rule: str
    label: str
    path: Path
    recipe: dict[str, Any]


def artifacts(recipes: Recipes) -> list[Artifact]:
    """Every artifact that an experiment declares, a job each, in the order of the flow."""
    config, found = recipes.config, []
    folder = RESULTS / config.experiment

    def add(rule: str, label: str, path: Path, recipe: str) -> None:
        found.append(Artifact(rule, label, path, json.loads(recipe)))

    for name in config.sources:
        recipe = recipes.source(name)
        stage = json.loads(recipe)["stage"]
        add(stage, name, folder / f"data/sources/{name}.parquet", recipe)
        if stage == "translate":
            add(stage, name, folder / f"data/translations/{name}.parquet", recipe)
        if stage == "synthesise":
            add(stage, name, folder / f"data/synthesis/{name}.parquet", recipe)
    for name in config.mixtures:
        add("mixture", name, folder / f"data/mixtures/{name}.parquet", recipes.mixture(name))
    for name in config.suites:
        add("suite", name, folder / f"data/suites/{name}.parquet", recipes.suite(name))
    add("overlap", "training and evaluation", folder / "data/overlap.parquet", recipes.overlap())
    for seed in config.seeds:
        place = folder / f"seed{seed}"
        for name in recipes.experiment.models:
            recipe = recipes.model(name, seed)
            add(json.loads(recipe)["stage"], f"{name}, seed {seed}", place / f"models/{name}/manifest.json", recipe)
        for model in recipes.experiment.evaluated:
            for suite in recipes.answered_suites():
                label = f"{model} on {suite}, seed {seed}"
                add("generate", label, place / f"generations/{model}/{suite}.parquet", recipes.generation(model))
        for judge in config.judges:
            for asked in recipes.judged(judge):
                against = f" against {asked.against}" if asked.against else ""
                label = f"{asked.model} on {asked.suite}{against} by {judge}, seed {seed}"
                add("compare" if against else "judge", label, place / asked.path, recipes.judgment(*asked))
    for judge, suite in recipes.labelled():
        path = folder / f"labels/{judge}/{suite}.parquet"
        add("calibrate", f"{suite} by {judge}", path, recipes.judgment(judge, None, suite))
    for judge in (name for name, judge in config.judges.items() if judge.batch):
        models = dict.fromkeys(asked.model for asked in recipes.judged(judge))
        tickets = [(m, folder / f"seed{seed}/batches/{judge}/{m}") for seed in config.seeds for m in models]
        if any(of == judge for of, _ in recipes.labelled()):
            tickets.append((None, folder / f"labels/{judge}/batch"))
        for about, place in tickets:
            label = f"{about or 'labelled answers'} by {judge}"
            add("submit", label, place / "sent.json", recipes.batch(judge, about))
            add("collect", label, place / "answered.json", recipes.collection(judge, about))
    for name in config.tables:
        add("table", name, folder / f"tables/{name}.md", recipes.table(name))
    for name in config.figures:
        add("figure", name, folder / f"figures/{name}.svg", recipes.figure(name))
    return found


def in_batch(recipes: Recipes, judged: Judged, scores: Path, ticket: Path) -> bool:
    """Whether a job of judging waits for the answers of a batch: if the config says so, and it has something to ask.

    Snakemake compares a job's inputs, and how answers come in must not make anything run again: so scores that are as
    their recipe says keep the inputs that they were made with.
    """
    if ticket.exists() or not recipes.config.judges[judged.judge].batch:
        return ticket.exists()
    return not scores.exists() or remembered(scores) != json.loads(recipes.judgment(*judged))


def remembered(path: Path) -> dict[str, Any] | None:
    """The recipe that Snakemake recorded for a file, None where it has no record."""
    name = urlsafe_b64encode(str(path).encode()).decode()
    longest = os.pathconf(RESULTS, "PC_NAME_MAX") - 1
    parts = [name[i : i + longest] for i in range(0, len(name), longest)]
    place = RESULTS.joinpath(".provenance", *(f"@{part}" for part in parts[:-1]), parts[-1])
    if not place.is_file():
        return None
    for parameter in json.loads(place.read_text()).get("params") or []:
        value = ast.literal_eval(parameter)
        if isinstance(value, str) and value.startswith('{"code":'):
            return dict(json.loads(value))
    return None


def carried(artifact: Artifact) -> Any:
    """The recipe that a file carries; for tables and figures its hash."""
    if artifact.path.suffix == ".json":
        return json.loads(artifact.path.read_text())["recipe"]
    if artifact.path.suffix == ".parquet":
        return records.lineage(artifact.path).get("recipe")
    note = re.findall(r"<!-- recipe ([0-9a-f]{64}) -->", artifact.path.read_text(encoding="utf-8"))
    return note[-1] if note else None


def foreign(expected: list[Artifact]) -> list[str]:
    """A line for each file that Snakemake does not remember and that was made by another recipe than it should have."""
    lines = []
    for artifact in expected:
        if not artifact.path.exists() or remembered(artifact.path) is not None:
            continue
        try:
            recipe = carried(artifact)
        except (UserError, ValueError, KeyError, OSError):
            recipe = None
        if recipe not in (artifact.recipe, hashing.of_json(artifact.recipe)):
            lines.append(
                f"{artifact.path}: came without its provenance and was made by another recipe; bring "
                f"results/.provenance along, or have it made again: `make discard FILE={artifact.path}`"
            )
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"... and {len(lines) - SHOWN} more files of results/ like these"]
    return lines
