"""Command: what a judge is asked about a model, handed in as batches; the ticket says in which."""

from pathlib import Path
from typing import Any

from workflow_scripts.base.job import STORE, Job
from workflow_scripts.judge import questions
from workflow_scripts.llm import batches
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.request import Request
from workflow_scripts.store.outputs import write_json


def make(job: Job) -> None:
    """Make what a job is about."""
    requests: list[Request] = []
    digests: list[str] = []
    if job.execution["batch"]:  # else the judge asks, whatever a ticket says
        suites = job.named("suites")
        pairs = zip(map(tuple, job.recipe.inputs["generations"]), job.files["generations"], strict=True)
        answers: dict[tuple[str, str], Path] = dict(pairs)
        for question in job.settings["questions"]:
            requests += _requests(job, question, suites[question["suite"]], answers)
        with Client(job.execution, STORE / "judgments") as client:
            digests = batches.submit(client, STORE / "batches", requests)
    print(f"{len(requests)} requests, {len(digests)} batches", flush=True)
    write_json(job, job.output("ticket"), requests=len(requests), batches=digests)


def _requests(job: Job, question: dict[str, Any], path: Path, answers: dict[tuple[str, str], Path]) -> list[Request]:
    """The requests that the judge's stage will make about the same suite and answers."""
    about = {**job.recipe.inputs, **question}
    suite, metric, baseline = (question[name] for name in ("suite", "metric", "baseline"))
    ours, theirs = (answers[name, suite] if name else None for name in (about["model"], baseline))
    _, answered, against = questions.read(about, path, ours, theirs)
    asked = questions.to_ask(metric, about["judge"], answered, against, baseline)
    return questions.requests(job.settings["settings"], job.settings["prompts"][metric], asked, about["judge"])
