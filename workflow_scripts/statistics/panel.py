"""Estimates and intervals from judged scores: what a table cell says, and how sure it is.

One number per prompt (`outcomes`), one rate per model (a mean over prompts), one statistic of a few rates (`MEASURES`),
one bootstrap for all of them (`bootstrap`), one test for all differences (`inference`).  `Panel` puts these together
for models that answered the same prompts.

Three decisions hold everywhere:

* The unit that is resampled is the source prompt with all its translations, since translations of one prompt succeed
  and fail together (cluster bootstrap: Davison & Hinkley 1997, section 3.8; for evaluations of language models: Miller
  2024, arXiv 2411.00640).  Every cell of a table sees the same resamples, so all comparisons are paired.
* A verdict that is missing is left out of its rate and counted, never read as a zero.
* Intervals are about the choice of prompts, given the models that were trained.  How much another seed moves a cell is
  its range over seeds, from six seeds on also a t interval of their mean; a difference has a p-value for either source
  of chance, and a claim needs both.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import special

from workflow_scripts.base.errors import UserError
from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.statistics import length_control, significance

Floats = npt.NDArray[np.float64]
Method = Literal["bca", "percentile"]

LEVEL = 0.95
DRAWS = 2000
POWER = 0.8  # with which the smallest detectable difference is found
FLOOR, CEILING = 0.05, 0.95  # a rate beyond these can hardly move: the cell is saturated


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

        Source: (z of the level + z of the power) * standard error (Miller 2024, arXiv 2411.00640, section 5), the
        standard error being that of the interval.
        """
        if self.low is None or self.high is None:
            return None
        normal = NormalDist()
        z = normal.inv_cdf((1 + LEVEL) / 2)
        return (self.high - self.low) / 2 / z * (z + normal.inv_cdf(POWER))


@dataclass(frozen=True)
class Outcomes:
    """One number per prompt of one model and one metric, in the order of the prompts' ids.

    Attributes:
        prompts: (n,) ids, as (suite, prompt_id).
        clusters: (n,) source prompts, as (suite, source_prompt_id).
        languages: (n,) codes.
        values: (n,) numbers, of verdicts in [0, 1]; NaN where the verdict is missing.
        topics: (n,) what else a prompt belongs to, as `scope=local` or `category=Self-harm`.
    """

    prompts: tuple[tuple[str, str], ...]
    clusters: tuple[tuple[str, str], ...]
    languages: tuple[str, ...]
    values: Floats
    topics: tuple[frozenset[str], ...] = ()

    def within(self, languages: Collection[str] | None, topic: str | None = None) -> "Outcomes":
        """The prompts in some languages and of a topic; all of them for None."""
        if languages is None and topic is None:
            return self
        kept = [
            i
            for i, language in enumerate(self.languages)
            if (languages is None or language in languages) and (topic is None or topic in self.topics[i])
        ]
        return Outcomes(
            tuple(self.prompts[i] for i in kept),
            tuple(self.clusters[i] for i in kept),
            tuple(self.languages[i] for i in kept),
            self.values[kept],
            tuple(self.topics[i] for i in kept) if self.topics else (),
        )

    @property
    def missing(self) -> int:
        """How many prompts have no verdict."""
        return int(np.isnan(self.values).sum())


def combine(verdicts: Collection[str | None]) -> str | None:
    """One verdict from those of all presentation orders of a pair: orders that disagree are a tie.

    A prompt with one order missing is missing: half a comparison cannot tell a preference from a position bias.
    Source: Zheng et al. 2023, arXiv 2306.05685, section 3.4 (the conservative approach to position bias).
    """
    if None in verdicts:
        return None
    return next(iter(verdicts)) if len(set(verdicts)) == 1 else "tie"


