"""Command: the scores of one model's answers to a suite, by one judge."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made, made_by
from workflow_scripts.base.text import detector
from workflow_scripts.judge import questions, scores
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.request import RULES
from workflow_scripts.process import command
from workflow_scripts.store.outputs import write_rows


def make(job: Job) -> Made:
    """Make what a job is about."""
    settings, about = _settings(job), job.recipe.inputs
    suite, answers, others = job.file("suite"), *(next(iter(job.files[r]), None) for r in ("generations", "baseline"))
    prompts, answered, baseline = questions.read(about, suite, answers, others)
    with Client(settings, STORE / "judgments", _rules(settings, prompts)) as client:
        table = scores.judge(
            *(settings["metric"], about["judge"], settings, settings["prompt"]),
            *(answered, baseline, about["baseline"], client),
        )
    if lost := table["missing"].to_pylist().count("error"):
        raise UserError(
            f"{about['judge']}: {lost} of {len(table)} requests about {about['model']} failed after all retries; "
            "what was answered is kept, the same command asks for the rest"
        )
    spoken = detector(settings["languages"]) if settings["languages"] else None
    table = scores.described(table, answered, prompts, spoken)
    known = records.lineage(answers) if answers else {}
    lineage = {name: known.get(name) for name in ("model", "manifest")} | {
        "trainings": known.get("trainings", {}),
        "made_by": made_by(job.recipe, known.get("made_by", {})),
        "licences": records.licences(suite, *filter(None, [answers, others])),
        "generations": hashing.of_file(answers or suite),
        "baseline": hashing.of_file(others) if others else None,
    }
    write_rows(job, job.output("scores"), table, records.SCORES, **lineage)
    return Made(usd=client.usd)


def _settings(job: Job) -> dict[str, Any]:
    """What the judge is asked with; the miniature's is named after its rules, as providers name their snapshots.

    Other rules, words or faults, other requests.
    """
    settings = job.settings | job.execution
    if version := job.recipe.code.get("rule_judge"):
        rules = [version, settings["lexicon"], settings["faults"]]
        settings["model"] += f"-{hashing.of_json(rules)[:8]}"
    return settings


def _rules(work: dict[str, Any], suite: pa.Table) -> tuple[str, Callable[[], Any]] | None:
    """The miniature's judge as a provider of litellm: it knows the references of the suite."""
    if not work["model"].startswith(RULES):
        return None

    def provider() -> Any:
        references = dict(zip(suite["prompt"].to_pylist(), suite["reference"].to_pylist(), strict=True))
        return command.heavy("miniature.rule_judge").RuleJudge(references, work["faults"])

    return RULES.rstrip("/"), provider
