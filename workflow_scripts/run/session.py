"""A run of Snakemake in results/: alone there, its provenance beside the results, and nothing changed unseen.

Snakemake's own lock outlives a kill and then refuses the same command; ours is the kernel's, and goes with its holder.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.recipes import Recipes
from workflow_scripts.forecast import resources
from workflow_scripts.process import job
from workflow_scripts.store import checksums, finished_work

RESULTS = Path("results")
PROVENANCE = RESULTS / ".provenance"
SCHEMA_VERSION = 1

_held: list[IO[str]] = []  # the lock, for as long as the process lives


class Refusal(Exception):
    """Why a run may not go on: a line for each reason."""


def prepare(recipes: Recipes) -> None:
    """Look at results/ before anything is planned; cheap, and without effect on what is there.

    Raises:
        Refusal: results of another schema, artifacts changed by hand or of unknown origin, weights that lie elsewhere.
    """
    _check_schema()
    try:
        finished_work.place(RESULTS / ".store", resources.weights_folder(recipes.experiment))
    except (UserError, OSError) as error:
        raise Refusal(str(error)) from None
    _keep_provenance_with_results()
    lines = [
        f"{path}: was changed by hand (its hash is not the one sealed); "
        f"`make discard FILE={path}` lets the next run make it again"
        for path in checksums.changed(RESULTS)
    ]
    lines += provenance.foreign(provenance.artifacts(recipes))
    if lines:
        raise Refusal("\n".join(lines))


def equip(recipes: Recipes, package: str) -> None:
    """Tell the commands, wherever they run, where their package is and how to work (see `Recipes.how`)."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([package, *filter(None, known)]))
    os.environ["MIXMERGE_HOW"] = recipes.how()


def start(recipes: Recipes, submits: bool) -> None:
    """Take results/ for this run, and wait for jobs that a killed run left behind.

    Args:
        recipes: of the experiment.
        submits: whether jobs are sent to other machines, where what is amiss would show hours later.

    Raises:
        Refusal: another run is alive in results/, it would exceed the budget, or (submitting) something is missing.
    """
    from workflow_scripts.forecast import (  # here, since every job of a cluster parses the Snakefile again
        plan,
        preflight,
    )

    budget = recipes.config.budget
    if submits:
        lines = preflight.findings(recipes)
    elif budget.usd is not None or budget.gpu_hours is not None:
        lines = plan.over_budget(recipes, plan.quote(recipes))
    else:
        lines = []
    if lines:
        raise Refusal("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    lock = (RESULTS / ".lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            raise Refusal(
                f"results/: its file system has no locks ({error.strerror}), which keep two runs apart; "
                "have it mounted with them (Lustre: -o flock), or work on another"
            ) from None
        lock.seek(0)
        raise Refusal(
            f"results/: another run is at work there ({lock.read().strip() or 'unknown process'}); "
            "wait for it or stop it, then give the same command again"
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {os.uname().nodename}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    lock.flush()
    _held.append(lock)
    _wait_for_orphans()


def _wait_for_orphans() -> None:
    with job.RUNNING.open("a") as sign:
        try:
            fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "mixmerge: a killed run left jobs at work; waiting for them, since what they finish is kept", flush=True
            )
            fcntl.flock(sign, fcntl.LOCK_EX)


def _check_schema() -> None:
    RESULTS.mkdir(exist_ok=True)
    version = RESULTS / ".schema"
    if not version.exists():
        version.write_text(f"{SCHEMA_VERSION}\n")
    elif (found := version.read_text().strip()) != str(SCHEMA_VERSION):
        raise Refusal(
            f"results/: schema {found}, but this mixmerge writes {SCHEMA_VERSION}; "
            "move results/ away, or use the mixmerge that wrote it"
        )


def _keep_provenance_with_results() -> None:
    """What Snakemake remembers of each file lies in results/, so that it travels with them."""
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
