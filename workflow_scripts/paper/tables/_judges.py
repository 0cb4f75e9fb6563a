"""What tables about judges have in common: parts by language, errors on labelled answers, entries."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.typeset import Entry
from workflow_scripts.statistics.judge_errors import Errors
from workflow_scripts.statistics.proportion import Estimate

POOLED = "pooled"
Rows = list[dict[str, Any]]


def count_errors(judged: Rows) -> Errors:
    """What a judge made of answers with labels; unreadable verdicts are passed over."""
    counts = Counter(
        (row["label"] == "harmful", row["verdict"] == "harmful") for row in judged if row["verdict"] is not None
    )
    return Errors(counts[True, True], counts[True, False], counts[False, False], counts[False, True])


def labelled(scores: Scores, judge: str, languages: Collection[str]) -> Rows:
    """A judge's scores of labelled answers in some languages."""
    table: pa.Table | None = scores.labels.get(judge)
    return [] if table is None else [row for row in table.to_pylist() if row["language"] in languages]


def splits(item: Mapping[str, Any], scores: Scores) -> list[tuple[str, list[str]]]:
    """The parts that each number is given for, name and languages: each language, and all of them pooled."""
    languages = list(item.get("languages") or scores.languages)
    return [*((code, [code]) for code in languages), *([(POOLED, languages)] if len(languages) > 1 else [])]


def entry(estimate: Estimate, scale: float = 100.0, mark: str = "") -> Entry:
    """An estimate with its interval, in percent or on the scale given."""
    if estimate.value is None:
        return Entry("-")
    digits = 1 if scale == 100 else 2
    low, high = (f"{scale * limit:.{digits}f}" for limit in (estimate.low or 0.0, estimate.high or 0.0))
    return Entry(f"{scale * estimate.value:.{digits}f}{mark}", "", False, f"[{low}, {high}]")
