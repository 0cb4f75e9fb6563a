"""Whether a judge prefers an answer for standing first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.statistics.bootstrap import resamples
from workflow_scripts.statistics.outcomes import Floats, numbered
from workflow_scripts.statistics.proportion import Estimate


@dataclass(frozen=True)
class Position:
    """What a judge makes of the order in which two answers are shown.

    Attributes:
        first: share of decided questions (no tie) that went to the answer shown first; one half is fair.
        consistent: share of pairs about which both orders said the same.
        bias: share of questions that the order alone decided for the first answer.
    """

    first: Estimate
    consistent: Estimate
    bias: Estimate


def position_bias(
    pairs: Sequence[tuple[str, str]],
    clusters: Sequence[Any],
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Position:
    """First-position rate, consistency and position bias, with intervals over source prompts.

    The bias is the maximum likelihood estimate of f in a model of two kinds of judgment: with probability f a question
    is decided for whatever stands first, otherwise by the answers alone; the two orders of a pair are asked apart.  No
    library has this model.

    Args:
        pairs: (n,) for each pair of answers, whether the one shown first won, in both orders: first, second or tie.
        clusters: (n,) the source prompt of each.
        seed: of the resamples.
        draws: number of resamples.
        level: coverage wanted.

    Source: first-position rate and consistency as in Zheng et al. 2023, arXiv 2306.05685, section 4.2; EM: Dempster,
    Laird & Rubin 1977.
    """
    n = len(pairs)
    if not n:
        nothing = Estimate(None, None, None, 0, "no pair has verdicts in both orders")
        return Position(nothing, nothing, nothing)
    # Five outcomes of a pair: consistent winner, two ties, tie and first, twice first, and what the model cannot make.
    kinds = np.zeros((n, 7))
    for i, (one, other) in enumerate(pairs):
        both = {one, other}
        at = 0 if both == {"first", "second"} else 1 if both == {"tie"} else 2 if both == {"tie", "first"} else 4
        kinds[i, 3 if both == {"first"} else at] = 1
        kinds[i, 5] = (one == "first") + (other == "first")
        kinds[i, 6] = (one != "tie") + (other != "tie")
    number, size = numbered(clusters)
    sums = np.zeros((size, 7))
    np.add.at(sums, number, kinds)
    drawn = np.vstack([sums.sum(0), resamples(size, draws, seed) @ sums])
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = {
            "first": drawn[:, 5] / drawn[:, 6],
            "consistent": drawn[:, [0, 1]].sum(1) / drawn[:, :5].sum(1),
            "bias": _bias(drawn),
        }
    estimates = {}
    for name, values in rows.items():
        known = values[1:][np.isfinite(values[1:])]
        if not np.isfinite(values[0]) or len(known) < 0.975 * draws:
            estimates[name] = Estimate(None, None, None, n, "every comparison is a tie")
        else:
            low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
            estimates[name] = Estimate(float(values[0]), float(low), float(high), n)
    return Position(**estimates)


def _bias(counts: Floats) -> Floats:
    """EM over whether a pair that went twice to the first answer was a tie (two biased questions) or not (one)."""
    winner, ties, mixed, twice, _ = counts[:, :5].T
    f = np.full(len(counts), 0.1)
    share = np.full(len(counts), 0.5)  # of pairs that are ties in truth
    for _ in range(500):
        tied = share * f / np.maximum(share * f + 1 - share, 1e-12) * twice
        biased = mixed + 2 * tied + (twice - tied)
        asked = 2 * (ties + mixed + tied) + winner + twice - tied
        f = biased / np.maximum(asked, 1e-12)
        share = (ties + mixed + tied) / np.maximum(winner + ties + mixed + twice, 1e-12)
    return np.asarray(f)
