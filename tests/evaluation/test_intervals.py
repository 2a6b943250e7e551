"""Wilson by hand, BCa by hand, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.intervals import (
    Estimate,
    bca_quantiles,
    bootstrap_estimate,
    bootstrap_reach,
    mean_estimate,
    quantile_estimate,
    ratio_estimate,
    share_estimate,
    wilson,
)

Z_SQUARE = 1.959963984540054**2


def test_wilson_by_hand():
    # p = 0.8, n = 10: center = (0.8 + z^2/20) / (1 + z^2/10), half as in the formula
    center = (0.8 + Z_SQUARE / 20) / (1 + Z_SQUARE / 10)
    half = math.sqrt(Z_SQUARE) / (1 + Z_SQUARE / 10) * math.sqrt(0.016 + Z_SQUARE / 400)
    result = wilson(8, 10)
    assert (result.low, result.high) == pytest.approx((center - half, center + half))
    assert (round(result.low, 4), round(result.high, 4)) == (0.4902, 0.9433)  # as in Wilson tables


def test_wilson_of_total_agreement_is_not_certainty():
    # p = 0: low = 0 and high = z^2 / (n + z^2); p = 1 mirrors it
    assert wilson(0, 20).high == pytest.approx(Z_SQUARE / (20 + Z_SQUARE))
    assert wilson(20, 20).low == pytest.approx(20 / (20 + Z_SQUARE))
    assert (wilson(0, 20).low, wilson(20, 20).high) == (0.0, 1.0)


def test_wilson_of_one_trial_is_wide():
    assert wilson(1, 1).low == pytest.approx(1 / (1 + Z_SQUARE))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(EvaluationError):
        wilson(successes, n)


def test_bca_levels_by_hand():
    # 6 of 10 draws below: z0 = Phi^-1(0.6). leave-one-out (0, 0, 3): u = (1, 1, -2), a = -6 / (6 * 6^1.5)
    draws = np.array([0.0] * 6 + [1.0] * 4)
    bias, acceleration = norm.ppf(0.6), -(6**-1.5)
    expected = [
        norm.cdf(bias + (bias + tail) / (1 - acceleration * (bias + tail)))
        for tail in (-math.sqrt(Z_SQUARE), math.sqrt(Z_SQUARE))
    ]
    levels = bca_quantiles(draws, value=0.5, leave_one_out=np.array([0.0, 0.0, 3.0]))
    assert levels == pytest.approx(expected)


def test_bca_without_bias_or_skew_is_the_percentile_interval():
    draws = np.array([-1.0, 1.0])
    levels = bca_quantiles(draws, value=0.0, leave_one_out=np.array([-1.0, 0.0, 1.0]))
    assert levels == pytest.approx((0.025, 0.975))


def test_few_clusters_reach_further_by_hand():
    # Student's t of 2 degrees at .975 is 4.3027, times sqrt(3 / 2); of many clusters it is 1.96
    assert bootstrap_reach(3) == pytest.approx(4.302653 * 1.5**0.5)
    assert bootstrap_reach(10**9) == pytest.approx(1.959964)
    levels = bca_quantiles(
        np.array([-1.0, 1.0]), value=0.0, leave_one_out=np.array([-1.0, 0.0, 1.0]), clusters=3
    )
    assert levels == pytest.approx((norm.cdf(-bootstrap_reach(3)), norm.cdf(bootstrap_reach(3))))


def test_few_skewed_clusters_are_covered():
    # ten clusters, exponential: plain BCa covers .90; 800 draws have a standard error of .01
    generator = np.random.default_rng(12)
    held = [
        (found := mean_estimate(generator.exponential(size=10), resamples=600, seed=seed)).low
        <= 1.0
        <= found.high
        for seed in range(800)
    ]
    assert 0.91 < np.mean(held) < 0.97


def test_mean_of_one_prompt_has_no_interval():
    result = mean_estimate([1.0, 3.0], ["a", "a"])
    assert result.value == 2.0
    assert not result.has_interval
    assert not result.is_above(-100.0)


def test_mean_of_equal_values_has_width_zero():
    result = mean_estimate([2.0, 2.0, 2.0], [1, 2, 3])
    assert (result.low, result.value, result.high) == (2.0, 2.0, 2.0)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(EvaluationError, match="n = 0"):
        mean_estimate([])
    with pytest.raises(EvaluationError, match="n = 0"):
        share_estimate([])


def test_share_of_independent_rows_is_wilson():
    assert share_estimate([1.0, 0.0, 1.0]) == wilson(2, 3)


def test_share_of_agreeing_clusters_is_wilson_over_clusters():
    result = share_estimate([1.0] * 6, ["a", "a", "a", "b", "b", "b"])
    assert (result.low, result.high) == (wilson(2, 2).low, 1.0)
    assert result.n == 6


def test_share_with_ties_is_a_bootstrap():
    assert share_estimate([1.0, 0.5, 0.0, 1.0]).method == "bca, 4 clusters"


def test_ratio_by_hand():
    result = ratio_estimate(np.array([2.0, 4.0]), np.array([1.0, 3.0]), Clusters.of(None, rows=2))
    assert result.value == 1.5
    # two clusters: resamples give 2/1, 6/4 or 4/3 only
    assert result.low == pytest.approx(4 / 3)
    assert result.high == pytest.approx(2.0)


def test_weights_that_sum_to_zero_are_refused():
    with pytest.raises(EvaluationError, match="positive total"):
        ratio_estimate(np.array([1.0]), np.array([0.0]), Clusters.of(None, rows=1))


def test_general_bootstrap_agrees_with_the_fast_mean():
    generator = np.random.default_rng(3)
    values = generator.exponential(size=120)
    clusters = Clusters.of([i // 2 for i in range(120)], rows=120)

    def weighted_mean(weights):
        return float(weights @ values / weights.sum())

    slow = bootstrap_estimate(weighted_mean, clusters, resamples=4000)
    fast = ratio_estimate(values, np.ones(120), clusters)
    assert slow.value == pytest.approx(fast.value)
    width = fast.high - fast.low
    assert abs(slow.low - fast.low) < 0.05 * width
    assert abs(slow.high - fast.high) < 0.05 * width


def test_statistic_that_is_often_undefined_has_no_interval():
    clusters = Clusters.of(None, rows=3)
    result = bootstrap_estimate(lambda weights: 1.0 if weights.min() > 0 else math.nan, clusters)
    assert result.value == 1.0
    assert not result.has_interval


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 4)), min_size=2, max_size=12), st.randoms())
def test_row_order_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = (
        mean_estimate([value for value, _ in each], [key for _, key in each]) for each in (rows, shuffled)
    )
    assert first.value == pytest.approx(second.value, abs=1e-12)
    assert first.low == pytest.approx(second.low, abs=1e-9, nan_ok=True)
    assert first.high == pytest.approx(second.high, abs=1e-9, nan_ok=True)


def test_same_seed_same_interval():
    values = np.random.default_rng(0).normal(size=50)
    assert mean_estimate(values, seed=4) == mean_estimate(values, seed=4)
    assert mean_estimate(values, seed=4) != mean_estimate(values, seed=5)


def _covers(result: Estimate, truth: float) -> bool:
    return result.low <= truth <= result.high


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_cluster_bootstrap_covers_where_the_row_bootstrap_does_not(method):
    # 60 prompts of 5 rows, half of the variance between prompts: the row interval is sqrt(3) too narrow
    # (design effect 1 + 4/2 = 3), so covers 2 Phi(1.96/1.73) - 1 = 74 %.
    generator = np.random.default_rng(7)
    ids = np.repeat(np.arange(60), 5).tolist()
    clustered, by_row = [], []
    for _ in range(400):
        values = np.repeat(generator.normal(size=60), 5) + generator.normal(size=300)
        clustered.append(_covers(mean_estimate(values, ids, method=method, resamples=600), 0.0))
        by_row.append(_covers(mean_estimate(values, method="percentile", resamples=200), 0.0))
    assert 0.92 <= np.mean(clustered) <= 0.98  # 0.95 less small-sample loss, +- 2.5 Monte Carlo errors
    assert 0.66 <= np.mean(by_row) <= 0.82


def test_wilson_and_share_intervals_cover():
    generator = np.random.default_rng(11)
    outcomes = generator.choice([0.0, 0.5, 1.0], p=[0.2, 0.2, 0.6], size=(200, 100))
    assert 0.91 <= np.mean([_covers(share_estimate(row), 0.7) for row in outcomes]) <= 0.98
    coins = generator.binomial(80, 0.7, size=2000)
    assert 0.935 <= np.mean([_covers(wilson(int(count), 80), 0.7) for count in coins]) <= 0.965


def test_quantiles_lie_between_order_statistics_by_hand():
    # Bin(10, 1/2): F(1) = 11/1024 <= .025 < F(2) = 56/1024, so l = 2; F(8) = 1013/1024 >= .975, so u = 9
    found = quantile_estimate(range(1, 11), 0.5)
    assert (found.value, found.low, found.high, found.confidence) == (5.0, 2.0, 9.0, 0.95)
    # the largest of 100 lies above the 99th percentile in 1 - .99^100, the 97th too in F(96)
    few = quantile_estimate(range(100), 0.99)
    assert (few.value, few.low, few.high) == (98.0, 96.0, 99.0)
    assert few.confidence == pytest.approx(1 - 0.99**100 - binom.cdf(96, 100, 0.99))
    assert few.confidence < 0.65
    assert quantile_estimate(np.arange(368), 0.99).confidence == 0.95
    assert quantile_estimate(np.arange(300), 0.99).confidence < 0.95
    assert not quantile_estimate([1.0], 0.5).has_interval
    with pytest.raises(EvaluationError, match="share of a quantile is 1"):
        quantile_estimate([1.0, 2.0], 1)


def test_quantile_intervals_cover_whatever_the_distribution():
    generator = np.random.default_rng(9)
    held = [
        (found := quantile_estimate(generator.exponential(size=400), 0.99)).low <= -np.log(0.01) <= found.high
        for _ in range(1500)
    ]
    # F(u - 1) - F(l - 1) of Bin(400, .99) is .9640; 1,500 draws have a standard error of .0048
    assert np.mean(held) == pytest.approx(0.964, abs=0.015)
