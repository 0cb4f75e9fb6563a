"""Command: for each job that would run, which value, row, file or function changed, and what the job costs."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from rich.console import Console

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.config import reading
from workflow_scripts.config.models import Train
from workflow_scripts.data import source
from workflow_scripts.experiment import provenance, table_of_models, training_data
from workflow_scripts.experiment.provenance import Artifact
from workflow_scripts.experiment.recipes import Recipes
from workflow_scripts.forecast import work_counts

SHOWN = 6  # changes named per job
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", re.M)


class Job(NamedTuple):
    """A job of Snakemake's plan."""

    rule: str
    outputs: list[str]
    reason: str


def plan(config: Path) -> list[Job]:
    """The jobs that Snakemake would run.

    Raises:
        UserError: it would not run at all.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--configfile", str(config)]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode:
        raise UserError((told.stderr or told.stdout).strip() or "snakemake --dry-run failed")
    jobs = []
    for rule, body in JOB.findall(told.stdout + told.stderr):
        fields = dict(line.strip().split(": ", 1) for line in body.splitlines() if ": " in line)
        if "output" in fields:
            jobs.append(Job(rule, fields["output"].split(", "), fields.get("reason", "")))
    return jobs


def changes(old: Any, new: Any, at: str = "") -> list[str]:
    """In words, every value that differs between two recipes."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [line for key in keys for line in changes(old.get(key), new.get(key), f"{at}.{key}" if at else key)]
    if old == new:
        return []
    section, _, rest = at.removeprefix("work.").partition(".")
    if section == "code":
        verb = "is new" if old is None else "is no longer used" if new is None else "changed"
        aside = "" if at.startswith("work.") else " (around the work: what is in the store is found again)"
        return [f"function {rest} {verb}{aside}"]
    if section == "versions":
        return [f"{rest} went from {old} to {new}"]
    return [f"{at.removeprefix('work.')} went from {_short(old)} to {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def row_changes(old: pa.Table, new: pa.Table) -> list[str]:
    """In words, the rows of a source that were added, removed or edited."""
    before, after = ({row["id"]: row for row in table.to_pylist()} for table in (old, new))
    lines = [f"row {i} was added" for i in after if i not in before]
    lines += [f"row {i} was removed" for i in before if i not in after]
    for i in after:
        for column, value in after[i].items():
            if i in before and before[i][column] != value:
                lines.append(f"row {i}: {column} went from {_short(before[i][column])} to {_short(value)}")
    return lines


def reasons(job: Job, artifact: Artifact, file: Path | None) -> list[str]:
    """Why a job would run, the nearest cause first."""
    old = provenance.remembered(artifact.path)
    found = changes(old, artifact.recipe) if old else []
    if file is not None and artifact.path.exists() and str(file) in job.reason:
        table = records.read(artifact.path, records.ROWS)
        found += [f"{file}: {line}" for line in row_changes(table, source.rows(artifact.recipe["work"], file))]
    if "Missing output files" in job.reason:
        missing = [path for path in job.outputs if not Path(path).exists()]
        found += [f"{path} is not there" for path in missing[:1]] if not old or not found else []
    if not found and "Input files updated by another job" in job.reason:
        inputs = job.reason.split("Input files updated by another job: ")[1].split("; ")[0].split(", ")
        found = [f"{inputs[0]} is made again" + (f" (and {len(inputs) - 1} more)" if len(inputs) > 1 else "")]
    return found or [job.reason[0].lower() + job.reason[1:]]


def cost(artifact: Artifact, recipes: Recipes, missing: bool) -> str:
    """The most that a job can cost, in words; what the store has costs nothing."""
    old = provenance.remembered(artifact.path)
    if old is not None and old["work"] == artifact.recipe["work"] and not missing:
        aside = " unless what it is made from changes"
    else:
        aside = ""
    config = recipes.config
    names = artifact.recipe["names"]
    if artifact.rule == "train":
        model = recipes.experiment.models[names["model"]]
        assert isinstance(model.row, Train)
        mixture = config.mixtures[model.row.mixture]
        drawn = training_data.draws(mixture, model.row, list(mixture.languages or config.languages))
        return f"at most {training_data.training(drawn, model.settings).steps} optimizer steps{aside}"  # type: ignore[arg-type]
    if artifact.rule == "merge":
        return f"at most 1 merge{aside}"
    prompts = {suite: _prompts(recipes, suite) for suite in recipes.answered_suites()}
    if artifact.rule == "generate":
        return f"at most {sum(prompts.values())} completions{aside}; those in the store cost nothing"
    if artifact.rule == "synthesise":
        return f"{_synthesised(recipes, artifact.label)}{aside}; those in the ledger cost nothing"
    if artifact.rule == "submit":
        asked = sum(
            (2 if question["metric"] == "preference" else 1) * _prompts(recipes, question["suite"])
            for question in artifact.recipe["work"]["questions"]
        )
        return f"at most {asked} requests{aside}, at the batch's price; those in the ledger cost nothing"
    if artifact.rule in ("judge", "compare", "calibrate"):
        orders = 2 if artifact.recipe["work"]["metric"] == "preference" else 1
        return f"at most {orders * _prompts(recipes, names['suite'])} requests{aside}; those in the ledger cost nothing"
    return "seconds"


def _synthesised(recipes: Recipes, name: str) -> str:
    """The most that a synthesis asks: a prompt per seed and variant, an answer of each completer, a verdict on each."""
    work = json.loads(recipes.source(name))["work"]
    each = work["variants"] * (1 + 2 * len(work["completers"]))
    seeds = recipes.config.sources[name].synthesise  # type: ignore[union-attr]
    path = provenance.RESULTS / recipes.config.experiment / "data" / "sources" / f"{seeds}.parquet"
    if not path.exists():
        return f"at most {each} requests per seed"
    known = records.read(path, records.ROWS).to_pylist()
    used = sum(row["language"] in work["languages"] and row["split"] in work["splits"] for row in known)
    return f"at most {used * each} requests"


def _prompts(recipes: Recipes, suite: str) -> int:
    return work_counts.prompts(recipes.experiment, suite) or 0


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="why", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args(arguments)
    recipes = Recipes(table_of_models.load(reading.read(given.config)))
    known = {str(artifact.path): artifact for artifact in provenance.artifacts(recipes)}
    console = Console(highlight=False, soft_wrap=True)
    jobs = plan(given.config)
    for job in jobs:
        artifact = next((known[path] for path in job.outputs if path in known), None)
        if artifact is None:
            continue
        sources = recipes.config.sources
        file = getattr(sources[artifact.label], "file", None) if job.rule == "source" else None
        found = reasons(job, artifact, Path(file) if file else None)
        console.print(f"[bold]{job.rule}[/] {artifact.label}", markup=True)
        for line in found[:SHOWN]:
            console.print(f"    because {line}", markup=False)
        if len(found) > SHOWN:
            console.print(f"    and {len(found) - SHOWN} changes more")
        console.print(f"    costs {cost(artifact, recipes, not artifact.path.exists())}", markup=False)
    console.print(f"{len(jobs)} jobs" if jobs else "Nothing would run: everything is as its recipe says.")
