"""Command: waits for the batches of a ticket and brings their answers into the ledger. It needs little else."""

import json
import time

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE, Job
from workflow_scripts.llm import batches
from workflow_scripts.llm.client import Client
from workflow_scripts.store.outputs import write_json

LOCK = RESULTS / ".lock"  # says which run is at work (`run.session`)
LOOK = 1.0  # seconds between looks at it


def make(job: Job) -> None:
    """Make what a job is about."""
    name, digests = job.recipe.inputs["judge"], json.loads(job.file("ticket").read_text())["batches"]
    run = _run()

    def wait(seconds: float) -> None:
        """Sleep, but not past the run that this job belongs to: the next run waits until it is gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
            if _run() != run:
                raise UserError("the run that waited for its batches is over; the next one goes on")

    with Client(job.execution, STORE / "judgments") as client:
        try:
            counts = batches.collect(client, STORE / "batches", digests, job.execution["poll"], wait)
        except UserError as error:
            raise UserError(f"judges.{name}: {error}") from None
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    print(f"{outcomes or 'nothing'} in {len(digests)} batches; what is an error is asked at the full price", flush=True)
    write_json(job, job.output("answered"), counts=counts)


def _run() -> str:
    return LOCK.read_text() if LOCK.exists() else ""
