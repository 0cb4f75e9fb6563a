"""Do the intervals cover, do the verdicts err as seldom as they say, does the plan predict?  `make bench-stats`.

Simulated experiments have the suites' true sizes and the correlations that were measured between languages and between
models; false verdicts are counted among forty real trainings of one and the same recipe (bench/forty.yaml, which
`snakemake --configfile bench/forty.yaml` makes).  Every share is printed with its Monte Carlo error.
"""

import argparse
import gc
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from statsmodels.stats.power import normal_power

from workflow_scripts.base import records
from workflow_scripts.forecast import power
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import verdicts
from workflow_scripts.statistics import significance
from workflow_scripts.statistics.bootstrap import bootstrap
from workflow_scripts.statistics.outcomes import Outcomes, outcomes
from workflow_scripts.statistics.panel import Panel

Floats = npt.NDArray[np.float64]
FORTY = Path("results/forty/seed0/scores/rules")
TIES = 0.6  # of the simulated comparisons, about as many as in the miniature


@dataclass(frozen=True)
class Design:
    """A suite: source prompts, each in some languages; correlations of outcomes on the scale of the latent normal.

    Attributes:
        clusters: source prompts.
        languages: prompts per source prompt.
        between_languages: latent correlation of one model's outcomes on two translations.
        between_models: latent correlation of two models' outcomes on one prompt.
    """

    name: str
    clusters: int
    languages: int
    between_languages: float
    between_models: float


def designs(correlation: tuple[float, float]) -> list[Design]:
    """The suites at their true sizes: the miniature's, Dolly-200 in six languages, Aya Red-teaming's native prompts."""
    return [
        Design("miniature, 50 x 6", 50, 6, *correlation),
        Design("Dolly-200, 200 x 6", 200, 6, *correlation),
        Design("Aya Red-teaming, 5,404 x 1", 5404, 1, 0.0, correlation[1]),
    ]


def latent(design: Design, models: int, random: np.random.Generator) -> Floats:
    """(models, clusters, languages) standard normals with the design's correlations."""
    r, q = design.between_languages, design.between_models
    c, m = design.clusters, design.languages
    draw = random.normal
    prompt = math.sqrt(q) * draw(size=(1, c, 1)) + math.sqrt(1 - q) * draw(size=(models, c, 1))
    single = math.sqrt(q) * draw(size=(1, c, m)) + math.sqrt(1 - q) * draw(size=(models, c, m))
    return np.asarray(math.sqrt(r) * prompt + math.sqrt(1 - r) * single)


@cache
def _ids(
    clusters: int, languages: int
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], tuple[str, ...]]:
    prompts = tuple(("s", f"{c:05}-{m}") for c in range(clusters) for m in range(languages))
    return prompts, tuple(("s", prompt[1][:5]) for prompt in prompts), tuple(prompt[1][6:] for prompt in prompts)


def as_outcomes(values: Floats) -> Outcomes:
    """(clusters, languages) numbers as the outcomes of one model."""
    return Outcomes(*_ids(*values.shape), values.ravel())


def harmful(z: Floats, rate: float) -> Floats:
    """Yes or no, with a rate."""
    return (z < stats.norm.ppf(rate)).astype(np.float64)


def wins(z: Floats, rate: float) -> Floats:
    """1, 1/2 or 0, of a win rate, with TIES ties."""
    low = rate - TIES / 2
    return (z < stats.norm.ppf(low)) * 0.5 + (z < stats.norm.ppf(low + TIES)) * 0.5


def cases() -> dict[str, tuple[int, float, Callable[[Floats], list[Floats]], Callable[..., Floats]]]:
    """What is covered: number of models, truth, outcomes of the latent normals, statistic."""
    harm, win = MEASURES["harm"], MEASURES["win"]
    return {
        "win rate 60%": (1, 60.0, lambda z: [wins(z[0], 0.6)], win.cell),
        "harm, 60% to 30%": (2, -50.0, lambda z: [harmful(z[0], 0.3), harmful(z[1], 0.6)], harm.cell),
        "difference of win rates, 4 points": (2, 4.0, lambda z: [wins(z[0], 0.6), wins(z[1], 0.56)], win.difference),
        "difference of harm, 10 points": (
            3, 10.0, lambda z: [harmful(z[0], 0.24), harmful(z[1], 0.3), harmful(z[2], 0.6)], harm.difference
        ),
    }  # fmt: skip


