"""What each model learned from, by arithmetic on the config alone: unique rows, examples seen, optimizer steps.

A mixture draws the first k rows of a seeded order of each source and language, so the rows of a training are described
by {(source, seed, language): k}, and the union of two trainings takes the larger k of each.  Hence contrasts can be
checked before anything is read.
"""

import math
from typing import NamedTuple

from workflow_scripts.config.data import Mixture
from workflow_scripts.config.models import Train
from workflow_scripts.config.training import Training
from workflow_scripts.data import allocation

Draw = tuple[str, int, str]  # source, seed, language


class Learned(NamedTuple):
    """What a model, with all the trainings in its ancestry after the baseline, learned from."""

    draws: dict[Draw, int]  # -> number of rows
    examples: int  # rows seen, epochs counted
    steps: int  # optimizer steps

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
    return Learned(union, sum(p.examples for p in parts), sum(p.steps for p in parts))


def matched_on(one: Learned, other: Learned) -> list[str]:
    """What two sides had the same of: `rows` (the same set), `examples` (the same number seen)."""
    return [
        what
        for what, same in (("rows", one.draws == other.draws), ("examples", one.examples == other.examples))
        if same
    ]
