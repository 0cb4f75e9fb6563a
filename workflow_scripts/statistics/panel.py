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

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from workflow_scripts.base.errors import UserError
from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.statistics import length_control, significance
from workflow_scripts.statistics.bootstrap import DRAWS, LEVEL, Method, bootstrap, cluster_sums, resamples
from workflow_scripts.statistics.cell import Cell, over_seeds, prompt_counts
from workflow_scripts.statistics.outcomes import Floats, Outcomes, numbered, outcomes, same_prompts, topics

FLOOR, CEILING = 0.05, 0.95  # a rate beyond these can hardly move: the cell is saturated
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
            topic for table in self.scores.values() for row in table.to_pylist() for topic in topics(row)
        }  # fmt: skip
        return sorted(topic for topic in every if topic.startswith(f"{kind}="))

    def _of(
        self, model: str, seeds: Iterable[int], metric: str, part: Part, against: str | None = None
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

    def cell(
        self,
        model: str,
        metric: str,
        languages: Collection[str] | None = None,
        topic: str | None = None,
        reference: str | None = None,
    ) -> Cell:
        """A model's number for one metric.

        Args:
            model: its name in the config.
            metric: key of MEASURES.
            languages: pool the prompts of these languages; None pools all.
            topic: only prompts of this scope or category, as `scope=local`.
            reference: the model that a direct metric compares it with.

        Raises:
            UserError: the model has no such scores, or its prompts are not the baseline's.
        """
        rule = MEASURES[metric]
        if rule.controlled:
            return self._controlled([model], metric, (languages, topic))
        models = [model, self.baseline][: 1 + rule.relative]
        return self._summary(models, 1, rule.cell, metric, (languages, topic), reference if rule.direct else None)

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

    def rates(self, model: str, metric: str, languages: Collection[str] | None = None) -> tuple[Floats, int]:
        """A rate in [0, 1], mean over seeds, of the data and then of each resample; and how many were judged."""
        seeds = self.seeds(model)
        side = self._of(model, seeds, metric, (languages, None))
        total, judged = cluster_sums([side])
        weights = np.vstack([np.ones(total.shape[-1]), resamples(total.shape[-1], self.draws, self.seed)]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((total @ weights) / (judged @ weights)).mean((0, 1)), int(judged.sum())

    def _sides(
        self, models: list[str], metric: str, part: Part, against: str | None = None
    ) -> tuple[tuple[int, ...], list[list[Outcomes]]]:
        """The seeds of the first model, and the outcomes of all at these seeds: [model][seed], on the same prompts."""
        seeds = self.seeds(models[0])
        sides = [self._of(model, seeds, metric, part, against) for model in models]
        for model, side in zip(models[1:], sides[1:], strict=True):
            for first, other in zip(sides[0], side, strict=True):
                same_prompts(models[0], first, model, other)
        return seeds, sides

    def _summary(
        self,
        models: list[str],
        own: int,
        statistic: Callable[..., Floats],
        metric: str,
        part: Part,
        against: str | None = None,
        compared: bool = False,
    ) -> Cell:
        """The cell of a statistic of some models' rates; the first `own` of them are what the cell is about."""
        rule = MEASURES[metric]
        seeds, sides = self._sides(models, metric, part, against)
        by_seed, limits = bootstrap(
            sides, statistic, draws=self.draws, level=self.level, seed=self.seed, method=self.method
        )
        defined = not np.isnan(by_seed).any()
        rates = [float(np.nanmean(o.values)) for o in sides[0] if o.missing < len(o.prompts)]
        return Cell(
            **prompt_counts(sides, own),
            seeds=seeds,
            **over_seeds(by_seed, self.level),
            low=limits[0] if limits else None,
            high=limits[1] if limits else None,
            saturated=rule.bounded and bool(rates) and not FLOOR <= float(np.mean(rates)) <= CEILING,
            why="" if limits else self._why(models, sides, seeds, rule, defined),
            p=significance.prompts_test(sides[0], sides[1] if own == 2 else None) if compared and defined else None,
            p_seeds=significance.seeds_test(by_seed) if compared and defined else None,
        )

    def _controlled(self, models: list[str], metric: str, part: Part) -> Cell:
        """As `_summary`, of the length-controlled rate of one model, or the difference of two."""
        seeds, sides = self._sides(models, metric, part)
        fit = length_control.win_rates(
            [[self._pairs(model, seed, o) for seed, o in zip(seeds, side, strict=True)]
             for model, side in zip(models, sides, strict=True)]
        )  # fmt: skip
        if fit.why:
            nothing = np.full(len(seeds), np.nan)
            return Cell(**prompt_counts(sides, len(models)), seeds=seeds, **over_seeds(nothing, self.level), low=None,
                        high=None, why=fit.why)  # fmt: skip
        turn = np.array([1.0, -1.0])[: len(models)]
        by_seed = turn @ fit.by_seed
        error = float(np.sqrt(max(0.0, turn @ fit.covariance @ turn)))
        z = NormalDist().inv_cdf((1 + self.level) / 2)
        mean = float(by_seed.mean())
        compared = len(models) == 2
        p = 1.0 if error == 0 else 2 * NormalDist().cdf(-abs(mean) / error)
        return Cell(
            **prompt_counts(sides, len(models)),
            seeds=seeds,
            **over_seeds(by_seed, self.level),
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
        kept = [i for i, prompt in enumerate(o.prompts) if not np.isnan(o.values[i]) and prompt in lengths]
        of = [wins.get(o.prompts[i], []) for i in kept]
        share = np.array([(sum(values) + 0.5) / (len(values) + 1) for values in of])
        return length_control.Pairs(
            o.values[kept],
            np.array([lengths[o.prompts[i]] for i in kept], dtype=np.float64),
            numbered(o.clusters)[0][kept],
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
