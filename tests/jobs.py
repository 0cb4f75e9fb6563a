"""Jobs as rules hand them to commands."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.base.job import Job, Recipe

ROOT = Path(__file__).parent.parent
Paths = Mapping[str, list[Path]]


def job(
    stage: str,
    outputs: Paths,
    files: Paths | None = None,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    execution: Mapping[str, Any] | None = None,
    code: Mapping[str, str] | None = None,
) -> Job:
    """A job; all its settings are in its recipe."""
    every = dict(settings or {})
    recipe = Recipe(stage, every, dict(inputs or {}), dict(code or {stage: "0" * 12}))
    record = next(iter(outputs.values()))[0].with_suffix(".execution.json")
    return Job(recipe, every, dict(execution or {}), dict(files or {}), dict(outputs), record)


def start(one: Job, folder: Path) -> "subprocess.Popen[str]":
    """The command of a job at work in a folder, in a process of its own."""
    place = folder / one.path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(one.text(), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "workflow_scripts", one.recipe.stage, str(one.path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MIXMERGE_WARM": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
