"""Known coefficients come back inside their intervals; a gain that is only length is named so."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.reward_frontier import fit_frontier, measure_gap, measure_length_adjusted_gain

DISTANCES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def curve(form, alpha, beta):
    d = DISTANCES
    return d * (alpha - beta * (d if form == "best_of_n" else np.log(np.where(d > 0, d, 1.0))))


def noisy(form, alpha, beta, *, prompts=200, seed=0, noise=1.0):
    """Gains with one slope of its own per prompt, shared by its points, as one pool gives them."""
    generator = np.random.default_rng(seed)
    own = generator.normal(size=prompts) * noise
    return curve(form, alpha, beta)[:, None] + DISTANCES[:, None] * own


@pytest.mark.parametrize(("form", "peak"), [("best_of_n", 1.25), ("rl", math.exp(1.5))])
def test_exact_points_give_exact_coefficients(form, peak):
    # alpha 2, beta 0.8: best-of-n peaks at 2 / 1.6, RL at exp(2 / 0.8 - 1)
    fit = fit_frontier(DISTANCES, curve(form, 2.0, 0.8)[:, None], form=form)
    assert (fit.alpha.value, fit.beta.value) == (pytest.approx(2.0), pytest.approx(0.8))
    assert fit.peak_distance.value == pytest.approx(peak)
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.predict(DISTANCES) == pytest.approx(curve(form, 2.0, 0.8))
    # rewards at the peaks: alpha^2 / (4 beta) and beta * d*
    assert fit.peak_reward == pytest.approx(1.25 if form == "best_of_n" else 0.8 * peak)
    assert not fit.alpha.has_interval
    assert not fit.has_turnover


@pytest.mark.parametrize("form", ["best_of_n", "rl"])
def test_intervals_of_alpha_and_beta_cover(form):
    generator = np.random.default_rng(1)
    hits = np.zeros(3)
    runs = 200
    truth = 1.0 / 0.8 if form == "best_of_n" else math.exp(2.0 / 0.8 - 1.0)
    for run in range(runs):
        gains = curve(form, 2.0, 0.8)[:, None] + generator.normal(size=(6, 60)) * (1 + DISTANCES[:, None])
        fit = fit_frontier(DISTANCES, gains, form=form, resamples=300, seed=run)
        found = (fit.alpha, fit.beta, fit.peak_distance)
        hits += [e.low <= t <= e.high for e, t in zip(found, (2.0, 0.8, truth), strict=True)]
    # percentile bootstrap of 60 prompts: 95 % less a little; 3.3 sem of 200 runs is 0.05
    assert (hits / runs > 0.90).all(), hits / runs


def test_form_that_never_turns_has_no_peak():
    fit = fit_frontier(DISTANCES, noisy("best_of_n", 1.0, -0.2, noise=0.1), form="best_of_n")
    assert fit.peak_distance.value == math.inf
    assert fit.peak_distance.high == math.inf
    assert fit.share_turning == 0.0
    assert not fit.has_turnover


def test_rows_of_one_prompt_are_resampled_together():
    gains = noisy("best_of_n", 2.0, 0.8, prompts=40)
    alone = fit_frontier(DISTANCES, gains, form="best_of_n", seed=1).alpha
    doubled = fit_frontier(
        DISTANCES, np.repeat(gains, 2, axis=1), [f"{i // 2:02}" for i in range(80)], form="best_of_n", seed=1
    ).alpha
    assert (doubled.low, doubled.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    careless = fit_frontier(DISTANCES, np.repeat(gains, 2, axis=1), form="best_of_n", seed=1).alpha
    assert careless.high - careless.low < 0.85 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("distances", "gains", "message"),
    [
        ([0.0, 1.0, 2.0], np.zeros((3, 5)), "3 distinct distances"),
        ([1.0, 2.0, 3.0], np.zeros((2, 5)), "shape"),
        ([1.0, 2.0, 3.0], np.full((3, 5), math.nan), "finite"),
        ([-1.0, 2.0, 3.0], np.zeros((3, 5)), "negative"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(distances, gains, message):
    with pytest.raises(EvaluationError, match=message):
        fit_frontier(distances, gains, form="rl")


def test_gap_by_hand():
    # start proxy 0, 2 (sd sqrt 2), gold 0, 4 (sd sqrt 8); means rise by 2 and by 1
    found = measure_gap([0.0, 2.0], [0.0, 4.0], [2.0, 4.0], [1.0, 5.0])
    assert found.proxy_gain.value == pytest.approx(2 / math.sqrt(2))
    assert found.gold_gain.value == pytest.approx(1 / math.sqrt(8))
    assert found.gap.value == pytest.approx(2 / math.sqrt(2) - 1 / math.sqrt(8))


def test_gap_includes_zero_when_both_rise_alike_and_not_when_only_the_proxy_does():
    generator = np.random.default_rng(0)
    proxy, gold = generator.normal(size=(2, 300))
    alike = measure_gap(proxy, gold, proxy + 1, gold + 1 + generator.normal(size=300))
    assert alike.gap.low < 0.0 < alike.gap.high
    apart = measure_gap(proxy, gold, proxy + 1, gold)
    assert apart.gap.is_above(0.8)


def test_gap_needs_a_scale():
    with pytest.raises(EvaluationError, match="does not vary"):
        measure_gap([1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0])


def answers(generator, shift, *, own_gain=0.0, n=1500):
    lengths = generator.integers(20, 60, size=n) + shift
    return 0.1 * lengths + own_gain + 0.3 * generator.normal(size=n), lengths


def test_gain_that_is_only_length_has_ratio_zero():
    generator = np.random.default_rng(0)
    start, old = answers(generator, 0)
    after, new = answers(generator, 8)
    found = measure_length_adjusted_gain(start, old, after, new, buckets=40)
    assert found.total.low < 0.8 < found.total.high
    assert abs(found.ratio.value) < 0.1
    assert found.covered == pytest.approx(0.8, abs=0.05)


def test_gain_at_equal_length_has_ratio_one():
    generator = np.random.default_rng(0)
    start, old = answers(generator, 0)
    after, new = answers(generator, 0, own_gain=1.0)
    found = measure_length_adjusted_gain(start, old, after, new)
    assert found.ratio.low < 1.0 < found.ratio.high
    assert found.covered == 1.0


def test_ratio_of_no_gain_is_not_a_number():
    generator = np.random.default_rng(0)
    start, old = answers(generator, 0)
    found = measure_length_adjusted_gain(start, old, start, old)
    assert math.isnan(found.ratio.value)
    assert "no total gain" in found.ratio.method


def test_lengths_that_never_meet_have_no_gain_within():
    found = measure_length_adjusted_gain([0.0, 1.0], [1, 2], [5.0, 6.0], [100, 101], buckets=2)
    # the second bucket is open upward and holds the start's length 2, so one is shared
    assert found.covered == 0.5
