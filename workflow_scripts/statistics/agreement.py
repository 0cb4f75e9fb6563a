"""How far judges agree: Cohen's kappa of two, Fleiss' of more, by statsmodels, which is imported when it is needed."""

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

    >>> round(kappa(np.array([[20.0, 5.0], [10.0, 15.0]])), 9)
    0.4
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    with np.errstate(invalid="ignore"):
        value = float(cohens_kappa(counts, return_results=False))
    return None if np.isnan(value) else value


def fleiss(counts: Floats) -> float | None:
    """Fleiss' kappa of several judges; None where chance agrees always.

    Args:
        counts: (items, k) how many judges gave each verdict; as many judges for every item, at least two.

    Source: Fleiss 1971, Psychological Bulletin 76.
    """
    from statsmodels.stats.inter_rater import fleiss_kappa

    with np.errstate(invalid="ignore"):
        value = float(fleiss_kappa(counts))
    return None if np.isnan(value) else value


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
    at, size = numbered(clusters)
    times = np.vstack([np.ones(size), resamples(size, 1000, seed)])  # each cluster counts once, then as often as drawn
    k = len(labels)
    if len(verdicts) == 2:
        cells = np.zeros((size, k * k))
        np.add.at(cells, (at, code[0] * k + code[1]), 1)
        value, *draws = (kappa(table.reshape(k, k)) for table in times @ cells)
    else:
        votes = np.eye(k)[code].sum(0)
        value, *draws = (fleiss(np.repeat(votes, row, axis=0)) for row in times.astype(int)[:, at])
    if value is None:
        return Estimate(None, None, None, n, "all verdicts are the same")
    low, high = np.quantile([draw for draw in draws if draw is not None], [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)
