"""Stage: the scores of one model's answers to a suite, by one judge."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflow_scripts import cli, hashing, judging, llm, records, seals
from workflow_scripts.errors import UserError


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="judge", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--generations", type=Path, required=True)
    parser.add_argument("--baseline", type=Path, nargs="?")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    settings = {**work, **given.how["judges"][names["judge"]]}
    answered = records.read(given.generations, records.GENERATIONS)
    baseline = records.read(given.baseline, records.GENERATIONS) if given.baseline else None
    with llm.Client(settings, given.store / "judgments", _rules(work["model"], given.suite)) as client:
        scores = judging.judge(
            work["metric"], names["judge"], settings, work["prompt"], answered, baseline, names["baseline"], client
        )
    if lost := scores["missing"].to_pylist().count("error"):
        raise UserError(
            f"{names['judge']}: {lost} of {len(scores)} requests about {names['model']} failed after all retries; "
            "what was answered is kept, the same command asks for the rest"
        )
    known = records.lineage(given.generations)
    lineage = {
        "recipe": given.recipe,
        "model": known["model"],
        "manifest": known["manifest"],
        "trainings": known["trainings"],
        "generations": hashing.of_file(given.generations),
        "baseline": hashing.of_file(given.baseline) if given.baseline else None,
    }
    with seals.sealing(Path("results"), [given.output]):
        records.write(given.output, scores, records.SCORES, lineage)


def _rules(model: str, suite: Path) -> tuple[str, Callable[[], Any]] | None:
    """The miniature's judge as a provider of litellm: it knows the references of the suite."""
    if not model.startswith(judging.RULES):
        return None

    def provider() -> Any:
        rows = records.read(suite, records.ROWS)
        references = dict(zip(rows["prompt"].to_pylist(), rows["reference"].to_pylist(), strict=True))
        return cli.heavy("rule_judge").RuleJudge(references)

    return judging.RULES.rstrip("/"), provider


if __name__ == "__main__":
    cli.run_this()