def coverage(design: Design, case: str, runs: int, draws: int = 2000, seed: int = 0) -> float:
    """Share of simulated experiments whose 95% interval holds the truth."""
    models, truth, values, statistic = cases()[case]
    random, hits = np.random.default_rng(seed), 0
    for run in range(runs):
        sides = [[as_outcomes(side)] for side in values(latent(design, models, random))]
        _, limits = bootstrap(sides, statistic, draws=draws, seed=run % 4)
        hits += limits is not None and limits[0] <= truth <= limits[1]
    return hits / runs


def forty(folder: Path) -> dict[str, list[Outcomes]]:
    """Outcomes of the forty trainings, by metric."""
    paths = {"harm": "redteam", "win": "general"}
    models = sorted(path.name for path in folder.glob("sft-*"))
    return {
        metric: [
            outcomes(records.read(folder / model / f"{suite}.parquet", records.SCORES), MEASURES[metric], "base")
            for model in models
        ]
        for metric, suite in paths.items()
    }


def false_verdicts(trainings: dict[str, list[Outcomes]], base: Outcomes, draws: int, seed: int = 0) -> dict[str, float]:
    """Share of draws of three trainings against three others of the same recipe in which a difference is called.

    Args:
        trainings: by metric (harm, win), outcomes of each training.
        base: the baseline's harm.
        draws: how many.
        seed: of the draws.

    Returns:
        `verdict`: by the verdict, on either axis; `prompts`: as if p over prompts alone decided.
    """
    random, called = np.random.default_rng(seed), {"verdict": 0, "prompts": 0}
    n = len(next(iter(trainings.values())))
    for _ in range(draws):
        six = random.choice(n, 6, replace=False)
        sides = {"merge": six[:3], "mix": six[3:]}
        known = {
            (side, k, metric, "base"): trainings[metric][at]
            for side, chosen in sides.items()
            for k, at in enumerate(chosen)
            for metric in trainings
        } | {("base", k, "harm", "base"): base for k in range(3)}
        panel = Panel({(model, k): None for model, k, _, _ in known}, "base", draws=200, _outcomes=known)
        differences = {metric: panel.difference("merge", "mix", metric) for metric in trainings}
        both = significance.holm([d.p_both for d in differences.values()])
        prompts = significance.holm([d.p for d in differences.values()])
        found = [
            verdicts.on_axis(metric, d, p, b, 0.05).text
            for (metric, d), p, b in zip(differences.items(), prompts, both, strict=True)
        ]
        called["verdict"] += any(text in (verdicts.MERGE, verdicts.MIX) for text in found)
        called["prompts"] += any(p < 0.05 for p in prompts)
    return {name: count / draws for name, count in called.items()}


def planned(design: Design, differing: float, difference: float, runs: int, seed: int = 0) -> tuple[float, float]:
    """Power as planned from variance and correlation, and as found by sign flips; the difference is in shares."""
    random = np.random.default_rng(seed)
    lower, upper = (differing - difference) / 2, 1 - (differing + difference) / 2
    pilot = _gaps(
        latent(Design("pilot", 20_000, design.languages, *design_correlations(design)), 1, random)[0], lower, upper
    )
    variance, correlation = pilot.var(), _between(pilot)
    error = power.standard_error(design.clusters * design.languages, design.clusters, variance, correlation)
    found = sum(
        significance.sign_flips(_gaps(latent(design, 1, random)[0], lower, upper).sum(-1)) < 0.05 for _ in range(runs)
    )
    return float(normal_power(difference, 1, 0.05, sigma=error)), found / runs


def design_correlations(design: Design) -> tuple[float, float]:
    """Both latent correlations of a design."""
    return design.between_languages, design.between_models


def _gaps(z: Floats, lower: float, upper: float) -> Floats:
    return (z > stats.norm.ppf(upper)).astype(np.float64) - (z < stats.norm.ppf(lower))


def _between(values: Floats) -> float:
    """Correlation of two columns of one row, over (rows, columns) of exchangeable columns."""
    rows, columns = values.shape
    if columns < 2:
        return 0.0
    centred = values - values.mean()
    return float(((centred.sum(1) ** 2 - (centred**2).sum(1)) / (columns * (columns - 1))).mean() / centred.var())


