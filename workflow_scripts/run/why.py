"""Command: for each job that would run, which value, row, unit of code or file changed, and what the job costs."""

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
from workflow_scripts.base.job import CODE
from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.data import source
from workflow_scripts.experiment import code_lock, options, provenance
from workflow_scripts.experiment.artifacts import Artifact, Artifacts
from workflow_scripts.forecast.quote import WORK
from workflow_scripts.forecast.resources import Requirements

SHOWN = 6  # changes named per job
ABSENT = object()
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", re.M)
COSTS = {
    "steps": ("at most {:,.0f} optimizer steps", ""),
    "merges": ("at most {:,.0f} merge", ""),
    "completions": ("at most {:,.0f} completions", "; those in the store cost nothing"),
    "calls": ("at most {:,.0f} requests", "; those in the ledger cost nothing"),
}  # of a job's work: what it costs, and what of it may be there


class Planned(NamedTuple):
    """A job of Snakemake's plan."""

    rule: str
    outputs: list[str]
    reason: str


def plan(config: Path) -> list[Planned]:
    """The jobs that Snakemake would run.

    Raises:
        UserError: it would not run at all.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--snakefile", str(PACKAGE.parent / "Snakefile")]
    command += ["--configfile", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise UserError((ended.stderr or ended.stdout).strip() or "snakemake --dry-run failed")
    jobs = []
    for rule, body in JOB.findall(ended.stdout + ended.stderr):
        fields = dict(line.strip().split(": ", 1) for line in body.splitlines() if ": " in line)
        if "output" in fields:
            jobs.append(Planned(rule, fields["output"].split(", "), fields.get("reason", "")))
    return jobs


def changes(old: Any, new: Any, at: str = "") -> list[str]:
    """In words, every value that differs between two recipes."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        values = {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys}
        return [line for key, (was, now) in values.items() for line in changes(was, now, f"{at}.{key}" if at else key)]
    if old == new:
        return []
    part, _, rest = at.partition(".")
    if part == "code" and rest in code_lock.units() and (edited := code_lock.differences(rest, str(old), CODE)):
        return [f"code of {rest}: {name} changed" for name in edited]
    absent = "its neutral value" if part == "settings" else "none"  # what is neutral stands in no recipe
    was, now = (absent if value is ABSENT else _short(value) for value in (old, new))
    return [f"{rest if part in ('settings', 'code') else at} went from {was} to {now}"]


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


def reasons(job: Planned, artifact: Artifact) -> list[str]:
    """Why a job would run, the nearest cause first."""
    old = provenance.carried(artifact)
    found = changes(old._asdict(), artifact.recipe._asdict()) if old else []
    for file in artifact.files.get("file", []):
        if artifact.path.exists() and str(file) in job.reason:
            table = records.read(artifact.path, records.ROWS)
            found += [f"{file}: {line}" for line in row_changes(table, source.rows(artifact.settings.all, file))]
    if "Missing output files" in job.reason:
        missing = [path for path in job.outputs if not Path(path).exists()]
        found += [f"{path} is not there" for path in missing[:1]] if not found else []
    if not found and "Input files updated by another job" in job.reason:
        inputs = job.reason.split("Input files updated by another job: ")[1].split("; ")[0].split(", ")
        found = [f"{inputs[0]} is made again" + (f" (and {len(inputs) - 1} more)" if len(inputs) > 1 else "")]
    return found or [job.reason[0].lower() + job.reason[1:]]


def cost(artifact: Artifact, found: Artifacts, sizes: Requirements) -> str:
    """The most that a job can cost, in words; what the store has costs nothing."""
    if artifact.stage.command not in WORK:
        return "seconds"
    amounts = WORK[artifact.stage.command](found, sizes, artifact).amounts
    old = provenance.carried(artifact)
    is_same = old is not None and (old.settings, old.code) == (artifact.recipe.settings, artifact.recipe.code)
    aside = " unless what it is made from changes" if is_same and artifact.path.exists() else ""
    lines = [f"{text.format(amounts[kind])}{aside}{more}" for kind, (text, more) in COSTS.items() if kind in amounts]
    return ", ".join(lines) or "seconds"


def main(arguments: list[str]) -> None:
    """Command line."""
    given = options.parser("why", __doc__).parse_args(arguments)
    found = options.read(given.config)
    sizes = Requirements(found.experiment)
    console = Console(highlight=False, soft_wrap=True)
    jobs = plan(given.config)
    for job in jobs:
        artifact = next((found.by_path[Path(path)] for path in job.outputs if Path(path) in found.by_path), None)
        if artifact is None:
            continue
        because = reasons(job, artifact)
        console.print(f"[bold]{job.rule}[/] {artifact.label}", markup=True)
        for line in because[:SHOWN]:
            console.print(f"    because {line}", markup=False)
        if len(because) > SHOWN:
            console.print(f"    and {len(because) - SHOWN} changes more")
        console.print(f"    costs {cost(artifact, found, sizes)}", markup=False)
    console.print(f"{len(jobs)} jobs" if jobs else "Nothing would run: everything is as its recipe says.")
