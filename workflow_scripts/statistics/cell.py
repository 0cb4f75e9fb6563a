"""What a cell of a table says: an estimate, how sure it is, and how many prompts it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from workflow_scripts.statistics import significance
from workflow_scripts.statistics.bootstrap import LEVEL
from workflow_scripts.statistics.outcomes import Floats, Outcomes

POWER = 0.8  # with which the smallest detectable difference is found


@dataclass(frozen=True, slots=True)
class Cell:
    """An estimate with its 95% interval, its counts, and a reason in words wherever a number is not there.

    Attributes:
        estimate: mean over seeds, in percent or points; None if it is not defined.
        low: lower end of the interval; None if there is none.
        high: upper end of the interval; None if there is none.
        n: distinct prompts with a verdict.
        clusters: source prompts they come from: the number of independent units.
        n_missing: verdicts that are missing, over all seeds, of the model, or of both that are compared.
        seeds: the seeds pooled.
        seed_min: smallest estimate of a single seed.
        seed_max: largest estimate of a single seed.
        saturated: the rate behind the cell, mean over seeds, is below 5% or above 95%.
        why: why estimate or interval is not defined; empty if both are.
        by_seed: estimate of each seed.
        seeds_low: lower end of the t interval of the mean over seeds; None with fewer than six.
        seeds_high: upper end of it.
        p: of a difference, over prompts: exact McNemar where prompts are independent and outcomes yes or no, else
            sign flips of whole clusters; None for what is no difference.
        p_seeds: of a difference, over seeds; None for what is none, and with one seed.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    n_missing: int
    seeds: tuple[int, ...]
    seed_min: float | None
    seed_max: float | None
    saturated: bool = False
    why: str = ""
    by_seed: tuple[float, ...] = ()
    seeds_low: float | None = None
    seeds_high: float | None = None
    p: float | None = None
    p_seeds: float | None = None

    @property
    def p_both(self) -> float | None:
        """Of a difference over prompts and over seeds: the larger p (intersection-union test: Berger 1982).

        With one seed it is the p over prompts, since nothing is known about other trainings.
        """
        return None if self.p is None else max(self.p, self.p_seeds or 0.0)

    @property
    def smallest(self) -> float | None:
        """The smallest difference that prompts as many and as varied as these would show with a power of 80%.

        The standard error is that of the interval.
        """
        if self.low is None or self.high is None:
            return None
        return detectable((self.high - self.low) / 2 / NormalDist().inv_cdf((1 + LEVEL) / 2), 1 - LEVEL, POWER)


def detectable(error: float, alpha: float, power: float) -> float:
    """The smallest difference that a two-sided test of a normal estimate finds with a power; in the unit of `error`.

    statsmodels has samples' sizes for it, not differences.
    Source: (z of the level + z of the power) * standard error (Miller 2024, arXiv 2411.00640, section 5).
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * error


def prompt_counts(sides: Sequence[Sequence[Outcomes]], own: int) -> dict[str, Any]:
    """How many prompts and source prompts have verdicts, and how many verdicts the first `own` sides lack."""
    covered = {
        (prompt, cluster)
        for o in sides[0]
        for prompt, cluster, value in zip(o.prompts, o.clusters, o.values, strict=True)
        if not np.isnan(value)
    }
    return {
        "n": len({prompt for prompt, _ in covered}),
        "clusters": len({cluster for _, cluster in covered}),
        "n_missing": sum(o.missing for side in sides[:own] for o in side),
    }


def over_seeds(by_seed: Floats, level: float) -> dict[str, Any]:
    """A statistic's mean over seeds, its range, and the interval of the mean; None where a seed has no number."""
    if np.isnan(by_seed).any():
        return {"estimate": None, "seed_min": None, "seed_max": None}
    limits = significance.seeds_interval(by_seed, level)
    return {
        "estimate": float(by_seed.mean()),
        "seed_min": float(by_seed.min()),
        "seed_max": float(by_seed.max()),
        "by_seed": tuple(float(value) for value in by_seed),
        "seeds_low": limits and limits[0],
        "seeds_high": limits and limits[1],
    }
