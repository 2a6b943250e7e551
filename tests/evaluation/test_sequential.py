"""Looking after every vote: the error is held at all times, the answer comes, and order is told by hand."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.sequential import confidence_sequence, running_estimate


@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_continuous_looking_keeps_the_error(mean):
    generator = np.random.default_rng(0)
    misses = 0
    for _ in range(600):
        bounds = confidence_sequence(generator.random(400) < mean, grid=401)
        misses += bool(((bounds[:, 0] > mean) | (bounds[:, 1] < mean)).any())
    # at most .05 by Ville's inequality; 600 runs have a standard deviation of .009
    assert misses / 600 <= 0.05 + 2.5 * 0.009


def test_ties_in_the_middle_are_narrower_than_coins():
    generator = np.random.default_rng(1)
    coins = running_estimate(generator.random(300) < 0.5)
    ties = running_estimate(generator.choice([0.4, 0.6], 300))
    assert ties.high - ties.low < 0.6 * (coins.high - coins.low)


def test_bounds_only_close_in_and_find_a_difference():
    generator = np.random.default_rng(2)
    bounds = confidence_sequence(generator.random(800) < 0.65)
    assert (np.diff(bounds[:, 0]) >= 0).all()
    assert (np.diff(bounds[:, 1]) <= 0).all()
    assert bounds[-1, 0] > 0.5


def test_the_first_bet_by_hand():
    # t = 1: bet sqrt(2 ln(40) / (0.25 ln 2)) = 6.5 is cut to .5 / m or .5 / (1 - m); a win of 1 at m = .5
    # multiplies by 1.5 at most, and 1.5 / 2 < 20: nothing is ruled out
    assert confidence_sequence([1.0]).tolist() == [[0.0, 1.0]]
    assert confidence_sequence([]).shape == (0, 2)


def test_what_does_not_fit():
    with pytest.raises(EvaluationError, match="no votes"):
        running_estimate([])
    with pytest.raises(EvaluationError, match="outcomes"):
        running_estimate([2.0])
    with pytest.raises(EvaluationError, match="confidence"):
        confidence_sequence([1.0], confidence=1)
