"""What each model learned from, by arithmetic on the config alone: unique rows, examples seen, optimizer steps.

A mixture draws the first k rows of a seeded order of each source and language, so the rows of a training are described
by {(source, seed, language): k}, and the union of two trainings takes the larger k of each.  Hence contrasts can be
checked before anything is read.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from workflow_scripts.config.experiment import Mixture, Train, Training

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


def allocate(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Split `total` rows by fractions that sum to one: each share rounded, so that the counts sum to the total.

    Row by row goes to the part that is furthest behind (the method of Webster and Sainte-Laguë), ties to the first.  So
    more rows never take one from a part, which largest remainders would do, and draws of any sizes are nested.

    >>> allocate(10, {"general": 0.85, "safety": 0.15})
    {'general': 9, 'safety': 1}
    """
    exact = {name: Fraction(str(fraction)) for name, fraction in fractions.items()}
    # The method gives every part its rounded share less half the number of parts, at the least: start there.
    counts = {name: max(0, math.floor(total * share) - len(exact)) for name, share in exact.items()}
    for _ in range(total - sum(counts.values())):
        counts[max(exact, key=lambda name: exact[name] / (2 * counts[name] + 1))] += 1
    return counts


def draws(mixture: Mixture, row: Train, languages: list[str]) -> dict[Draw, int]:
    """The rows that one training draws; `languages` are the mixture's."""
    counts = allocate(row.per_language or mixture.per_language, mixture.parts)
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
