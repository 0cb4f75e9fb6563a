"""What protects the intervals: another implementation, coverage, clusters as one unit, and paired resamples."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from tests.unit.statistics.rows import numbers
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.statistics.bootstrap import bootstrap, interval, resamples
from workflow_scripts.statistics.outcomes import Outcomes


@pytest.mark.parametrize(("ours", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_intervals_agree_with_scipy_on_a_paired_ratio(ours, theirs):
    random = np.random.default_rng(3)
    base = (random.random(80) < 0.6).astype(float)
    model = base * (random.random(80) < 0.5)
    _, limits = bootstrap([[numbers(model)], [numbers(base)]], MEASURES["harm"].cell, draws=20_000, method=ours)

    def relative(m, b, axis):
        return 100 * (m.mean(axis) - b.mean(axis)) / b.mean(axis)

    wide = 1 - 2 * stats.norm.sf(stats.t(79).ppf(0.975) * np.sqrt(80 / 79))  # expanded for 80 clusters
    settings = {"n_resamples": 20_000, "batch": 2000, "rng": 1, "method": theirs, "confidence_level": wide}
    other = stats.bootstrap((model, base), relative, paired=True, **settings)
    assert limits == pytest.approx(tuple(other.confidence_interval), abs=0.9)


@pytest.mark.parametrize(("ours", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_intervals_over_clusters_of_unequal_size_agree_with_scipys_bootstrap_of_their_numbers(ours, theirs):
    random = np.random.default_rng(8)
    sizes = random.integers(1, 7, 60)
    values = np.concatenate(
        [random.random(size) < share for size, share in zip(sizes, random.beta(1, 2, 60), strict=True)]
    )
    clusters = [("s", f"{i:04}") for i in np.repeat(np.arange(60), sizes)]
    prompts = tuple(("s", f"{i:04}") for i in range(len(values)))
    own = Outcomes(prompts, tuple(clusters), ("en",) * len(values), values.astype(float))
    _, limits = bootstrap([[own]], MEASURES["harmful"].cell, draws=20_000, method=ours)
    hits = np.array([values[np.repeat(np.arange(60), sizes) == i].sum() for i in range(60)])
    wide = 1 - 2 * stats.norm.sf(stats.t(59).ppf(0.975) * np.sqrt(60 / 59))
    other = stats.bootstrap(
        (np.arange(60),), lambda i, axis: 100 * hits[i].sum(axis) / sizes[i].sum(axis),
        n_resamples=20_000, batch=2000, rng=1, method=theirs, confidence_level=wide,
    )  # fmt: skip
    assert limits == pytest.approx(tuple(other.confidence_interval), abs=0.9)


def test_translations_of_one_prompt_count_as_one_unit():
    values = np.repeat(np.random.default_rng(0).random(60) < 0.4, 6)
    _, clustered = bootstrap([[numbers(values, cluster_size=6)]], MEASURES["harmful"].cell)
    _, single = bootstrap([[numbers(values[::6])]], MEASURES["harmful"].cell)
    assert clustered == pytest.approx(single)


def test_pairing_makes_a_difference_of_like_models_narrow():
    random = np.random.default_rng(1)
    one = (random.random(200) < 0.5).astype(float)
    other = one.copy()
    other[:6] = 1 - other[:6]
    unrelated = random.permutation(other)
    difference = MEASURES["win"].difference
    _, paired = bootstrap([[numbers(one)], [numbers(other)]], difference)
    _, unpaired = bootstrap([[numbers(one)], [numbers(unrelated)]], difference)
    assert paired[1] - paired[0] < 0.4 * (unpaired[1] - unpaired[0])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random, normal, hits, runs = np.random.default_rng(5), NormalDist(), 0, 300
    truth = 100 * (0.3 - 0.6) / 0.6
    for run in range(runs):
        shared = random.normal(size=(60, 1))  # what makes translations of one prompt alike
        model, base = (
            (np.sqrt(0.6) * shared + np.sqrt(0.4) * random.normal(size=(60, 3)) < normal.inv_cdf(rate)).ravel()
            for rate in (0.3, 0.6)
        )
        sides = [[numbers(model, 3)], [numbers(base, 3)]]
        _, (low, high) = bootstrap(sides, MEASURES["harm"].cell, draws=400, seed=run % 4)
        hits += low <= truth <= high
    assert 0.91 <= hits / runs <= 0.985


def test_resamples_depend_on_nothing_but_their_arguments_and_cannot_be_changed():
    weights = resamples(7, 50, 1)
    assert (weights.sum(1) == 7).all()
    resamples.cache_clear()
    assert (weights == resamples(7, 50, 1)).all()
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_two_source_prompts_have_the_widest_interval_there_is_and_no_error(method):
    """Student's t asks for 18 standard errors of two prompts, beyond what a normal quantile has digits for."""
    draws = np.array([0.2, 0.3, 0.3, 0.4, 0.6])
    low, high = interval(0.3, draws, np.array([0.2, 0.4]), 0.95, method)
    assert (low, high) == pytest.approx((0.2, 0.6))
