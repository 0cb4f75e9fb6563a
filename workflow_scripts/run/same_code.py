"""Whether two versions of the code give the same: each runs a small experiment, and what comes out is compared.

The experiment is tests/configs/units.yaml of the older version; it has artifacts of every unit that runs on a CPU.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock, options
from workflow_scripts.experiment.artifacts import Artifact, Artifacts, artifacts
from workflow_scripts.experiment.code_lock import LOCK, Locked
from workflow_scripts.experiment.fingerprint import PACKAGE

ROOT = LOCK.parent
EXPERIMENT = Path("tests/configs/units.yaml")
LOOKED = 30  # commits that are looked through for the code of a lock
RECIPE = re.compile(rb"(<!--|%) recipe [0-9a-f]{64}( -->)?\n?")


def compare(units: Iterable[str], lock: Mapping[str, Locked]) -> dict[str, str]:
    """Compare what units give here with what they gave at their lock.

    Returns:
        The units that could not be tested, with the reason.

    Raises:
        UserError: what one gives is not the same, or the older code is not to be found.
    """
    by_commit: dict[str, list[str]] = {}
    untested: dict[str, str] = {}
    for unit in units:
        by_commit.setdefault(_commit_of(unit, lock[unit]), []).append(unit)
    for commit, those in by_commit.items():
        untested |= _compare_with(commit, those)
    for unit, reason in untested.items():
        print(f"{unit}: not tested here, {reason}")
    return untested


def compare_since(commit: str) -> None:
    """Compare again every unit that was locked as the same since a commit, as CI does.

    Raises:
        UserError: what one gives is not the same.
    """
    if not _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        raise UserError(f"SINCE: no commit '{commit}' here; name one, or fetch the history (git fetch --unshallow)")
    older = subprocess.run(["git", "show", f"{commit}:{LOCK.name}"], cwd=ROOT, capture_output=True, text=True)
    if older.returncode:
        print(f"{commit} has no {LOCK.name}; there is nothing to compare with.")
        return
    before = {unit: Locked(**entry) for unit, entry in json.loads(older.stdout).items()}
    moved = [
        unit
        for unit, entry in code_lock.read().items()
        if unit in before and entry.code != before[unit].code and entry.results == before[unit].results
    ]
    compare(moved, before)
    print(f"The same as at {commit}: {', '.join(moved) or 'nothing was locked as the same since'}.")


def _git(*arguments: str) -> str:
    """What git says, nothing where it fails: no checkout, no such commit."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout


def _commit_of(unit: str, locked: Locked) -> str:
    """The latest commit that has a unit's code as it was locked, or at which its results last changed.

    The second is there where the first was never committed: a unit that is locked as the same twice in one commit.
    """
    for commit in _git("log", f"-{LOOKED}", "--format=%H", "--", PACKAGE, LOCK.name).split():
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(["git", "archive", commit, PACKAGE], cwd=ROOT, capture_output=True, check=True)
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            try:
                if code_lock.now(unit, Path(folder) / PACKAGE) in (locked.code, locked.results):
                    return commit
            except (ValueError, FileNotFoundError):
                continue  # the unit's function had another name or place then
    raise UserError(
        f"SAME: no commit of the last {LOOKED} here has the locked code of {unit}; use NEW, or commit what you "
        "locked, or work in a git checkout with its history"
    )


def _compare_with(commit: str, units: list[str]) -> dict[str, str]:
    with _checkout(commit) as older, tempfile.TemporaryDirectory() as folder:
        if not (older / EXPERIMENT).exists():
            return {unit: f"{commit[:7]} has no {EXPERIMENT}" for unit in units}
        config = older / EXPERIMENT
        found = artifacts(options.load(config))
        untested = {unit: "no artifact of the fixture is of it" for unit in units if not _of(found, unit)}
        targets = [artifact for unit in units for artifact in _of(found, unit)]
        contents = []
        for code, where in ((older, Path(folder) / "older"), (ROOT, Path(folder) / "here")):
            where.mkdir()
            _run(code, config, where, targets)
            contents.append({str(artifact.path): _content(where, artifact) for artifact in targets})
        for unit in units:
            for artifact in _of(found, unit):
                name = str(artifact.path)
                if contents[0][name] != contents[1][name]:
                    raise UserError(f"SAME: {unit} gives another {artifact.label} than {commit[:7]} ({name}); use NEW")
        return untested


def _of(found: Artifacts, unit: str) -> list[Artifact]:
    return [artifact for artifact in found.all if unit in artifact.units]


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """A worktree of a commit, which goes at the end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "older"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(place), commit], cwd=ROOT, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)


def _run(code: Path, config: Path, where: Path, targets: list[Artifact]) -> None:
    """Have Snakemake make some artifacts of an experiment, by the code of a checkout."""
    (where / "tests").symlink_to(code / "tests")  # files of fixtures are named from the working directory
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(code / "Snakefile")]
    command += ["--configfile", str(config), "--quiet", "all", "--", *dict.fromkeys(str(one.path) for one in targets)]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    ended = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise UserError(f"SAME: {code} does not run its fixture: {(ended.stderr or ended.stdout).strip()[-400:]}")


def _content(where: Path, artifact: Artifact) -> list[str]:
    """The content of an artifact's files, without the recipes in them."""
    found = []
    for path in (where / path for paths in artifact.outputs.values() for path in paths):
        if path.suffix == ".parquet":
            found.append(hashing.of_table(pq.read_table(path)))
        elif path.suffix == ".json" and "recipe" in (content := json.loads(path.read_text(encoding="utf-8"))):
            found.append(
                hashing.of_json({name: content.get(name) for name in ("files", "facts", "counts", "requests")})
            )
        elif path.name != "recipe.json":
            found.append(hashlib.sha256(RECIPE.sub(b"", path.read_bytes())).hexdigest())
    return found
