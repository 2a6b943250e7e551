import numpy as np
import pytest
from scipy.special import expit

from accord.domain import ConfigError, DataError
from accord.quality.deciding.stop_calibration import (
    StopCalibrationConfig,
    StopCalibrator,
    fit_stop_calibrator,
)


def test_the_form_by_hand():
    # log odds of the posterior ln 9, of the shares (3 + .5) / (1 + .5) = 7 / 3; a = .5, b = 1, c = (ln 2, 0):
    # odds sqrt(9) * 7 / 3 * 2 = 14, so 14 / 15; with floor .1 it is .9 * 14 / 15 + .05 = .89
    calibrator = StopCalibrator(0.5, 1.0, np.array([np.log(2), 0.0]), 0.1)
    found = calibrator.apply(np.array([[0.9, 0.1]]), np.array([[3.0, 1.0]]))
    assert found == pytest.approx(np.array([[0.89, 0.11]]))
    assert calibrator.highest == pytest.approx(0.95)


def test_rows_sum_to_one_and_certainty_is_finite():
    calibrator = StopCalibrator(0.5, 1.0, np.zeros(3), 0.01)
    found = calibrator.apply(np.array([[1.0, 0.0, 0.0]]), np.array([[2.0, 0.0, 0.0]]))
    assert found.sum() == pytest.approx(1)
    assert 0 < found.min() < found.max() <= calibrator.highest


def test_without_gold_the_centers_come_back():
    empty = fit_stop_calibrator([(np.zeros((0, 2)), np.zeros((0, 2)))], np.zeros(0, dtype=np.int64))
    assert (empty.posterior_weight, empty.share_weight, empty.floor) == (0.3, 0.3, 0.0)
    assert empty.intercepts.tolist() == [0, 0]


def states(n_items, slope, floor, seed):
    """Truth drawn with log odds that are `slope` times those of the posterior; votes say nothing."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(0, 8, n_items)
    posterior = np.stack([1 - expit(log_odds), expit(log_odds)], axis=1)
    truth = generator.random(n_items) < (1 - floor) * expit(slope * log_odds) + floor / 2
    return [(posterior, np.ones((n_items, 2)))], truth.astype(np.int64)


def test_true_weight_and_floor_are_recovered():
    fit = fit_stop_calibrator(*states(20_000, 0.5, 0.1, seed=1))
    assert fit.posterior_weight == pytest.approx(0.5, abs=0.05)
    assert fit.floor == pytest.approx(0.1, abs=0.02)
    assert np.abs(fit.intercepts).max() < 0.05


def test_the_fit_does_not_depend_on_the_order_of_items_or_classes():
    seen, truth = states(200, 0.5, 0.05, seed=2)
    posterior, counts = seen[0]
    plain = fit_stop_calibrator(seen, truth)
    swapped = fit_stop_calibrator([(posterior[::-1, ::-1], counts[::-1, ::-1])], 1 - truth[::-1])
    assert swapped.posterior_weight == pytest.approx(plain.posterior_weight, abs=1e-4)
    assert swapped.intercepts == pytest.approx(plain.intercepts[::-1], abs=1e-4)


def test_a_state_given_twice_counts_once():
    seen, truth = states(100, 0.5, 0.0, seed=3)
    once, twice = fit_stop_calibrator(seen, truth), fit_stop_calibrator(seen * 2, truth)
    assert twice.posterior_weight == pytest.approx(once.posterior_weight, abs=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="0 states of 1 gold"):
        fit_stop_calibrator([], np.array([0]))
    with pytest.raises(ConfigError) as caught:
        StopCalibrationConfig(weight_ridge=0.0, intercept_ridge=-1.0, floor_strength=-1.0)
    assert len(caught.value.problems) == 3
