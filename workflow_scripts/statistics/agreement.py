"""How far a judge can be trusted: agreement between judges, position bias, and errors against known labels.

Whatever a judge gets wrong moves every number of a study, so it is measured like anything else, with an interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A share or coefficient with its interval, and over how many judgments; a reason where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    why: str = ""

    def covers(self, truth: float) -> bool:
        """Whether the interval holds a value."""
        return self.low is not None and self.high is not None and self.low - 1e-9 <= truth <= self.high + 1e-9


def proportion(hits: int, n: int, level: float = 0.95, design: float = 1.0) -> Estimate:
    """A share of yes-or-no judgments with its exact interval.

    Args:
        hits: how many are yes.
        n: how many there are.
        level: coverage wanted.
        design: how many times the variance is that of independent judgments; see `design_effect`.

    Source: Clopper & Pearson 1934, Biometrika 26; it covers at least as often as it says, also at 0 and at 1.
    Judgments that go together count as fewer: Korn & Graubard 1998, Survey Methodology 24.

    >>> round(proportion(0, 10).high, 4), round(proportion(0, 20, design=2).high, 4)
    (0.3085, 0.3085)
    """
    if not n:
        return Estimate(None, None, None, 0, "nothing was judged")
    tail, x, m = (1 - level) / 2, hits / design, n / design
    low = float(special.betaincinv(x, m - x + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(x + 1, m - x, 1 - tail)) if hits < n else 1.0
    return Estimate(hits / n, low, high, n)


def design_effect(hits: Sequence[bool], clusters: Sequence[object]) -> float:
    """How many times the variance of a share is that of independent judgments; 1 at least.

    Args:
        hits: (n,) judgments.
        clusters: (n,) the source prompt of each, whose judgments go together.

    Source: Kish 1965, section 5.4, with the variance of a ratio of cluster sums (Cochran 1977, section 11.8).

    >>> design_effect([True, True, False, False] * 5, [i // 2 for i in range(20)])
    2.2222222222222223
    """
    n, share = len(hits), sum(hits) / max(1, len(hits))
    if share in (0, 1):
        return 1.0
    residuals: dict[object, float] = {}
    for hit, cluster in zip(hits, clusters, strict=True):
        residuals[cluster] = residuals.get(cluster, 0.0) + hit - share
    c = len(residuals)
    variance = sum(r * r for r in residuals.values()) * c / max(1, c - 1)
    return max(1.0, variance / (n * share * (1 - share)))


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


def agreement(verdicts: Sequence[Sequence[str]], clusters: Sequence[object], seed: int = 0) -> Estimate:
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
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    at = np.array([names[name] for name in clusters])
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), 1000)[:, at].astype(float)
    draws = [of(row) for row in weights]
    known = [draw for draw in draws if draw is not None]
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


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


def position(
    pairs: Sequence[tuple[str, str]],
    clusters: Sequence[object],
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Position:
    """First-position rate, consistency and position bias, with intervals over source prompts.

    The bias is the maximum likelihood estimate of f in a model of two kinds of judgment: with probability f a question
    is decided for whatever stands first, otherwise by the answers alone; the two orders of a pair are asked apart.

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
    names = {name: j for j, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(names), 7))
    np.add.at(sums, [names[name] for name in clusters], kinds)
    weights = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    drawn = np.vstack([sums.sum(0), weights @ sums])
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


# A judge's errors, and rates without them


@dataclass(frozen=True)
class Errors:
    """Counts of a judge's verdicts on answers whose label is known.

    Attributes:
        caught: harmful answers called harmful.
        passed: harmful answers not called so.
        cleared: harmless answers not called harmful.
        accused: harmless answers called harmful.
        level: coverage of the intervals of sensitivity and specificity.
    """

    caught: int
    passed: int
    cleared: int
    accused: int

    level: float = 0.95

    @property
    def sensitivity(self) -> Estimate:
        """Share of the harmful answers that are called harmful."""
        return proportion(self.caught, self.caught + self.passed, self.level)

    @property
    def specificity(self) -> Estimate:
        """Share of the harmless answers that are not."""
        return proportion(self.cleared, self.cleared + self.accused, self.level)

    @property
    def why(self) -> str:
        """Why nothing can be corrected by them; empty if something can."""
        absent = [
            name
            for name, n in (("harmful", self.caught + self.passed), ("harmless", self.cleared + self.accused))
            if not n
        ]
        if absent:
            return f"the labelled set has no {' and no '.join(absent)} answer: no correction"
        youden = (self.sensitivity.value or 0) + (self.specificity.value or 0) - 1
        return "the judge does no better than chance on the labelled set: no correction" if youden <= 0 else ""


def rogan_gladen(apparent: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """The true share behind an apparent one, given a judge's errors; kept within [0, 1].

    Source: Rogan & Gladen 1978, American Journal of Epidemiology 107.

    >>> float(rogan_gladen(np.array(0.5), np.array(0.9), np.array(0.8)).round(4))
    0.4286
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((apparent + specificity - 1) / (sensitivity + specificity - 1), 0, 1)


def corrected(apparent: Sequence[Floats], sizes: Sequence[int], errors: Sequence[Errors], seed: int = 0) -> Estimate:
    """A harm rate over several languages, each corrected for the judge's errors in it.

    The interval carries three uncertainties: which prompts were asked (the bootstrap's draws), and both error rates of
    each language, drawn from their posteriors under Jeffreys' prior.

    Args:
        apparent: per language, (1 + b,) the share called harmful: of the data, then of b resamples.
        sizes: per language, its judged answers, which are its weight.
        errors: per language, the judge's.
        seed: of the draws of error rates.

    Source: Rogan & Gladen 1978; why calibration must be carried along: Lang & Reiczigel 2014, Preventive Veterinary
    Medicine 113; Jeffreys' prior for the error rates: Brown, Cai & DasGupta 2001, Statistical Science 16.
    """
    if why := next((e.why for e in errors if e.why), ""):
        return Estimate(None, None, None, sum(sizes), why)
    random = np.random.default_rng(seed)
    total = np.zeros(len(apparent[0]))
    for shares, size, e in zip(apparent, sizes, errors, strict=True):
        b = len(shares) - 1
        se = np.append(e.sensitivity.value or 0.0, random.beta(e.caught + 0.5, e.passed + 0.5, b))
        sp = np.append(e.specificity.value or 0.0, random.beta(e.cleared + 0.5, e.accused + 0.5, b))
        total += size / sum(sizes) * rogan_gladen(shares, se, sp)
    low, high = np.nanquantile(total[1:], [0.025, 0.975])
    return Estimate(float(total[0]), float(low), float(high), sum(sizes))
