"""One number per prompt: what a judge's verdicts on a model's answers count for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workflow_scripts.base.errors import UserError
from workflow_scripts.metrics.measures._base import Measure

Floats = npt.NDArray[np.float64]


def numbered(clusters: Sequence[Any]) -> tuple[npt.NDArray[np.intp], int]:
    """The number of each item's cluster, and how many clusters there are.

    Numbers follow from the keys alone.  By order of appearance, what is resampled, and with it the last digits of an
    interval, would depend on the order in which models or prompts are listed.

    Args:
        clusters: (n,) the source prompt of each item, by any key that can be sorted.

    >>> numbered(["b", "a", "b"])
    (array([1, 0, 1]), 2)
    """
    numbers = {name: i for i, name in enumerate(sorted(set(clusters)))}
    return np.array([numbers[name] for name in clusters], dtype=np.intp), len(numbers)


@dataclass(frozen=True)
class Outcomes:
    """One number per prompt of one model and one metric, in the order of the prompts' ids.

    Attributes:
        prompts: (n,) ids, as (suite, prompt_id).
        clusters: (n,) source prompts, as (suite, source_prompt_id).
        languages: (n,) codes.
        values: (n,) numbers, of verdicts in [0, 1]; NaN where the verdict is missing.
        topics: (n,) what else a prompt belongs to, as `scope=local` or `category=Self-harm`.
    """

    prompts: tuple[tuple[str, str], ...]
    clusters: tuple[tuple[str, str], ...]
    languages: tuple[str, ...]
    values: Floats
    topics: tuple[frozenset[str], ...] = ()

    def within(self, languages: Collection[str] | None, topic: str | None = None) -> "Outcomes":
        """The prompts in some languages and of a topic; all of them for None."""
        if languages is None and topic is None:
            return self
        kept = [
            i
            for i, language in enumerate(self.languages)
            if (languages is None or language in languages) and (topic is None or topic in self.topics[i])
        ]
        return Outcomes(
            tuple(self.prompts[i] for i in kept),
            tuple(self.clusters[i] for i in kept),
            tuple(self.languages[i] for i in kept),
            self.values[kept],
            tuple(self.topics[i] for i in kept) if self.topics else (),
        )

    @property
    def missing(self) -> int:
        """How many prompts have no verdict."""
        return int(np.isnan(self.values).sum())


def combine(verdicts: Collection[str | None]) -> str | None:
    """One verdict from those of all presentation orders of a pair: orders that disagree are a tie.

    A prompt with one order missing is missing: half a comparison cannot tell a preference from a position bias.
    Source: Zheng et al. 2023, arXiv 2306.05685, section 3.4 (the conservative approach to position bias).
    """
    if None in verdicts:
        return None
    return next(iter(verdicts)) if len(set(verdicts)) == 1 else "tie"


def outcomes(scores: pa.Table, measure: Measure, against: str | None = None) -> Outcomes:
    """Reduce scores rows (records.SCORES, one model, one judge) to one number per prompt.

    Args:
        scores: rows in any order; rows of other metrics are passed over.
        measure: which rows to read, and what their verdicts count for.
        against: the model that preferences are compared with; rows against others are passed over.

    Raises:
        UserError: a verdict is unknown, or a prompt was judged twice in the same order.
    """
    rows: dict[tuple[str, str], dict[str | None, Mapping[str, Any]]] = {}
    for row in scores.to_pylist():
        if measure.metric not in (None, row["metric"]) or (against and row["against"] not in (None, against)):
            continue
        prompt, verdict = (row["suite"], row["prompt_id"]), row["verdict"]
        if not measure.number and verdict is not None and verdict not in measure.values:
            known = ", ".join(measure.values)
            raise UserError(
                f"scores: verdict {verdict!r} of prompt {prompt[1]}, but {measure.metric} knows {known}; judge it again"
            )
        orders = rows.setdefault(prompt, {})
        if row["order"] in orders:
            raise UserError(f"scores: prompt {prompt[1]} of suite {prompt[0]} is judged twice; keep one judge's rows")
        orders[row["order"]] = row
    prompts = tuple(sorted(rows))
    first = [next(iter(rows[prompt].values())) for prompt in prompts]
    return Outcomes(
        prompts,
        tuple((row["suite"], row["source_prompt_id"]) for row in first),
        tuple(row["language"] for row in first),
        np.array([_value(list(rows[prompt].values()), measure) for prompt in prompts], dtype=np.float64),
        tuple(topics(row) for row in first),
    )


def _value(orders: list[Mapping[str, Any]], measure: Measure) -> float:
    """The number of one prompt, from its rows in all orders; NaN where there is none."""
    if measure.number:
        columns, number = measure.number
        found = [number(*(row[column] for column in columns)) for row in orders]
        return float("nan") if None in found else max(value for value in found if value is not None)
    verdict = combine([row["verdict"] for row in orders])
    return float("nan") if verdict is None else measure.values[verdict]


def topics(row: Mapping[str, Any]) -> frozenset[str]:
    """What a prompt belongs to besides its language, as `scope=local` or `category=Self-harm`."""
    scope = [f"scope={row['scope']}"] if row["scope"] else []
    return frozenset(scope + [f"category={category}" for category in row["categories"] or []])


def same_prompts(name: str, one: Outcomes, other_name: str, other: Outcomes) -> None:
    """Refuse to compare two models on different prompts.

    Raises:
        UserError: naming some prompts that only one of them answered.
    """
    if one.prompts == other.prompts:
        return
    alone = sorted(set(one.prompts) ^ set(other.prompts))
    ids = ", ".join(prompt for _, prompt in alone[:3]) + (", ..." if len(alone) > 3 else "")
    raise UserError(f"{name} and {other_name} do not pair up in {len(alone)} prompts ({ids}); judge both on one suite")
