import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accord.domain import EvaluationError
from accord.quality.people import beta_interval, estimate_share, wilson_interval


def test_wilson_by_hand():
    # s = 8, n = 10, z = 1.96: center = (8 + 1.9208) / 13.8416, spread = 1.96 sqrt(8*2/10 + 0.9604) / 13.8416
    bounds = wilson_interval(8, 10)
    quantile = stats.norm.ppf(0.975)
    center = (8 + quantile**2 / 2) / (10 + quantile**2)
    spread = quantile * np.sqrt(1.6 + quantile**2 / 4) / (10 + quantile**2)
    assert (float(bounds.low), float(bounds.high)) == pytest.approx((center - spread, center + spread))


def test_beta_interval_of_a_flat_prior_without_trials_is_the_middle_95_percent():
    bounds = beta_interval(0, 0, prior=(1.0, 1.0))
    assert (float(bounds.low), float(bounds.high)) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize("total", [5, 20, 100])
def test_coverage_of_the_beta_interval_over_its_prior_is_nominal(total):
    # the chance of s under the Beta(a, b) prior is beta-binomial, and the posterior mass inside is 0.95 by
    # construction; here by drawing shares and trials instead
    rng = np.random.default_rng(total)
    shares = rng.beta(0.5, 0.5, size=40_000)
    bounds = beta_interval(rng.binomial(total, shares), total)
    covered = int(((bounds.low <= shares) & (shares <= bounds.high)).sum())
    assert 0.94 <= covered / 40_000 <= 0.96


@pytest.mark.parametrize("total", [5, 20, 100])
def test_mean_coverage_of_wilson_is_nominal(total):
    # exact: over a grid of shares, the binomial mass of the counts whose interval holds the share
    shares = (np.arange(2000) + 0.5) / 2000
    counts = np.arange(total + 1)
    bounds = wilson_interval(counts, total)
    inside = (bounds.low <= shares[:, None]) & (shares[:, None] <= bounds.high)
    coverage = (stats.binom.pmf(counts, total, shares[:, None]) * inside).sum(axis=1).mean()
    assert 0.94 <= coverage <= 0.96


@given(st.integers(0, 50), st.integers(0, 50))
def test_intervals_mirror_when_right_and_wrong_change_places(right, wrong):
    for interval in (wilson_interval, beta_interval):
        one, other = interval(right, right + wrong), interval(wrong, right + wrong)
        assert float(one.low) == pytest.approx(1 - float(other.high), abs=1e-9)


def test_no_trial_has_no_value_and_a_reason():
    estimate = estimate_share(0, 0)
    assert (estimate.value, estimate.exists, estimate.reason) == (None, False, "no trial")


def test_more_successes_than_trials_raise():
    with pytest.raises(EvaluationError, match=r"3\.0 successes of 2\.0 trials"):
        beta_interval(3, 2)
