"""Every command of the README does what it says: run by CI, run here, or marked with what it needs."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.stale.run import REPOSITORY, Run

TOOLS = ("make", "snakemake")


def commands() -> dict[str, str]:
    """Each command of the README and the comment beside it."""
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    parts = [line.strip().partition(" # ") for line in lines if line.startswith("    ")]
    return {command.strip(): comment for command, _, comment in parts if command.split()[:1][0] in TOOLS}


def by_ci(command: str) -> bool:
    return command in (REPOSITORY / ".ci/run").read_text().splitlines()


def test_the_readme_has_the_two_commands_and_ci_runs_them() -> None:
    assert by_ci("make demo") and by_ci("make test")
    assert {"make demo", "make test"} <= commands().keys()


@pytest.mark.parametrize(
    "command", [command for command, comment in commands().items() if not by_ci(command) and "needs" not in comment]
)
def test_a_command_of_the_readme_works(command: str, nano: Run) -> None:
    for name in ("Makefile", "Snakefile", "code.lock", "requirements.lock"):
        shutil.copy2(REPOSITORY / name, nano.folder / name)
    for name in ("rules", "workflow_scripts", "profiles", "published", "envs", "experiments"):
        if not (nano.folder / name).exists():
            shutil.copytree(REPOSITORY / name, nano.folder / name)
    (nano.folder / ".venv").symlink_to(sys.prefix)
    (nano.folder / "my.yaml").write_text(yaml.safe_dump(nano.config, sort_keys=False, allow_unicode=True))
    words = [str(scores(nano)) if word == "FILE=results/..." else word for word in shlex.split(command)]
    words[1:1] = ["-o", ".venv/ready"] if words[0] == "make" else []  # as it is: nothing is installed by a test
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(words, cwd=nano.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def scores(run: Run) -> str:
    return f"FILE={(run.results / 'seed0/scores/rules/mix/redteam.parquet').relative_to(run.folder)}"
