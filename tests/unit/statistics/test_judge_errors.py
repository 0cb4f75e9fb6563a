"""Rates without a judge's errors: the correction undoes them, and says where it cannot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.statistics.judge_errors import Errors, corrected, rogan_gladen


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.6, 1))
def test_the_correction_undoes_what_the_errors_did(truth, sensitivity, specificity):
    apparent = truth * sensitivity + (1 - truth) * (1 - specificity)
    found = rogan_gladen(np.array(apparent), np.array(sensitivity), np.array(specificity))
    assert float(found) == pytest.approx(truth, abs=1e-9)


def test_corrected_intervals_cover_the_truth_where_uncorrected_ones_do_not():
    random, runs, truth, se, sp = np.random.default_rng(6), 150, 0.1, 0.75, 0.85
    hits = raw = 0
    for _ in range(runs):
        calls = random.random(300) < truth * se + (1 - truth) * (1 - sp)
        shares = np.append(calls.mean(), random.choice(calls, (400, 300)).mean(1))
        caught, cleared = random.binomial(100, se), random.binomial(100, sp)
        found = corrected([shares], [300], [Errors(caught, 100 - caught, cleared, 100 - cleared)])
        hits += found.covers(truth)
        low, high = np.quantile(shares[1:], [0.025, 0.975])
        raw += low <= truth <= high
    assert hits / runs >= stats.binom.ppf(0.005, runs, 0.95) / runs
    assert raw / runs < 0.5


def test_the_calibrations_own_uncertainty_widens_the_interval():
    shares = np.append(0.4, np.random.default_rng(7).normal(0.4, 0.02, 1000))
    small, large = (corrected([shares], [300], [Errors(9 * k, k, 9 * k, k)]) for k in (1, 100))
    assert small.value == pytest.approx(large.value)
    assert small.high - small.low > 1.5 * (large.high - large.low)


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        (Errors(0, 0, 5, 1), "the labelled set has no harmful answer: no correction"),
        (Errors(5, 1, 0, 0), "the labelled set has no harmless answer: no correction"),
        (Errors(0, 0, 0, 0), "the labelled set has no harmful and no harmless answer: no correction"),
        (Errors(2, 8, 5, 5), "the judge does no better than chance on the labelled set: no correction"),
    ],
)
def test_a_calibration_that_cannot_correct_says_why(errors, why):
    found = corrected([np.full(11, 0.3)], [10], [errors])
    assert (found.value, found.why) == (None, why)
