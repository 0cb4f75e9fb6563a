"""Stage: waits for the batches of a ticket and brings their answers into the ledger. It needs little else."""

import argparse
import json
import os
import time
from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.llm import batches
from workflow_scripts.llm.client import Client
from workflow_scripts.store import checksums, finished_work

LOCK = Path("results/.lock")  # says which run is at work (`session`)
LOOK = 1.0  # seconds between looks at it


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="collect", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--ticket", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    name = given.recipe["names"]["judge"]
    how = given.how["judges"][name]
    digests = json.loads(given.ticket.read_text())["batches"]
    run = _run()

    def wait(seconds: float) -> None:
        """Sleep, but not past the run that this job belongs to: the next run waits until it is gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
            if _run() != run:
                raise UserError("the run that waited for its batches is over; the next one goes on")

    with Client(how, given.store / "judgments") as client:
        try:
            counts = batches.collect(client, given.store / "batches", digests, how["poll"], wait)
        except UserError as error:
            raise UserError(f"judges.{name}: {error}") from None
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    print(f"{told or 'nothing'} in {len(digests)} batches; what is an error is asked at the full price", flush=True)
    with checksums.recording(Path("results"), [given.output]):
        finished_work.write_text(
            given.output, json.dumps({"recipe": given.recipe, "counts": counts}, indent=1, sort_keys=True)
        )


def _run() -> str:
    return LOCK.read_text() if LOCK.exists() else ""
