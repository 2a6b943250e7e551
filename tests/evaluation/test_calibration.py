"""Calibration by hand, and recovery of a known temperature."""

import math

import numpy as np
import pytest
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.calibration import (
    equal_count_bins,
    fit_temperature,
    measure_calibration,
    negative_log_likelihood,
    predicted_winner,
    unfolded_calibration_error,
)

LOGIT_80 = math.log(4)  # sigmoid(ln 4) = 0.8


def test_one_bin_by_hand():
    # confidence 0.8 throughout, 3 of 4 predicted winners win: gap 0.05, debiased (0.05^2 - 3/16/3)_+ = 0
    result = measure_calibration([LOGIT_80] * 4, [1, 1, 1, 0])
    assert len(result.bins) == 1
    assert result.bins[0].confidence == pytest.approx(0.8)
    assert result.bins[0].observed.value == 0.75
    assert result.ece == pytest.approx(0.05)
    assert result.ece_debiased.value == 0.0


def test_debiased_ece_by_hand():
    # confidence 0.8, 10 of 40 win: gap^2 = 0.55^2, variance of the mean 0.25 * 0.75 / 39
    result = measure_calibration([LOGIT_80] * 40, [1.0] * 10 + [0.0] * 30)
    assert result.ece_debiased.value == pytest.approx(math.sqrt(0.55**2 - 0.25 * 0.75 / 39))


def test_brier_by_hand():
    # (0.8 - 1)^2 three times and 0.8^2 once, over 4
    result = measure_calibration([LOGIT_80] * 4, [1, 1, 1, 0]).brier
    assert result.score.value == pytest.approx((3 * 0.04 + 0.64) / 4)
    assert result.reliability == pytest.approx(0.05**2)
    assert result.resolution == pytest.approx(0.0)
    assert result.uncertainty == pytest.approx(0.75 * 0.25)
    assert result.within_bins == pytest.approx(0.0, abs=1e-12)


def test_brier_parts_sum_to_the_score():
    generator = np.random.default_rng(0)
    result = measure_calibration(generator.normal(size=300), generator.uniform(size=300)).brier
    parts = result.reliability - result.resolution + result.uncertainty + result.within_bins
    assert parts == pytest.approx(result.score.value)


def test_soft_label_counts_in_expectation():
    # label 0.75 is the same as 3 wins of 4, in the Brier score too: 0.75 * 0.2^2 + 0.25 * 0.8^2
    result = measure_calibration([LOGIT_80], [0.75])
    assert result.bins[0].observed.value == 0.75
    assert result.brier.score.value == pytest.approx(0.75 * 0.04 + 0.25 * 0.64)


def test_writing_the_other_side_first_changes_nothing():
    generator = np.random.default_rng(1)
    margins, labels = generator.normal(size=100), generator.uniform(size=100)
    assert measure_calibration(margins, labels) == measure_calibration(-margins, 1 - labels)


def test_margin_of_zero_predicts_neither_side():
    confidence, outcome = predicted_winner([0.0, -LOGIT_80], [1.0, 0.0])
    assert confidence.tolist() == pytest.approx([0.5, 0.8])
    assert outcome.tolist() == [0.5, 1.0]


def test_equal_values_share_a_bin():
    assert equal_count_bins(np.array([1.0, 1.0, 1.0, 2.0]), bins=2).tolist() == [0, 0, 0, 1]
    assert equal_count_bins(np.array([4.0, 1.0, 3.0, 2.0]), bins=2).tolist() == [1, 0, 1, 0]


def test_nll_by_hand():
    # p = 0.8: -ln 0.8 for a win, -ln 0.2 for a loss, the mean of both for a tie
    losses = negative_log_likelihood(np.full(3, LOGIT_80), np.array([1.0, 0.0, 0.5]))
    assert losses.tolist() == pytest.approx([-math.log(0.8), -math.log(0.2), -math.log(0.16) / 2])


def test_temperature_by_hand():
    # margin ln 4 wins 3 of 4: best probability 0.75 = sigmoid(ln 3), so T = ln 4 / ln 3
    assert fit_temperature([LOGIT_80] * 4, [1, 1, 1, 0]) == pytest.approx(math.log(4) / math.log(3), rel=1e-5)


def test_temperature_recovers_the_truth():
    generator = np.random.default_rng(2)
    margins = generator.normal(scale=3, size=20_000)
    labels = (generator.uniform(size=20_000) < expit(margins / 2.5)).astype(float)
    assert fit_temperature(margins, labels) == pytest.approx(2.5, rel=0.05)


def test_useless_margins_run_into_the_bound():
    assert fit_temperature([1.0, 1.0], [1.0, 0.0]) == pytest.approx(100.0, rel=0.01)
    assert fit_temperature([1.0, 1.0], [1.0, 1.0]) < 0.1


def test_calibrated_model_has_no_debiased_error_and_an_overconfident_one_has():
    generator = np.random.default_rng(3)
    margins = generator.normal(scale=1.5, size=1500)
    labels = (generator.uniform(size=1500) < expit(margins)).astype(float)
    good, bad = measure_calibration(margins, labels), measure_calibration(4 * margins, labels)
    assert good.ece_debiased.value < good.ece
    assert good.ece_debiased.low < 0.01
    assert bad.ece_debiased.low > 0.08
    repaired = measure_calibration(4 * margins, labels, temperature=4.0)
    assert repaired.ece == pytest.approx(good.ece)


def test_debiased_ece_interval_covers_the_truth():
    # all rows at confidence 0.8, truth 0.7: the true error is 0.1
    generator = np.random.default_rng(4)
    is_covered = []
    for _ in range(60):
        labels = (generator.uniform(size=200) < 0.7).astype(float)
        result = measure_calibration(np.full(200, LOGIT_80), labels).ece_debiased
        is_covered.append(result.low <= 0.1 <= result.high)
    assert 0.88 <= np.mean(is_covered) <= 1.0


def test_no_pairs_is_an_error():
    with pytest.raises(EvaluationError, match="n = 0"):
        measure_calibration([], [])
    with pytest.raises(EvaluationError, match="n = 0"):
        fit_temperature([], [])


def test_bad_temperature_is_an_error():
    with pytest.raises(EvaluationError, match="temperature must be positive"):
        measure_calibration([1.0], [1.0], temperature=0.0)


def test_unfolded_error_by_hand():
    # P(A > B) is .8 or .2 by the order; everybody prefers what the model does: off by .2 in both bins
    found = unfolded_calibration_error([math.log(4)] * 40, [1.0] * 40)
    assert found.value == pytest.approx(0.2)
    # soft labels that are what the model says: nothing is left, whatever the order
    for seed in range(3):
        calm = unfolded_calibration_error([math.log(4), -math.log(4)] * 40, [0.8, 0.2] * 40, seed=seed)
        assert calm.value == pytest.approx(0.0, abs=1e-9)
    # twice too sure: logit .8 halved by the temperature is 2/3, still 1/3 below certainty
    cooled = unfolded_calibration_error([math.log(4)] * 40, [1.0] * 40, temperature=2.0)
    assert cooled.value == pytest.approx(1 / 3)
    with pytest.raises(EvaluationError, match="n = 0"):
        unfolded_calibration_error([], [])