def outcomes(scores: pa.Table, measure: Measure, against: str | None = None) -> Outcomes:
    """Reduce scores rows (records.SCORES, one model, one judge) to one number per prompt.

    Args:
        scores: rows in any order; rows of other metrics are passed over.
        measure: which rows to read, and what their verdicts count for.
        against: the model that preferences are compared with; rows against others are passed over.

    Raises:
        UserError: a verdict is unknown, or a prompt was judged twice in the same order.
    """
    rows: dict[tuple[str, str], dict[str | None, Mapping[str, Any]]] = {}
    for row in scores.to_pylist():
        if measure.metric not in (None, row["metric"]) or (against and row["against"] not in (None, against)):
            continue
        prompt, verdict = (row["suite"], row["prompt_id"]), row["verdict"]
        if not measure.number and verdict is not None and verdict not in measure.values:
            known = ", ".join(measure.values)
            raise UserError(
                f"scores: verdict {verdict!r} of prompt {prompt[1]}, but {measure.metric} knows {known}; judge it again"
            )
        orders = rows.setdefault(prompt, {})
        if row["order"] in orders:
            raise UserError(f"scores: prompt {prompt[1]} of suite {prompt[0]} is judged twice; keep one judge's rows")
        orders[row["order"]] = row
    prompts = tuple(sorted(rows))
    first = [next(iter(rows[prompt].values())) for prompt in prompts]
    return Outcomes(
        prompts,
        tuple((row["suite"], row["source_prompt_id"]) for row in first),
        tuple(row["language"] for row in first),
        np.array([_value(list(rows[prompt].values()), measure) for prompt in prompts], dtype=np.float64),
        tuple(_topics(row) for row in first),
    )


def _value(orders: list[Mapping[str, Any]], measure: Measure) -> float:
    """The number of one prompt, from its rows in all orders; NaN where there is none."""
    if measure.number:
        columns, number = measure.number
        found = [number(*(row[column] for column in columns)) for row in orders]
        return float("nan") if None in found else max(value for value in found if value is not None)
    verdict = combine([row["verdict"] for row in orders])
    return float("nan") if verdict is None else measure.values[verdict]


def _topics(row: Mapping[str, Any]) -> frozenset[str]:
    scope = [f"scope={row['scope']}"] if row["scope"] else []
    return frozenset(scope + [f"category={category}" for category in row["categories"] or []])


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
    tails = [normal.cdf(-wide), normal.cdf(wide)]
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


def _sums(sides: Sequence[Sequence[Outcomes]]) -> tuple[Floats, Floats]:
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
    total, judged = _sums(sides)
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
        return significance.mcnemar((gap > 0).astype(float), (gap < 0).astype(float))
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    sums = np.bincount([names[name] for name in clusters], gap, len(names))
    return significance.sign_flips(sums.astype(np.float64))


def _counts(sides: Sequence[Sequence[Outcomes]], own: int) -> dict[str, Any]:
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


def _over_seeds(by_seed: Floats, level: float) -> dict[str, Any]:
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


Part = tuple[Collection[str] | None, str | None]  # languages, topic; None for all