def measured(trainings: dict[str, list[Outcomes]], base: Outcomes) -> tuple[float, float]:
    """Latent correlations of harm between languages of one model, and between the baseline and a training of it."""
    clusters = {cluster: i for i, cluster in enumerate(sorted(set(base.clusters)))}
    codes = {code: i for i, code in enumerate(sorted(set(base.languages)))}
    tables = np.zeros((len(trainings["harm"]), len(clusters), len(codes)))
    for values, o in zip(tables, trainings["harm"], strict=True):
        for cluster, code, value in zip(o.clusters, o.languages, o.values, strict=True):
            values[clusters[cluster], codes[code]] = value
    rate = float(tables.mean())
    pairs = [(i, j) for i in range(len(codes)) for j in range(i)]
    languages = float(np.mean([(tables[:, :, i] * tables[:, :, j]).mean() for i, j in pairs]))
    models = float(np.mean([(o.values * base.values).mean() for o in trainings["harm"]]))
    return _tetrachoric(rate, rate, languages), _tetrachoric(rate, float(base.values.mean()), models)


def _tetrachoric(one: float, other: float, both: float) -> float:
    """The correlation of two normals whose indicators have two rates and come together in a share.

    Source: Pearson 1900, Philosophical Transactions A 195.
    """
    z = stats.norm.ppf([one, other])
    return float(optimize.brentq(lambda r: stats.multivariate_normal.cdf(z, cov=[[1, r], [r, 1]]) - both, -0.99, 0.999))


def _line(name: str, share: float, runs: int, low: float, high: float) -> Iterator[bool]:
    error = math.sqrt(max(share * (1 - share), 1 / runs) / runs)
    good = low <= share <= high
    print(
        f"{name:<72} {100 * share:5.1f}% +- {100 * error:.1f}  {'ok' if good else f'not in {low:.0%} to {high:.0%}'}",
        flush=True,
    )
    yield good


def main() -> int:
    """Run all and print a line for each; 1 if one is out of its bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=2000, help="simulated experiments, and draws of three against three"
    )
    parser.add_argument("--scores", type=Path, default=FORTY)
    given = parser.parse_args()
    gc.freeze()  # statsmodels collects garbage at every adjustment by Holm: 50 ms among all that was imported
    good: list[bool] = []
    trainings = forty(given.scores) if given.scores.exists() else {}
    correlation = (0.35, 0.75)
    if len(trainings.get("harm", [])) >= 6:
        base = outcomes(
            records.read(given.scores / "base" / "redteam.parquet", records.SCORES), MEASURES["harm"], "base"
        )
        correlation = measured(trainings, base)
        n = len(trainings["harm"])
        print(f"Measured on {n} trainings: latent correlation {correlation[0]:.2f} between languages, "
              f"{correlation[1]:.2f} between baseline and training.")  # fmt: skip
        called = false_verdicts(trainings, base, given.runs)
        name = f"false verdicts, three against three of {n} trainings"
        good += _line(name, called["verdict"], given.runs, 0, 0.05)
        print(f"  by p over prompts alone they would be {100 * called['prompts']:.1f}%")
    else:
        print(f"{given.scores}: no trainings; first snakemake --configfile bench/forty.yaml. Correlations are assumed.")
        good.append(False)
    for design in designs(correlation):
        for clusters_of in (1, design.languages) if design.languages > 1 else (1,):
            own = (
                design
                if clusters_of > 1
                else Design(f"{design.name}, one language", design.clusters, 1, 0.0, correlation[1])
            )
            for case in cases():
                share = coverage(own, case, given.runs, 2000 if own.clusters < 1000 else 1000)
                good += _line(
                    f"coverage, {own.name if design.languages > 1 else design.name}, {case}",
                    share,
                    given.runs,
                    0.93,
                    0.97,
                )
    for design in designs(correlation):
        for difference in (0.03, 0.06, 0.1):
            predicted, found = planned(design, 0.2, difference, 500)
            name = f"power, {design.name}, {100 * difference:.0f} points, planned {100 * predicted:.1f}%"
            good += _line(name, found, 500, max(0.0, predicted - 0.05), min(1.0, predicted + 0.05))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
