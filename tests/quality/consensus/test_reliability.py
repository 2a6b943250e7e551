"""Accuracy, log-loss and calibration error on gold."""

import numpy as np
import pytest

from accord.domain import ConfigError, DataError
from accord.quality.agreement.resampling import BootstrapConfig
from accord.quality.consensus.calibration_error import measure_calibration_error
from accord.quality.consensus.evidence import UNKNOWN
from accord.quality.consensus.reliability import bin_numbers, measure_reliability

NO_BOOTSTRAP = BootstrapConfig(replicates=0)


def test_figures_by_hand():
    # right, right, wrong at confidence .8, .8, .6; two bins: {.6} and {.8, .8}
    probabilities = np.array([[0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    gold = np.array([0, 1, 1, UNKNOWN])
    found = measure_reliability(probabilities, gold, n_bins=2, config=NO_BOOTSTRAP)
    assert found.n_items == 3
    assert found.accuracy.value == pytest.approx(2 / 3)
    assert found.log_loss.value == pytest.approx(-(2 * np.log(0.8) + np.log(0.4)) / 3)
    assert found.calibration_error.value == pytest.approx((abs(0.6 - 0) + abs(1.6 - 2)) / 3)
    assert [(one.n_items, one.accuracy) for one in found.bins] == [(1, 0), (2, 1)]
    assert [one.confidence for one in found.bins] == pytest.approx([0.6, 0.8])


def test_tie_counts_half():
    found = measure_reliability(np.array([[0.5, 0.5]]), np.array([1]), config=NO_BOOTSTRAP)
    assert found.accuracy.value == 0.5
    assert found.log_loss.value == pytest.approx(np.log(2))


def test_certain_and_wrong_is_finite():
    found = measure_reliability(np.array([[1.0, 0.0]]), np.array([1]), config=NO_BOOTSTRAP)
    assert found.log_loss.value == pytest.approx(12 * np.log(10))


def test_without_gold_there_is_a_reason():
    found = measure_reliability(np.array([[1.0, 0.0]]), np.array([UNKNOWN]))
    assert found.n_items == 0
    assert found.accuracy.value is None
    assert found.accuracy.reason == "no gold items to measure on"
    assert found.bins == ()


def test_one_item_has_no_interval():
    found = measure_reliability(np.array([[0.9, 0.1]]), np.array([0]))
    assert found.log_loss.value == pytest.approx(-np.log(0.9))
    assert found.log_loss.low is None
    assert "needs 2" in found.log_loss.reason


def test_interval_holds_the_truth_of_calibrated_probabilities():
    generator = np.random.default_rng(4)
    hits, rounds = 0, 60
    for seed in range(rounds):
        chance = generator.uniform(0.05, 0.95, 150)
        gold = (generator.random(150) < chance).astype(np.int64)
        config = BootstrapConfig(replicates=400, seed=seed)
        found = measure_reliability(np.stack([1 - chance, chance], axis=1), gold, config=config)
        grid = np.linspace(0.05, 0.95, 10_001)
        expected = -(grid * np.log(grid) + (1 - grid) * np.log(1 - grid)).mean()
        hits += found.log_loss.low <= expected <= found.log_loss.high
    assert hits / rounds > 0.95 - 3 * np.sqrt(0.05 * 0.95 / rounds)


def test_debiased_error_by_hand():
    # one bin of 4: sure of .75, right in 2 of 4, so that the gap is .25. Its variance: the squares around the
    # gap sum to 1, two imagined items add .375, over 4 + 2 - 1 and over 4 items
    confidence, right = np.full(4, 0.75), np.array([1.0, 1.0, 0.0, 0.0])
    found = measure_calibration_error(confidence, right, np.zeros(4, dtype=np.int64))
    assert found.value == pytest.approx(max(0.25**2 - 1.375 / 5 / 4, 0.0) ** 0.5)
    # the gap is one standard error: 0 is not rejected
    assert found.low == 0.0
    assert found.value < found.high < 1.0


def test_no_doubt_and_no_mistake_is_no_error():
    found = measure_calibration_error(np.ones(5), np.ones(5), np.zeros(5, dtype=np.int64))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    wrong = measure_calibration_error(np.ones(5), np.zeros(5), np.zeros(5, dtype=np.int64))
    assert (wrong.value, wrong.low, wrong.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("steep", "truth"), [(1.0, 0.0), (0.5, 0.1121)])
def test_calibration_error_is_covered_at_its_bound_and_away_from_it(steep, truth):
    # truth: the value of ten bins on a million items
    n_worlds, held = 250, []
    for seed in range(n_worlds):
        generator = np.random.default_rng(seed)
        log_odds = generator.normal(0, 2, 300)
        confidence = 1 / (1 + np.exp(-np.abs(log_odds)))
        right = (generator.random(300) < 1 / (1 + np.exp(-np.abs(log_odds) * steep))).astype(float)
        found = measure_calibration_error(confidence, right, bin_numbers(confidence, 10))
        held.append(found.low <= truth <= found.high)
    error = np.sqrt(0.05 * 0.95 / n_worlds)
    assert 0.95 - 3 * error <= np.mean(held) <= 0.95 + 3 * error


def test_equal_confidences_share_a_bin():
    assert bin_numbers(np.array([0.9, 0.5, 0.9, 0.7]), 4).tolist() == [3, 0, 3, 1]
    assert set(bin_numbers(np.full(20, 0.6), 10).tolist()) == {5}


def test_bad_input_is_named():
    with pytest.raises(DataError, match="1 rows of probabilities for 2 gold"):
        measure_reliability(np.array([[1.0]]), np.array([0, 0]))
    with pytest.raises(ConfigError, match="n_bins is 0"):
        measure_reliability(np.array([[1.0]]), np.array([0]), n_bins=0)
