"""Resampling source prompts: a statistic of some models' rates, and an interval for it."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from scipy import special

from workflow_scripts.statistics.outcomes import Floats, Outcomes

Method = Literal["bca", "percentile"]

LEVEL = 0.95
DRAWS = 2000
LEAST_TAIL = 1e-15  # two source prompts ask for less, which is none in floating point, and has no quantile


@lru_cache(maxsize=16)
def resamples(clusters: int, draws: int, seed: int) -> Floats:
    """How often each cluster is drawn in each resample: (draws, clusters), rows sum to `clusters`.

    Drawing with replacement is a multinomial draw of counts (Efron & Tibshirani 1993, section 6.1).  The result depends
    on the arguments only, which is what pairs every cell with every other one.
    """
    counts = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    weights = counts.astype(np.float64)
    weights.flags.writeable = False
    return weights


def interval(estimate: float, draws: Floats, jackknife: Floats, level: float, method: Method) -> tuple[float, float]:
    """Two-sided interval from bootstrap draws.

    Args:
        estimate: the statistic on the data.
        draws: (b,) the statistic on b resamples.
        jackknife: (c,) the statistic without each of the c clusters; gives BCa its acceleration.
        level: coverage wanted, in (0, 1).
        method: `percentile`, or `bca`, which corrects for bias and skewness.

    Source: Efron 1987, "Better bootstrap confidence intervals", JASA 82; as in Efron & Tibshirani 1993, section 14.3:
    limits (14.10), bias (14.14, with half of the draws that equal the estimate) and acceleration (14.15).  Resamples of
    few clusters vary too little, so both tails are expanded as Student's t asks: the expanded percentile interval of
    Hesterberg 2015, The American Statistician 69(4).
    """
    normal, c = NormalDist(), len(jackknife)
    wide = float(special.stdtrit(c - 1, (1 + level) / 2)) * math.sqrt(c / (c - 1)) if c > 1 else math.inf
    tails = [max(normal.cdf(-wide), LEAST_TAIL), min(normal.cdf(wide), 1 - LEAST_TAIL)]
    below = (np.mean(draws < estimate) + np.mean(draws <= estimate)) / 2
    if method == "bca" and 0 < below < 1:
        bias = normal.inv_cdf(float(below))
        spread = jackknife.mean() - jackknife
        scale = float((spread**2).sum()) ** 1.5
        acceleration = float((spread**3).sum()) / (6 * scale) if scale else 0.0
        shifted = [bias + normal.inv_cdf(tail) for tail in tails]
        tails = [normal.cdf(bias + z / (1 - acceleration * z)) for z in shifted]
    low, high = np.quantile(draws, tails)
    return float(low), float(high)


def cluster_sums(sides: Sequence[Sequence[Outcomes]]) -> tuple[Floats, Floats]:
    """Sums of outcomes and counts of verdicts: (sides, seeds, clusters) each."""
    names = sorted({cluster for side in sides for o in side for cluster in o.clusters})
    index = {name: i for i, name in enumerate(names)}
    total, judged = (np.zeros((len(sides), len(sides[0]), len(names))) for _ in range(2))
    for i, side in enumerate(sides):
        for j, o in enumerate(side):
            known = ~np.isnan(o.values)
            at = np.array([index[cluster] for cluster in o.clusters], dtype=np.intp)[known]
            total[i, j] = np.bincount(at, o.values[known], len(names))
            judged[i, j] = np.bincount(at, minlength=len(names))
    return total, judged


def bootstrap(
    sides: Sequence[Sequence[Outcomes]],
    statistic: Callable[..., Floats],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    method: Method = "bca",
) -> tuple[Floats, tuple[float, float] | None]:
    """A statistic of the rates of some models, by seed, and an interval for its mean over seeds.

    Clusters are resampled once for all sides and all seeds: comparisons are paired, and seeds are held as they are.
    By hand, since scipy's bootstrap resamples observations, not sums of clusters, draws again for every cell, and has
    no limits where a single resample has no number.

    Args:
        sides: outcomes as [side][training seed].
        statistic: maps one array of rates per side, each (seeds, ...), to numbers of the same shape.
        draws: number of resamples.
        level: coverage wanted.
        seed: seed of the resampling.
        method: see `interval`.

    Returns:
        The statistic of each seed (NaN where it is not defined), and the interval: None with fewer than two clusters,
        or where more resamples are undefined than a tail of the interval holds.
    """
    total, judged = cluster_sums(sides)
    clusters = total.shape[-1]

    def of(sums: Floats, counts: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = statistic(*(sums / counts))
        return np.where(np.isfinite(numbers), numbers, np.nan)

    by_seed = of(total.sum(-1), judged.sum(-1))
    if clusters < 2 or np.isnan(by_seed).any():
        return by_seed, None
    weights = resamples(clusters, draws, seed).T
    drawn = of(total @ weights, judged @ weights).mean(0)
    drawn = drawn[~np.isnan(drawn)]
    if 1 - len(drawn) / draws > (1 - level) / 2:
        return by_seed, None
    left_out = of(total.sum(-1, keepdims=True) - total, judged.sum(-1, keepdims=True) - judged).mean(0)
    left_out = left_out[~np.isnan(left_out)]
    return by_seed, interval(float(by_seed.mean()), drawn, left_out, level, method)
