"""Reward-model accuracy by hand; the length baseline finds a planted length preference and nothing else."""

import math

import numpy as np
import pytest
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import wilson
from accord.evaluation.reward_accuracy import length_baseline, measure_reward_accuracy


def test_accuracy_by_hand():
    # right, wrong, reward tie (half), label tie (left out), right against a label below one half
    result = measure_reward_accuracy([1.0, -1.0, 0.0, 5.0, -2.0], [1.0, 0.8, 1.0, 0.5, 0.1])
    assert result.accuracy.value == (1 + 0 + 0.5 + 1) / 4
    assert (result.accuracy.n, result.n_pairs, result.n_label_ties) == (4, 5, 1)


def test_independent_pairs_without_ties_are_wilson():
    assert measure_reward_accuracy([1, 1, -1], [1, 1, 1], list("abc")).accuracy == wilson(2, 3)


def test_nll_by_hand():
    # margin ln 4 (p = 0.8): labels 1 and 0.5 -> -ln 0.8 and (-ln 0.8 - ln 0.2)/2
    result = measure_reward_accuracy([math.log(4)] * 2, [1.0, 0.5])
    assert result.nll.value == pytest.approx((-math.log(0.8) - 0.5 * math.log(0.16)) / 2)


def test_equal_rewards_guess():
    result = measure_reward_accuracy([0.0] * 4, [1.0] * 4)
    assert result.accuracy.value == 0.5
    assert result.nll.value == pytest.approx(math.log(2))


def test_only_ties_is_an_error():
    with pytest.raises(EvaluationError, match="all ties"):
        measure_reward_accuracy([1.0], [0.5])
    with pytest.raises(EvaluationError, match="0 pairs"):
        measure_reward_accuracy([], [])


def test_bins_by_hand():
    margins = [0.1, -0.1, 1.0, 1.0, 3.0, 3.0]
    labels = [1.0, 1.0, 0.7, 0.6, 1.0, 1.0]
    result = measure_reward_accuracy(margins, labels, length_differences=[5, -5, 1, 1, 1, 0])
    assert [cell.accuracy.value for cell in result.by_margin] == [0.5, 1.0, 1.0]
    assert [(cell.label[:5], cell.accuracy.n) for cell in result.by_agreement] == [
        ("split", 1),
        ("major", 1),
        ("unani", 4),
    ]
    assert [(cell.accuracy.value, cell.accuracy.n) for cell in result.by_length] == [(1.0, 4), (0.0, 1)]


def test_length_baseline_finds_a_planted_length_preference():
    generator = np.random.default_rng(0)
    difference = generator.normal(scale=40, size=1000)
    labels = (generator.uniform(size=1000) < expit(difference / 20)).astype(float)
    ids = [i // 2 for i in range(1000)]
    result = length_baseline(difference, labels, ids)
    truth = measure_reward_accuracy(difference / 20, labels, ids)
    assert result.accuracy.value == pytest.approx(truth.accuracy.value)
    assert result.nll.value == pytest.approx(truth.nll.value, rel=0.02)


def test_length_baseline_learns_that_shorter_wins():
    difference = np.array([5.0, 3.0, 8.0, 2.0] * 10)
    assert length_baseline(difference, np.zeros(40)).accuracy.value == 1.0


def test_length_baseline_finds_nothing_where_there_is_nothing():
    generator = np.random.default_rng(1)
    result = length_baseline(generator.normal(size=800), generator.integers(0, 2, size=800))
    assert result.accuracy.low < 0.5 < result.accuracy.high
    assert result.nll.value >= math.log(2) - 0.002  # cross-fitting leaves no room for looking ahead


def test_length_baseline_is_symmetric_in_the_sides():
    generator = np.random.default_rng(2)
    difference, labels = generator.normal(size=60), generator.uniform(size=60)
    there, back = length_baseline(difference, labels), length_baseline(-difference, 1 - labels)
    assert there.nll.value == pytest.approx(back.nll.value, rel=1e-6)


def test_length_baseline_of_one_prompt_guesses():
    result = length_baseline([3.0, 4.0], [1.0, 1.0], ["a", "a"])
    assert result.accuracy.value == 0.5
    assert result.nll.value == pytest.approx(math.log(2))
