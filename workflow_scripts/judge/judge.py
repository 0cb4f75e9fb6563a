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
from workflow_scripts.judge import judging
from workflow_scripts.llm.client import Client
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
    suite, answered, baseline = read(names, given.suite, given.generations, given.baseline)
    with Client(settings, given.store / "judgments", _rules(work, suite)) as client:
        scores = judging.judge(
            work["metric"], names["judge"], settings, work["prompt"], answered, baseline, names["baseline"], client
        )
    if lost := scores["missing"].to_pylist().count("error"):
        raise UserError(
            f"{names['judge']}: {lost} of {len(scores)} requests about {names['model']} failed after all retries; "
            "what was answered is kept, the same command asks for the rest"
        )
    spoken = detector(work["languages"]) if work["languages"] else None
    scores = judging.described(scores, answered, suite, spoken)
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
        records.write(given.output, scores, records.SCORES, lineage)


def read(
    names: dict[str, Any], suite: Path, generations: Path | None, baseline: Path | None
) -> tuple[pa.Table, pa.Table, pa.Table | None]:
    """What is judged: the suite, the answers to it (the suite's own where there are no others), the baseline's."""
    prompts = records.read(suite, records.ROWS)
    answered = records.read(generations, records.GENERATIONS) if generations else _labelled(prompts, names)
    return prompts, answered, records.read(baseline, records.GENERATIONS) if baseline else None


def _labelled(suite: pa.Table, names: dict[str, Any]) -> pa.Table:
    """A labelled suite's own answers, as if a model had generated them.

    Raises:
        UserError: an answer or its label is missing, or is not one of the two.
    """
    rows = []
    for row in suite.to_pylist():
        if row["completion"] is None or row["label"] not in ("harmful", "harmless"):
            raise UserError(
                f"suites.{names['suite']}: row {row['id']} has no completion with a label; "
                "`metric: labels` needs a source with `completion`, and `label` harmful or harmless"
            )
        rows.append(
            {
                "prompt_id": row["id"],
                **{name: row[name] for name in ("source_prompt_id", "language", "prompt", "completion")},
                "suite": names["suite"],
                "finish_reason": "stop",
                "prompt_tokens": 0,
                "completion_tokens": 0,
            }
        )
    return pa.Table.from_pylist(rows, records.GENERATIONS)


def _rules(work: dict[str, Any], suite: pa.Table) -> tuple[str, Callable[[], Any]] | None:
    """The miniature's judge as a provider of litellm: it knows the references of the suite."""
    if not work["model"].startswith(judging.RULES):
        return None

    def provider() -> Any:
        references = dict(zip(suite["prompt"].to_pylist(), suite["reference"].to_pylist(), strict=True))
        return command.heavy("miniature.rule_judge").RuleJudge(references, work["faults"])

    return judging.RULES.rstrip("/"), provider
