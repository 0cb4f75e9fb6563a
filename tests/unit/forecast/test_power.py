"""What protects the plan: it predicts what the test then does, and counts the suites' real prompts."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import integrate, stats
from statsmodels.stats.power import normal_power

from workflow_scripts.experiment import table_of_models
from workflow_scripts.forecast.power import plan, smallest_over_seeds, standard_error
from workflow_scripts.statistics.cell import detectable
from workflow_scripts.statistics.significance import sign_flips

NANO = Path(__file__).parents[2] / "configs" / "nano.yaml"


def test_the_smallest_difference_is_found_with_the_stated_power():
    assert normal_power(detectable(0.03, 0.01, 0.9), 1, 0.01, sigma=0.03) == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6, 0.05 / 200])
@pytest.mark.parametrize("seeds", [2, 3, 6, 20])
def test_a_t_test_over_seeds_finds_the_smallest_difference_with_the_stated_power(seeds, alpha, power):
    """P(mean / standard error > critical), integrated over the law of the mean; no noncentral t in it."""
    shift = smallest_over_seeds(seeds, 2.0, alpha, power) / 2.0 * np.sqrt(seeds)
    critical, free = stats.t.isf(alpha / 2, seeds - 1), seeds - 1

    def integrand(z):
        return stats.norm.pdf(z) * stats.chi.cdf((shift + z) / critical * np.sqrt(free), free)

    found, _ = integrate.quad(integrand, -min(shift, 12), 12, limit=200)
    assert found == pytest.approx(power, abs=1e-9)


def test_one_seed_detects_nothing_over_seeds():
    assert smallest_over_seeds(1, 2.0, 0.05, 0.8) is None


def test_a_planted_difference_is_found_as_often_as_planned():
    random, runs, clusters, languages, correlation = np.random.default_rng(0), 300, 60, 6, 0.3
    planted, differing = 0.06, 0.3
    shared = np.sqrt(correlation)  # of the latent difference; the correlation of outcomes is measured, as from a pilot
    thresholds = np.array([(differing - planted) / 2, 1 - (differing + planted) / 2])
    latent = shared * random.normal(size=(runs, clusters, 1)) + np.sqrt(1 - correlation) * random.normal(
        size=(runs, clusters, languages)
    )
    u = stats.norm.cdf(latent)
    gaps = (u > thresholds[1]).astype(float) - (u < thresholds[0])
    centred = gaps - gaps.mean()
    between = (centred.sum(-1) ** 2 - (centred**2).sum(-1)).mean() / (languages * (languages - 1))
    error = standard_error(clusters * languages, clusters, centred.var(), between / centred.var())
    predicted = normal_power(planted, 1, 0.05, sigma=error)
    found = np.mean([sign_flips(gap.sum(-1)) < 0.05 for gap in gaps])
    assert 0.3 < predicted < 0.95
    assert found == pytest.approx(predicted, abs=0.05 + 2 * np.sqrt(0.25 / runs))


def test_a_plan_counts_the_suites_own_prompts_by_language_and_pooled():
    lines = plan(table_of_models.load(yaml.safe_load(NANO.read_text())).config)
    sizes = {(line["suite"], line["language"]): (line["prompts"], line["clusters"]) for line in lines}
    assert sizes == {(suite, language): (20, 10) if language == "pooled" else (10, 10)
                     for suite in ("general", "redteam") for language in ("en", "fr", "pooled")}  # fmt: skip
    pooled = {line["language"]: line["alone"] for line in lines if line["suite"] == "redteam"}
    assert pooled["pooled"] < pooled["en"]
    assert all(line["seeds"] is None and line["declared"] >= line["alone"] for line in lines)
