"""`make lock-code` in a clone: SAME has two versions of the code run a unit's fixture, and what they give decides."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.stale.run import REPOSITORY, environment

pytestmark = pytest.mark.scale

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose last commit has the lock of its code."""
    place = tmp_path_factory.mktemp("lock") / "clone"
    subprocess.run(["git", "clone", "-q", "--local", str(REPOSITORY), str(place)], check=True)
    assert lock(place, "--new", "*").returncode == 0
    subprocess.run([*GIT, "commit", "-qam", "Lock", "--allow-empty"], cwd=place, check=True)
    return place


@pytest.fixture
def clone(cloned: Path) -> Path:
    """The clone as it was committed."""
    subprocess.run(["git", "checkout", "-q", "."], cwd=cloned, check=True)
    return cloned


def lock(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "workflow_scripts", "lock_code", *arguments]
    env = {**environment(), "PYTHONPATH": str(clone), "MIXMERGE_WARM": os.environ.get("MIXMERGE_WARM", "1")}
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True)


def read(clone: Path) -> dict[str, dict[str, str]]:
    return dict(json.loads((clone / "code.lock").read_text()))


def edit(clone: Path, module: str, old: str, new: str) -> None:
    path = clone / f"workflow_scripts/{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_same_results_are_locked_and_other_ones_refused(clone: Path) -> None:
    before = read(clone)
    edit(clone, "train/methods/sft", "_features", "_tokens")
    locked = lock(clone, "--same", "train:sft")
    assert locked.returncode == 0 and "same results: train:sft" in locked.stdout, locked.stdout + locked.stderr
    after = read(clone)
    changed = {unit for unit in after if after[unit] != before[unit]}
    assert changed == {"train:sft"} and "untested" not in after["train:sft"]
    assert after["train:sft"]["results"] == before["train:sft"]["results"]
    assert lock(clone, "--check").returncode == 0

    edit(clone, "train/methods/sft", "example.answers[0],\n    }", "[-100, *example.answers[0][1:]],\n    }")
    refused = lock(clone, "--same", "train:*")
    assert refused.returncode == 1 and "SAME: train:sft gives another" in refused.stderr, refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert read(clone) == after


def test_what_changed_and_is_in_neither_is_refused_by_name(clone: Path) -> None:
    edit(clone, "data/mixture", "has no rows", "has not one row")
    edit(clone, "train/methods/dpo", "REFERENCE", "REFERENCES")
    refused = lock(clone, "--new", "train:dpo")
    assert refused.returncode == 1 and "in neither NEW nor SAME" in refused.stderr
