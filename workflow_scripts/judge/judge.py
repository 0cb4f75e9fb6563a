"""Stage: the scores of one model's answers to a suite, by one judge."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.text import detector
from workflow_scripts.judge import questions, scores
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.request import RULES
from workflow_scripts.process import command
from workflow_scripts.store import checksums


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="judge", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--generations", type=Path, nargs="?", help="none: judge the suite's own, labelled answers")
    parser.add_argument("--baseline", type=Path, nargs="?")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    settings = {**work, **given.how["judges"][names["judge"]]}
    suite, answered, baseline = questions.read(names, given.suite, given.generations, given.baseline)
    with Client(settings, given.store / "judgments", _rules(work, suite)) as client:
        table = scores.judge(
            work["metric"], names["judge"], settings, work["prompt"], answered, baseline, names["baseline"], client
        )
    if lost := table["missing"].to_pylist().count("error"):
        raise UserError(
            f"{names['judge']}: {lost} of {len(table)} requests about {names['model']} failed after all retries; "
            "what was answered is kept, the same command asks for the rest"
        )
    spoken = detector(work["languages"]) if work["languages"] else None
    table = scores.described(table, answered, suite, spoken)
    known = records.lineage(given.generations) if given.generations else {}
    lineage = {
        "recipe": given.recipe,
        "model": known.get("model"),
        "manifest": known.get("manifest"),
        "trainings": known.get("trainings", {}),
        "licences": records.licences(given.suite, *filter(None, [given.generations, given.baseline])),
        "generations": hashing.of_file(given.generations or given.suite),
        "baseline": hashing.of_file(given.baseline) if given.baseline else None,
    }
    with checksums.recording(Path("results"), [given.output]):
        records.write(given.output, table, records.SCORES, lineage)


def _rules(work: dict[str, Any], suite: pa.Table) -> tuple[str, Callable[[], Any]] | None:
    """The miniature's judge as a provider of litellm: it knows the references of the suite."""
    if not work["model"].startswith(RULES):
        return None

    def provider() -> Any:
        references = dict(zip(suite["prompt"].to_pylist(), suite["reference"].to_pylist(), strict=True))
        return command.heavy("miniature.rule_judge").RuleJudge(references, work["faults"])

    return RULES.rstrip("/"), provider
