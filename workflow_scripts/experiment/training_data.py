"""What each model learned from, by arithmetic on the config alone: unique rows, examples seen, optimizer steps.

A mixture draws the first k rows of a seeded order of each source and language, so the rows of a training are described
by {(source, seed, language): k}, and the union of two trainings takes the larger k of each.  Hence contrasts can be
checked before anything is read.
"""

import math
from typing import NamedTuple

from workflow_scripts.config.data import Mixture
from workflow_scripts.config.models import Load, Train
from workflow_scripts.config.training import Training
from workflow_scripts.data import allocation

Draw = tuple[str, int, str]  # source, seed, language
UNKNOWN = "unknown"


class Learned(NamedTuple):
    """What a model, with all the trainings in its ancestry after the baseline, learned from."""

    draws: dict[Draw, int]  # -> number of rows
    examples: int  # rows seen, epochs counted
    steps: int  # optimizer steps
    tokens: int | None = 0  # of loaded models, as their rows state; those of trainings are counted when they are done
    is_known: bool = True  # False: a loaded model in it does not say

    @property
    def rows(self) -> int:
        """Unique rows."""
        return sum(self.draws.values())


def draws(mixture: Mixture, row: Train, languages: list[str]) -> dict[Draw, int]:
    """The rows that one training draws; `languages` are the mixture's."""
    counts = allocation.allocate(row.per_language or mixture.per_language, mixture.parts)
    return {
        (part, mixture.seed, language): count
        for language in languages
        if row.languages is None or language in row.languages
        for part, count in counts.items()
        if count and (row.parts is None or part in row.parts)
    }


def training(drawn: dict[Draw, int], settings: Training) -> Learned:
    """What one training learns from."""
    rows = sum(drawn.values())
    steps = math.ceil(math.ceil(rows / settings.batch_size) * settings.epochs)
    return Learned(drawn, round(rows * settings.epochs), steps)


def together(parts: list[Learned]) -> Learned:
    """The union of the rows, the sums of examples and steps."""
    union: dict[Draw, int] = {}
    for part in parts:
        for draw, count in part.draws.items():
            union[draw] = max(union.get(draw, 0), count)
    tokens = [part.tokens for part in parts]
    return Learned(
        union,
        sum(part.examples for part in parts),
        sum(part.steps for part in parts),
        None if None in tokens else sum(count or 0 for count in tokens),
        all(part.is_known for part in parts),
    )


def stated(name: str, row: Load) -> Learned:
    """What a loaded model learned from, by its row: rows that no other model's are."""
    if row.learned is None:
        return Learned({}, 0, 0, None, is_known=False)
    return Learned({(name, 0, ""): row.learned.rows}, row.learned.examples, 0, row.learned.tokens)


def matched_on(one: Learned, other: Learned) -> list[str]:
    """What two sides had the same of: `rows` (the same set), `examples` (the same number seen); or `unknown`."""
    if not (one.is_known and other.is_known):
        return [UNKNOWN]
    return [
        what
        for what, same in (("rows", one.draws == other.draws), ("examples", one.examples == other.examples))
        if same
    ]
