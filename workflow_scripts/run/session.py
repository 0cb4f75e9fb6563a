"""A run of Snakemake in results/: alone there, its provenance beside the results, and nothing changed or redone unseen.

Snakemake's own lock outlives a kill and then refuses the same command; ours is the kernel's, and goes with its holder.
All of this happens when the Snakefile is parsed, in the main process, since a module's `onstart` never runs.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import CODE, JOBS, RESULTS, STORE, Job
from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.config import reading
from workflow_scripts.experiment import code_lock, kept, provenance, table_of_models
from workflow_scripts.experiment.artifacts import Artifacts
from workflow_scripts.forecast import resources
from workflow_scripts.process.job import RUNNING
from workflow_scripts.run import consent
from workflow_scripts.store import checksums, finished_work

PROVENANCE = RESULTS / ".provenance"
SCHEMA_VERSION = 2
# What is asked of Snakemake besides a run: it parses the workflow and does none of it.
LOOKS = {
    *("--lint", "-l", "--list-rules", "--list", "--list-target-rules", "--lt", "--summary", "-S", "--detailed-summary"),
    *("-D", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--unlock", "--report", "--archive", "--containerize"),
    *("--list-changes", "--lc", "--list-input-changes", "--li", "--list-params-changes", "--lp", "--list-untracked"),
    *("--lu", "--cleanup-metadata", "--cm", "--generate-unit-tests", "--print-compilation"),
}

_held: list[IO[str]] = []  # the lock, for as long as the process lives


def load(config: dict[str, Any], files: Iterable[Path]) -> Artifacts:
    """The experiment that Snakemake was given, as its list of artifacts.

    Args:
        config: as Snakemake read it.
        files: from where; what YAML hides from Snakemake, such as a key that stands twice, is seen there.

    Raises:
        UserError: a line for everything that is wrong.
    """
    beside.use(files := [Path(file) for file in files])
    for file in files:
        reading.read(file)
    code_lock.read()
    return kept.with_kept(table_of_models.load(config))


def only_looks(dry_run: bool) -> bool:
    """Whether Snakemake was asked for anything but a run."""
    return dry_run or any(argument.partition("=")[0] in LOOKS for argument in sys.argv[1:])


def start(found: Artifacts, dry_run: bool) -> None:
    """Look at results/, and for a run take it, ask for what is costly, and write down its jobs.

    Args:
        found: the artifacts of the experiment.
        dry_run: whether nothing is to be done; then what would be asked is printed.

    Raises:
        UserError: a line for each reason why the run may not go on.
    """
    _check_results(found)
    if dry_run:
        for line in consent.question(found):
            print(line, file=sys.stderr)
        return
    _take_results()
    if lines := [*consent.question(found), *_over_budget(found)]:
        raise UserError("\n".join(lines))
    code_lock.remember((unit for artifact in found.all for unit in artifact.units), CODE)
    JOBS.mkdir(exist_ok=True)
    for artifact in found.all:
        if not artifact.job.path.exists():
            _write_down(artifact.job)


def _write_down(job: Job) -> None:
    """Write a job whole or not at all; not waiting for the disk, since the next run writes what a power cut takes."""
    partial = job.path.with_suffix(f".{os.getpid()}")
    partial.write_text(job.text(), encoding="utf-8")
    partial.replace(job.path)


def set_environment() -> None:
    """Tell the commands, wherever they run, where their package is, which may be a module of another workflow."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(PACKAGE.parent), *filter(None, known)]))


def _check_results(found: Artifacts) -> None:
    """Raise where results are of another layout, or not what their recipes and checksums say."""
    RESULTS.mkdir(exist_ok=True)
    version = RESULTS / ".schema"
    if not version.exists():
        version.write_text(f"{SCHEMA_VERSION}\n")
    elif not version.is_file() or (there := version.read_bytes().decode(errors="replace").strip()) == "":
        raise UserError(f"{version}: says no layout; write {SCHEMA_VERSION} into it if this mixmerge wrote results/")
    elif there != str(SCHEMA_VERSION):
        raise UserError(
            f"results/: was written by another layout of mixmerge ({there}; this one writes {SCHEMA_VERSION}); "
            "move results/ away to begin anew, or go on with the mixmerge that wrote it: nothing there was changed"
        )
    try:
        finished_work.place(STORE, resources.weights_folder(found.experiment))
    except OSError as error:
        raise UserError(str(error)) from None
    _keep_provenance_with_results()
    lines = [
        f"{path}: was changed by hand (its checksum is not the recorded one); "
        f"`make discard FILE={path}` lets the next run make it again"
        for path in checksums.changed(RESULTS)
    ]
    if lines := [*lines, *provenance.foreign(found)]:
        raise UserError("\n".join(lines))


def check_machines(found: Artifacts) -> None:
    """Before jobs are sent to other machines, where what is amiss would show hours later.

    Raises:
        UserError: a line for everything that they would lack.
    """
    from workflow_scripts.forecast import preflight  # here, since a run on this machine does without

    if lines := preflight.findings(found):
        raise UserError("\n".join(lines))


def _over_budget(found: Artifacts) -> list[str]:
    """The budget that the run would exceed."""
    from workflow_scripts.forecast import quote  # here, since most runs have none

    budget = found.experiment.config.budget
    limited = budget.usd is not None or budget.gpu_hours is not None
    return quote.over_budget(found, quote.quote(found)) if limited else []


def _take_results() -> None:
    """Take results/ for this run, and wait for jobs that a killed run left behind."""
    if _held:  # by this process, which may hold several experiments as modules
        return
    lock = (RESULTS / ".lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            raise UserError(
                f"results/: its file system has no locks ({error.strerror}), which keep two runs apart; "
                "have it mounted with them (Lustre: -o flock), or work on another"
            ) from None
        lock.seek(0)
        raise UserError(
            f"results/: another run is at work there ({lock.read().strip() or 'unknown process'}); "
            "wait for it or stop it, then give the same command again"
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {os.uname().nodename}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    lock.flush()
    _held.append(lock)
    with RUNNING.open("a") as running:
        try:
            fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "mixmerge: a killed run left jobs at work; waiting for them, since what they finish is kept",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(running, fcntl.LOCK_EX)


def _keep_provenance_with_results() -> None:
    """Let what Snakemake records of each file lie in results/, so that it travels with them."""
    PROVENANCE.mkdir(exist_ok=True)
    place = Path(".snakemake/metadata")
    if place.is_symlink():
        return
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        for file in place.iterdir():
            file.rename(PROVENANCE / file.name)
        place.rmdir()
    place.symlink_to(os.path.relpath(PROVENANCE, place.parent))
