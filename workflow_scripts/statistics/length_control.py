"""Win rates as they would be if answers were as long as those they are compared with.

A judge may prefer the longer answer for its length.  AlpacaEval 2 regresses the preference on who answered, on how much
longer the answer is, and on how hard the prompt is, and then asks what the regression says of answers of equal length.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workflow_scripts.statistics.outcomes import Floats

ALMOST = 1e-6  # fitted probabilities closer than this to 0 or 1 mean that the regression has no finite solution


@dataclass(frozen=True)
class Pairs:
    """One model's comparisons at one seed.

    Attributes:
        values: (n,) 1 for a win, 1/2 for a tie, 0 for a loss.
        longer: (n,) the answer's length less the other's, in tokens.
        clusters: (n,) number of the source prompt.
        ease: (n,) log odds of a win on the prompt over the other models of the study; zeros where there are none.
    """

    values: Floats
    longer: Floats
    clusters: npt.NDArray[np.int_]
    ease: Floats


@dataclass(frozen=True)
class Controlled:
    """Length-controlled win rate of each model in percent, by seed, with the covariance of the models' means."""

    by_seed: Floats  # (models, seeds)
    covariance: Floats  # (models, models), in points squared
    why: str = ""


def win_rates(sides: Sequence[Sequence[Pairs]]) -> Controlled:
    """Length-controlled win rates of some models, in one regression, with errors robust to clusters.

    logit P(win) = model and seed + phi(model) * tanh(longer / sd(longer)) + psi(model) * ease; the win rate is the mean
    of P over the prompts with the length term at zero.  A tie is half a win (quasi-likelihood).

    Args:
        sides: as [model][seed].

    Returns:
        Rates and covariance; or the reason why there are none, with empty arrays.

    Source: Dubois et al. 2024, "Length-Controlled AlpacaEval", arXiv 2404.04475, equation 2; fractional logit: Papke &
    Wooldridge 1996; covariance: Liang & Zeger 1986, by statsmodels.
    """
    blocks = [(m, s, pairs) for m, side in enumerate(sides) for s, pairs in enumerate(side)]
    if not all(len(pairs.values) for _, _, pairs in blocks):
        return _none("no comparison has a verdict and both lengths")
    seeds, models = len(sides[0]), len(sides)
    width = models * (seeds + 2)
    rows, targets, clusters = [], [], []
    for m, s, pairs in blocks:
        scale = float(pairs.longer.std()) or 1.0
        x = np.zeros((len(pairs.values), width))
        x[:, m * (seeds + 2) + s] = 1
        x[:, m * (seeds + 2) + seeds] = np.tanh(pairs.longer / scale)
        x[:, m * (seeds + 2) + seeds + 1] = pairs.ease - pairs.ease.mean()
        rows.append(x)
        targets.append(pairs.values)
        clusters.append(pairs.clusters)
    design, target = np.vstack(rows), np.concatenate(targets)
    used = design.any(0)  # answers of one length, or prompts of one difficulty, leave no such term
    if len(np.unique(np.concatenate(clusters))) < 2:
        return _none("a single source prompt")
    fitted = _fit(design[:, used], target, np.concatenate(clusters))
    if isinstance(fitted, str):
        return _none(fitted)
    beta, covariance = np.zeros(width), np.zeros((width, width))
    beta[used], covariance[np.ix_(used, used)] = fitted
    by_seed, slopes = np.zeros((models, seeds)), np.zeros((models, width))
    for (m, s, _), x in zip(blocks, rows, strict=True):
        equal = x.copy()
        equal[:, m * (seeds + 2) + seeds] = 0
        p = 1 / (1 + np.exp(-equal @ beta))
        by_seed[m, s] = 100 * p.mean()
        slopes[m] += 100 * ((p * (1 - p)) @ equal) / len(p) / seeds
    return Controlled(by_seed, slopes @ covariance @ slopes.T)


def _none(why: str) -> Controlled:
    return Controlled(np.zeros((0, 0)), np.zeros((0, 0)), f"length control failed: {why}")


def _fit(x: Floats, y: Floats, clusters: npt.NDArray[np.int_]) -> tuple[Floats, Floats] | str:
    """Coefficients and their covariance, or why there are none."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    if np.linalg.matrix_rank(x) < x.shape[1]:
        return "length and prompts cannot be told apart in so few comparisons"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = GLM(y, x, family=Binomial()).fit(maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
        except (np.linalg.LinAlgError, ValueError, ArithmeticError) as error:
            return f"no solution ({str(error).splitlines()[0]})"
    p = np.asarray(fit.fittedvalues)
    if not fit.converged or not np.isfinite(fit.params).all() or (np.minimum(p, 1 - p) < ALMOST).any():
        return "wins and losses are separated perfectly, so the regression has no finite solution"
    return np.asarray(fit.params), np.asarray(fit.cov_params())
