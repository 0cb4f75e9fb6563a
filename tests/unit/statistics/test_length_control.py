"""What protects length control: it takes away what length alone does, leaves the rest, and says when it cannot."""

import numpy as np
import pytest

from workflow_scripts.statistics.length_control import Pairs, win_rates


def pairs(skill, lengthy, n=600, longer=40.0, seed=0):
    """Comparisons won by skill and by length: logit P = skill + lengthy * tanh(longer / sd)."""
    random = np.random.default_rng(seed)
    gap = random.normal(longer, 40, n)
    p = 1 / (1 + np.exp(-(skill + lengthy * np.tanh(gap / gap.std()))))
    return Pairs((random.random(n) < p).astype(float), gap, np.arange(n), np.zeros(n))


def test_a_win_rate_that_length_alone_made_comes_down_to_a_half():
    own = pairs(skill=0.0, lengthy=2.0)
    found = win_rates([[own]])
    assert 100 * own.values.mean() > 65
    assert found.by_seed[0, 0] == pytest.approx(50, abs=3 * np.sqrt(found.covariance[0, 0]))


def test_where_length_does_nothing_the_rate_stays():
    own = pairs(skill=0.7, lengthy=0.0)
    assert win_rates([[own]]).by_seed[0, 0] == pytest.approx(100 * own.values.mean(), abs=5)


def test_answers_of_one_length_keep_their_raw_rate():
    random = np.random.default_rng(1)
    own = Pairs(random.choice([0, 0.5, 1], 200), np.zeros(200), np.arange(200), np.zeros(200))
    found = win_rates([[own]])
    assert found.by_seed[0, 0] == pytest.approx(100 * own.values.mean())
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(100 * own.values.std() / np.sqrt(200), rel=0.02)


def test_clusters_count_once():
    one = pairs(0.3, 1.0, n=100)
    many = Pairs(*(np.repeat(part, 6) for part in (one.values, one.longer, one.clusters, one.ease)))
    assert win_rates([[many]]).covariance[0, 0] == pytest.approx(win_rates([[one]]).covariance[0, 0], rel=0.03)


def test_two_models_and_their_seeds_are_fitted_together():
    found = win_rates([[pairs(0.5, 1.0, seed=s) for s in (1, 2)], [pairs(0.0, 1.0, seed=s) for s in (3, 4)]])
    assert found.by_seed.shape == (2, 2)
    assert found.by_seed.mean(1)[0] > found.by_seed.mean(1)[1] + 5


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (Pairs(np.ones(50), np.linspace(-1, 1, 50), np.arange(50), np.zeros(50)), "separated perfectly"),
        (Pairs(np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0)), "no comparison has a verdict"),
        (Pairs(np.array([0.0, 1.0]), np.array([0.0, 3.0]), np.arange(2), np.zeros(2)), "no solution"),
        (Pairs(np.array([1.0, 0.0]), np.array([1.0, 2.0]), np.zeros(2, int), np.zeros(2)), "single source prompt"),
    ],
    ids=["all won", "none", "two", "one cluster"],
)
def test_a_failure_is_said_in_words(own, why):
    found = win_rates([[own]])
    assert found.why.startswith("length control failed") and why in found.why
    assert found.by_seed.size == 0
