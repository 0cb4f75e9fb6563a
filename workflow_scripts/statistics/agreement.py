"""How far judges agree: Cohen's kappa of two, Fleiss' of more."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workflow_scripts.statistics.bootstrap import resamples
from workflow_scripts.statistics.outcomes import Floats, numbered
from workflow_scripts.statistics.proportion import Estimate


def kappa(counts: Floats) -> float | None:
    """Cohen's kappa of two judges from how often they gave each pair of verdicts; None where chance agrees always.

    Args:
        counts: (k, k) items by the verdicts of the one and of the other.

    Source: Cohen 1960, Educational and Psychological Measurement 20.

    >>> kappa(np.array([[20.0, 5.0], [10.0, 15.0]]))
    0.4
    """
    shares = counts / counts.sum()
    chance = float(shares.sum(0) @ shares.sum(1))
    return None if chance > 1 - 1e-12 else round((float(np.trace(shares)) - chance) / (1 - chance), 12)


def fleiss(counts: Floats) -> float | None:
    """Fleiss' kappa of several judges; None where chance agrees always.

    Args:
        counts: (items, k) how many judges gave each verdict; as many judges for every item, at least two.

    Source: Fleiss 1971, Psychological Bulletin 76.
    """
    judges = counts[0].sum()
    agreement = float(((counts**2).sum(1) - judges).mean() / (judges * (judges - 1)))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return None if chance > 1 - 1e-12 else (agreement - chance) / (1 - chance)


def agreement(verdicts: Sequence[Sequence[str]], clusters: Sequence[Any], seed: int = 0) -> Estimate:
    """Cohen's kappa of two judges, Fleiss' of more, with a percentile interval over source prompts.

    Args:
        verdicts: [judge][item].
        clusters: (items,) the source prompt of each, which is resampled whole.
        seed: of the 1,000 resamples.
    """
    labels = sorted({verdict for judge in verdicts for verdict in judge})
    n = len(clusters)
    if not n:
        return Estimate(None, None, None, 0, "no answer has verdicts of all judges")
    code = np.array([[labels.index(verdict) for verdict in judge] for judge in verdicts])
    k, two = len(labels), len(verdicts) == 2
    cells = np.eye(k * k)[code[0] * k + code[1]] if two else np.eye(k)[code].sum(0)

    def of(weights: Floats) -> float | None:
        if two:
            return kappa((weights @ cells).reshape(k, k))
        kept = np.repeat(np.arange(n), weights.astype(int))
        return fleiss(cells[kept])

    value = of(np.ones(n))
    if value is None:
        return Estimate(None, None, None, n, "all verdicts are the same")
    at, size = numbered(clusters)
    draws = [of(row) for row in resamples(size, 1000, seed)[:, at]]
    known = [draw for draw in draws if draw is not None]
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)
