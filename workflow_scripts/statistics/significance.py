"""Tests of paired differences, and what many tests together allow one to say.

The null hypothesis is always the same: it does not matter which of two models gave which answers.  Under it the sign of
a source prompt's whole difference, all its translations and seeds together, is a fair coin; so the tests need no
distribution and no large samples, and translations of one prompt are never taken for independent prompts.

scipy.stats and statsmodels take one and two seconds to import, so they are imported where they are used.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workflow_scripts.statistics.outcomes import Floats, Outcomes, numbered

ENOUGH_SEEDS = 6  # from here on an interval over seed means is worth printing
FLIPS = 9999  # random sign flips where exact ones are out of reach
ROUNDING = 1e-9
GRID = 2  # outcomes are multiples of one half, which makes the exact distribution a convolution


def mcnemar(one: Floats, other: Floats) -> float:
    """Exact two-sided p of two models' yes-or-no outcomes on the same independent prompts.

    Args:
        one: (n,) zeros and ones.
        other: (n,) the other model's, in the same order.

    Source: McNemar 1947, Psychometrika 12; exact as a binomial test of the discordant pairs (Agresti 2013, 11.1.2), by
    scipy.

    >>> mcnemar(np.array([1.0] * 6 + [0.0] * 4), np.zeros(10))
    0.03125
    """
    from scipy import stats

    up, down = int(np.sum(one > other)), int(np.sum(one < other))
    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def sign_flips(differences: Floats, seed: int = 0) -> float:
    """Two-sided p of the hypothesis that whole clusters' differences are symmetric about zero.

    Args:
        differences: (c,) a cluster's summed difference; exact where all are multiples of one half, as outcomes of
            0, 1/2 and 1 are, otherwise by 9,999 random flips and the data's own.
        seed: of the random flips.

    By hand, since scipy's permutation_test goes through all 2^c flips one by one, which 9,999 resamples allow for up to
    13 clusters only; adding up the law of the sum is exact for thousands.
    Source: Fisher 1935, The Design of Experiments, section 21; the law of the sum by the shift algorithm, Streitberg &
    Röhmel 1986, Statistical Software Newsletter 12; (1 + b) / (1 + B) of random flips: Phipson & Smyth 2010.

    >>> sign_flips(np.ones(6))
    0.03125
    """
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    steps = np.rint(GRID * differences)
    if np.allclose(steps, GRID * differences, atol=1e-9):
        return _exact_flips(np.abs(steps).astype(int), abs(int(steps.sum())))
    observed = abs(differences.sum())
    random, extreme = np.random.default_rng(seed), 0
    for part in np.array_split(np.arange(FLIPS), max(1, FLIPS * len(differences) // 4_000_000)):
        signs = random.integers(0, 2, (len(part), len(differences))) * 2 - 1
        extreme += int(np.sum(np.abs(signs @ differences) >= observed * (1 - 1e-12)))
    return (1 + extreme) / (1 + FLIPS)


def _exact_flips(sizes: npt.NDArray[np.int_], observed: int) -> float:
    """P(|sum of +-sizes| >= observed): the law of the sum, from the smallest cluster on, one after the other."""
    total = int(sizes.sum())
    law = np.zeros(total + 1)  # law[k] = P(the sizes that got a plus add up to k)
    law[0] = 1.0
    reached = 0
    for size in np.sort(sizes):
        reached += size
        head = law[: reached + 1].copy()
        law[: reached + 1] *= 0.5
        law[size : reached + 1] += 0.5 * head[: reached + 1 - size]
    sums = 2 * np.arange(total + 1) - total
    return float(min(1.0, law[np.abs(sums) >= observed].sum()))


def seeds_test(by_seed: Floats) -> float | None:
    """Two-sided p that a difference's mean over seeds is zero; None for a single seed, which knows no other training.

    Source: Student 1908, the t test of one mean, by scipy.  It asks what the interval over prompts does not: would
    another training of the same two recipes say the same?
    """
    from scipy import stats

    if len(by_seed) < 2:
        return None
    if _same(by_seed):
        return 1.0 if np.allclose(by_seed, 0, atol=ROUNDING) else 0.0
    return float(stats.ttest_1samp(by_seed, 0).pvalue)


def seeds_interval(by_seed: Floats, level: float) -> tuple[float, float] | None:
    """The t interval of a mean over seeds, by scipy; None for fewer than six, whose spread is hardly known."""
    from scipy import stats

    if len(by_seed) < ENOUGH_SEEDS:
        return None
    if _same(by_seed):
        return float(by_seed.mean()), float(by_seed.mean())
    low, high = stats.ttest_1samp(by_seed, 0).confidence_interval(level)
    return float(low), float(high)


def _same(by_seed: Floats) -> bool:
    """Whether seeds differ by nothing but rounding, of which a t test would make a spread."""
    return np.allclose(by_seed, by_seed[0], rtol=ROUNDING, atol=ROUNDING)


def prompts_test(one: Sequence[Outcomes], other: Sequence[Outcomes] | None) -> float:
    """Two-sided p, over the choice of prompts, that two models' outcomes differ by nothing; None: that one is at 1/2.

    Exact McNemar where one training of each answered independent prompts with yes or no, else sign flips of clusters.
    Only prompts with verdicts of both count.

    Args:
        one: of the one model, by seed.
        other: of the other, by seed, on the same prompts.
    """
    gaps, clusters, yes_or_no = [], [], len(one) == 1 and other is not None
    for seed, mine in enumerate(one):
        theirs = np.full(len(mine.values), 0.5) if other is None else other[seed].values
        known = ~np.isnan(mine.values) & ~np.isnan(theirs)
        gaps.append((mine.values - theirs)[known])
        clusters += [mine.clusters[i] for i in np.flatnonzero(known)]
        yes_or_no &= bool(np.isin(np.concatenate([mine.values[known], theirs[known]]), (0, 1)).all())
    gap = np.concatenate(gaps)
    if yes_or_no and len(set(clusters)) == len(clusters):
        return mcnemar((gap > 0).astype(float), (gap < 0).astype(float))
    at, size = numbered(clusters)
    return sign_flips(np.bincount(at, gap, size).astype(np.float64))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the chance of any false claim in a family declared beforehand.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, by statsmodels.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(ps, method="holm")[1]]


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the share of false claims among the claims, for cells that were merely looked at.

    Source: Benjamini & Hochberg 1995, JRSS B 57, by scipy; holds for cells that share prompts where these correlate
    positively (Benjamini & Yekutieli 2001).

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    from scipy import stats

    return [float(p) for p in stats.false_discovery_control(ps)]