@dataclass(frozen=True)
class Panel:
    """Models that one judge compared on the same prompts, and the baseline that they are compared with.

    Attributes:
        scores: by (model, seed), the scores rows of all its suites (records.SCORES), of one judge.
        baseline: the model whose harm is the unit, and against which wins are counted.
        draws: resamples of the bootstrap.
        level: coverage of the intervals.
        seed: seed of the bootstrap.
        method: bca or percentile.
    """

    scores: Mapping[tuple[str, int], pa.Table]
    baseline: str
    draws: int = DRAWS
    level: float = LEVEL
    seed: int = 0
    method: Method = "bca"
    _outcomes: dict[tuple[str, int, str, str], Outcomes] = field(default_factory=dict, repr=False, compare=False)

    def seeds(self, model: str) -> tuple[int, ...]:
        """The seeds for which a model was judged.

        Raises:
            UserError: there are none.
        """
        seeds = tuple(sorted(seed for name, seed in self.scores if name == model))
        if not seeds:
            raise UserError(f"{model}: no scores; add it to `models` of the config or correct the item that names it")
        return seeds

    def topics(self, kind: str) -> list[str]:
        """Every topic of a kind, scope or category, that the judged prompts have, as `scope=local`."""
        every = {
            topic for table in self.scores.values() for row in table.to_pylist() for topic in _topics(row)
        }  # fmt: skip
        return sorted(topic for topic in every if topic.startswith(f"{kind}="))

    def _of(
        self, model: str, seeds: Iterable[int], metric: str, part: "Part", against: str | None = None
    ) -> list[Outcomes]:
        found = []
        against = against or self.baseline
        for seed in seeds:
            key = (model, seed, metric, against)
            if (model, seed) not in self.scores:
                raise UserError(f"{model}: no scores for seed {seed}; run it at the seeds of what it is compared with")
            if key not in self._outcomes:
                measure = MEASURES[metric]
                compares = measure.metric is not None and METRICS[measure.metric].compares
                ties = self._ties(seed, measure, against) if compares and model == against else None
                self._outcomes[key] = ties or outcomes(self.scores[model, seed], measure, against)
            chosen = self._outcomes[key].within(*part)
            if not chosen.prompts:
                languages, topic = part
                where = f" in {', '.join(languages)}" if languages is not None else ""
                where += f" of {topic}" if topic else ""
                what = MEASURES[metric].metric or metric
                raise UserError(f"{model}: no {what} scores{where} for seed {seed}; judge a suite with that metric")
            found.append(chosen)
        return found

    def _ties(self, seed: int, measure: Measure, against: str) -> Outcomes | None:
        """A model against itself, which no judge need be asked about: ties on the prompts of all who met it."""
        met = (outcomes(table, measure, against) for (_, at), table in self.scores.items() if at == seed)
        known = next((o for o in met if o.prompts), None)
        return known and replace(known, values=np.full(len(known.prompts), measure.values["tie"]))

    def cell(self, model: str, metric: str, languages: Collection[str] | None = None, topic: str | None = None) -> Cell:
        """A model's number for one metric.

        Args:
            model: its name in the config.
            metric: key of MEASURES.
            languages: pool the prompts of these languages; None pools all.
            topic: only prompts of this scope or category, as `scope=local`.

        Raises:
            UserError: the model has no such scores, or its prompts are not the baseline's.
        """
        rule = MEASURES[metric]
        if rule.controlled:
            return self._controlled([model], metric, (languages, topic))
        models = [model, self.baseline][: 1 + rule.relative]
        return self._summary(models, 1, rule.cell, metric, (languages, topic))

    def difference(
        self,
        model: str,
        reference: str,
        metric: str,
        languages: Collection[str] | None = None,
        topic: str | None = None,
    ) -> Cell:
        """The model's cell less the reference's, in points; positive is better, on every metric with a better side.

        A direct metric is the win rate against the reference less one half.

        Raises:
            UserError: a model has no such scores, or the prompts differ between models.
        """
        rule, part = MEASURES[metric], (languages, topic)
        if rule.controlled:
            return self._controlled([model, reference], metric, part)
        if rule.direct:
            return self._summary([model], 1, lambda rate: 100 * (rate - 0.5), metric, part, reference, compared=True)
        models = [model, reference, self.baseline][: 2 + rule.relative]
        return self._summary(models, 2, rule.difference, metric, part, compared=True)

    def direct(
        self, model: str, reference: str, languages: Collection[str] | None = None, topic: str | None = None
    ) -> Cell:
        """The win rate of a model against the reference itself, where a contrast had the two compared."""
        return self._summary([model], 1, MEASURES["direct"].cell, "direct", (languages, topic), reference)

    def rates(self, model: str, metric: str, languages: Collection[str] | None = None) -> tuple[Floats, int]:
        """A rate in [0, 1], mean over seeds, of the data and then of each resample; and how many were judged."""
        seeds = self.seeds(model)
        side = self._of(model, seeds, metric, (languages, None))
        total, judged = _sums([side])
        weights = np.vstack([np.ones(total.shape[-1]), resamples(total.shape[-1], self.draws, self.seed)]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((total @ weights) / (judged @ weights)).mean((0, 1)), int(judged.sum())

    def _summary(
        self,
        models: list[str],
        own: int,
        statistic: Callable[..., Floats],
        metric: str,
        part: "Part",
        against: str | None = None,
        compared: bool = False,
    ) -> Cell:
        """The cell of a statistic of some models' rates; the first `own` of them are what the cell is about."""
        rule = MEASURES[metric]
        seeds = self.seeds(models[0])
        sides = [self._of(model, seeds, metric, part, against) for model in models]
        for model, side in zip(models[1:], sides[1:], strict=True):
            for first, other in zip(sides[0], side, strict=True):
                _same_prompts(models[0], first, model, other)
        by_seed, limits = bootstrap(
            sides, statistic, draws=self.draws, level=self.level, seed=self.seed, method=self.method
        )
        defined = not np.isnan(by_seed).any()
        rates = [float(np.nanmean(o.values)) for o in sides[0] if o.missing < len(o.prompts)]
        return Cell(
            **_counts(sides, own),
            seeds=seeds,
            **_over_seeds(by_seed, self.level),
            low=limits[0] if limits else None,
            high=limits[1] if limits else None,
            saturated=rule.bounded and bool(rates) and not FLOOR <= float(np.mean(rates)) <= CEILING,
            why="" if limits else self._why(models, sides, seeds, rule, defined),
            p=prompts_test(sides[0], sides[1] if own == 2 else None) if compared and defined else None,
            p_seeds=significance.seeds_test(by_seed) if compared and defined else None,
        )

    def _controlled(self, models: list[str], metric: str, part: "Part") -> Cell:
        """As `_summary`, of the length-controlled rate of one model, or the difference of two."""
        seeds = self.seeds(models[0])
        sides = [self._of(model, seeds, metric, part) for model in models]
        for other, model in zip(sides[1:], models[1:], strict=True):
            for one, two in zip(sides[0], other, strict=True):
                _same_prompts(models[0], one, model, two)
        fit = length_control.win_rates(
            [[self._pairs(model, seed, o) for seed, o in zip(seeds, side, strict=True)]
             for model, side in zip(models, sides, strict=True)]
        )  # fmt: skip
        if fit.why:
            nothing = np.full(len(seeds), np.nan)
            return Cell(**_counts(sides, len(models)), seeds=seeds, **_over_seeds(nothing, self.level), low=None,
                        high=None, why=fit.why)  # fmt: skip
        turn = np.array([1.0, -1.0])[: len(models)]
        by_seed = turn @ fit.by_seed
        error = float(np.sqrt(max(0.0, turn @ fit.covariance @ turn)))
        z = NormalDist().inv_cdf((1 + self.level) / 2)
        mean = float(by_seed.mean())
        compared = len(models) == 2
        p = 1.0 if error == 0 else 2 * NormalDist().cdf(-abs(mean) / error)
        return Cell(
            **_counts(sides, len(models)),
            seeds=seeds,
            **_over_seeds(by_seed, self.level),
            low=mean - z * error,
            high=mean + z * error,
            p=p if compared else None,
            p_seeds=significance.seeds_test(by_seed) if compared else None,
        )

    def _pairs(self, model: str, seed: int, o: Outcomes) -> length_control.Pairs:
        """The comparisons of one model with the baseline that have a verdict, with lengths and the prompts' ease."""
        lengths = {
            (row["suite"], row["prompt_id"]): row["tokens"] - row["against_tokens"]
            for row in self.scores[model, seed].to_pylist()
            if row["against"] == self.baseline and None not in (row["tokens"], row["against_tokens"])
        }
        wins: dict[tuple[str, str], list[float]] = {}
        for other, at in self.scores:
            if at == seed and other not in (model, self.baseline):
                known = self._of(other, [seed], "win", (None, None))[0]
                for prompt, value in zip(known.prompts, known.values, strict=True):
                    if not np.isnan(value):
                        wins.setdefault(prompt, []).append(value)
        names = {cluster: i for i, cluster in enumerate(sorted(set(o.clusters)))}
        kept = [i for i, prompt in enumerate(o.prompts) if not np.isnan(o.values[i]) and prompt in lengths]
        of = [wins.get(o.prompts[i], []) for i in kept]
        share = np.array([(sum(values) + 0.5) / (len(values) + 1) for values in of])
        return length_control.Pairs(
            o.values[kept],
            np.array([lengths[o.prompts[i]] for i in kept], dtype=np.float64),
            np.array([names[o.clusters[i]] for i in kept], dtype=np.int_),
            np.log(share / (1 - share)),
        )

    def _why(
        self, models: list[str], sides: list[list[Outcomes]], seeds: tuple[int, ...], rule: Measure, defined: bool
    ) -> str:
        """In words, why a cell has no estimate or no interval."""
        for model, side in zip(models, sides, strict=True):
            for seed, o in zip(seeds, side, strict=True):
                at = f" at seed {seed}" if len(seeds) > 1 else ""
                if o.missing == len(o.prompts):
                    return f"{model} has no verdict{at}"
                if not defined and rule.relative and model == self.baseline and np.nansum(o.values) == 0:
                    return f"{model} has no harmful answer{at}"
        if len({cluster for o in sides[0] for cluster in o.clusters}) < 2:
            return "no interval from a single source prompt"
        return f"too few {'harmful answers of ' + self.baseline if rule.relative else 'verdicts'} for an interval"


def _same_prompts(name: str, one: Outcomes, other_name: str, other: Outcomes) -> None:
    """Refuse to compare two models on different prompts.

    Raises:
        UserError: naming some prompts that only one of them answered.
    """
    if one.prompts == other.prompts:
        return
    lonely = sorted(set(one.prompts) ^ set(other.prompts))
    ids = ", ".join(prompt for _, prompt in lonely[:3]) + (", ..." if len(lonely) > 3 else "")
    raise UserError(f"{name} and {other_name} do not pair up in {len(lonely)} prompts ({ids}); judge both on one suite")
