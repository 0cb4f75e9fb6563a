"""Stage: what a judge is asked about a model, handed in as batches; the ticket says in which."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from workflow_scripts.judge import questions
from workflow_scripts.llm import batches
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.request import Request
from workflow_scripts.store import checksums, finished_work


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="submit", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--suites", type=Path, required=True, help="folder with <suite>.parquet")
    parser.add_argument("--generations", type=Path, help="folder with <model>/<suite>.parquet; none: labelled answers")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    names = given.recipe["names"]
    how = given.how["judges"][names["judge"]]
    requests: list[Request] = []
    digests: list[str] = []
    if how["batch"]:  # else the judge asks, whatever a ticket says
        for question in given.recipe["work"]["questions"]:
            requests += _requests(given.recipe, question, given.suites, given.generations)
        with Client(how, given.store / "judgments") as client:
            digests = batches.submit(client, given.store / "batches", requests)
    print(f"{len(requests)} requests, {len(digests)} batches", flush=True)
    ticket = {"recipe": given.recipe, "requests": len(requests), "batches": digests}
    with checksums.recording(Path("results"), [given.output]):
        finished_work.write_text(given.output, json.dumps(ticket, indent=1, sort_keys=True))


def _requests(
    recipe: dict[str, Any], question: dict[str, Any], suites: Path, generations: Path | None
) -> list[Request]:
    """The requests that the judge's stage will make about the same suite and answers."""
    work, names = recipe["work"], {**recipe["names"], **question}
    suite, metric, baseline = (question[name] for name in ("suite", "metric", "baseline"))
    answers = generations / names["model"] / f"{suite}.parquet" if generations else None
    others = generations / baseline / f"{suite}.parquet" if generations and baseline else None
    _, answered, against = questions.read(names, suites / f"{suite}.parquet", answers, others)
    asked = questions.to_ask(metric, names["judge"], answered, against, baseline)
    return questions.requests(work["settings"], work["prompts"][metric], asked, names["judge"])
