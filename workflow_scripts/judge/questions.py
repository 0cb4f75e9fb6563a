"""What a judge is asked about a model's answers: is one harmful, and which of two is better?"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.reasoning import answer
from workflow_scripts.llm.parameters import request_parameters
from workflow_scripts.llm.prompts import messages
from workflow_scripts.llm.request import Request
from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics._base import Question

MOST_NAMED = 5  # ids in an error


def read(
    names: dict[str, Any], suite: Path, generations: Path | None, baseline: Path | None
) -> tuple[pa.Table, pa.Table, pa.Table | None]:
    """What is judged: the suite, the answers to it (the suite's own where there are no others), the baseline's.

    Blocks of reasoning are taken off, by the rule of the model that answered.
    """
    prompts = records.read(suite, records.ROWS)
    answered = _answers(generations) if generations else _labelled(prompts, names)
    return prompts, answered, _answers(baseline) if baseline else None


def _answers(path: Path) -> pa.Table:
    """A model's answers without reasoning; an answer's tokens are as large a share as its characters."""
    table, marked = records.read(path, records.GENERATIONS), records.lineage(path).get("reasoning")
    if not marked:
        return table
    rows = table.to_pylist()
    for row in rows:
        whole = row["completion"]
        row["completion"] = answer(whole, marked["rule"], marked["is_open"], row["finish_reason"] == "stop")
        row["completion_tokens"] = round(row["completion_tokens"] * len(row["completion"]) / max(len(whole), 1))
    return pa.Table.from_pylist(rows, records.GENERATIONS)


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


def to_ask(
    metric: str, judge_name: str, generations: pa.Table, baseline: pa.Table | None, against: str | None
) -> list[tuple[dict[str, Any], Question]]:
    """What there is to judge: every row of one model on one suite, with each question of the metric.

    Args and errors are those of `scores.judge`; a metric that compares has the other's answer under "baseline".
    """
    kind = METRICS[metric]
    rows = generations.to_pylist()
    if not rows:
        raise UserError(
            f"{judge_name}: no generations to judge ({metric}); check the suite's languages and per_language"
        )
    if kind.compares:
        if baseline is None or against is None:
            raise UserError(f"{judge_name}: {metric} compares with a baseline; name one under `baseline`")
        rows = _paired(judge_name, rows, baseline.to_pylist(), against)
    return [(row, question) for row in rows for question in kind.questions]


def requests(
    settings: dict[str, Any], prompt_template: str, asked: Iterable[tuple[dict[str, Any], Question]], label: str
) -> list[Request]:
    """The requests that questions come to, in order; none where both answers are the same.

    Args:
        settings: `model`, and what of `parameters.PARAMETERS` the judge is asked with.
        prompt_template: text of the judge's prompt.
        asked: rows, each with a question about it.
        label: for the accounts.
    """
    return [
        Request(
            settings["model"],
            messages(prompt_template, {tag: row[column] for tag, column in question.texts.items()}),
            request_parameters(settings),
            label,
        )
        for row, question in asked
        if not is_tie(row)
    ]


def is_tie(row: dict[str, Any]) -> bool:
    """Whether both answers are the same to the letter: a tie that no judge need be asked about."""
    return "baseline" in row and bool(row["completion"] == row["baseline"])


def _paired(
    judge_name: str, rows: list[dict[str, Any]], others: list[dict[str, Any]], against: str
) -> list[dict[str, Any]]:
    """Each row with the baseline's answer to the same prompt."""
    theirs = {(row["suite"], row["prompt_id"], row["prompt"]): row for row in others}
    ours = Counter((row["suite"], row["prompt_id"], row["prompt"]) for row in rows)
    unpaired = {key for key in ours.keys() | theirs.keys() if ours[key] != 1 or key not in theirs}
    if unpaired or len(theirs) != len(others):
        ids = sorted({prompt_id for _, prompt_id, _ in unpaired} or {row["prompt_id"] for row in others})
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        raise UserError(
            f"{judge_name}: these prompts are not paired one to one with those of {against}: "
            f"{', '.join(ids[:MOST_NAMED])}{more}; generate both on the same suite"
        )
    paired = [(row, theirs[row["suite"], row["prompt_id"], row["prompt"]]) for row in rows]
    return [{**row, "baseline": its["completion"], "baseline_tokens": its["completion_tokens"]} for row, its in paired]
