"""Stage: a merge of parents.

A temporary merge is a manifest: its weights lie in the store from the merge until the answers are there, and are merged
again where more answers are owed.  Where more would wait than the machine has room for (`machine.waiting_merges`), they
go at once, and are merged again by the job that answers.
"""

import argparse
import json
import os
from pathlib import Path

from workflow_scripts.merge import remerge
from workflow_scripts.models import manifest
from workflow_scripts.store import finished_work

RESULTS = Path("results")


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="merge", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--parents", type=Path, nargs="+", required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--temporary", action="store_true", help="leave the weights in the store, for the answers")
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    parents = [manifest.check(parent)["model"] for parent in given.parents]
    base = manifest.check(given.base)["model"] if given.base else None
    key = finished_work.key(work, parents=parents, base=base)
    entry = finished_work.known(given.store, key) if given.temporary else None
    if entry is None:
        entry = remerge.find_or_merge(given.store, key, work, given.parents, given.base)
    folders = dict(zip(names["parents"], given.parents, strict=True))
    folders |= {names["base"]: given.base} if given.base else {}
    manifest.publish(given.store, key, entry, given.output, given.recipe, folders, temporary=given.temporary)
    most = given.how["machine"]["waiting_merges"] if given.temporary and given.how else None
    # Two jobs that come here at once may both see one too many, and both let go: never one too few.
    if most is not None and len(waiting := manifest.waiting(given.store, RESULTS)) > most and key in waiting:
        manifest.release(given.store, key, RESULTS)
