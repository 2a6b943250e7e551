"""Held-out figures of a reward model by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.training.heldout import HeldOutPairs, rise_in_standard_errors


def pairs(differences, labels=None, weights=None, tokens=None):
    differences = np.array(differences, dtype=float)
    count = len(differences)
    chosen_tokens, rejected_tokens = tokens if tokens else (np.arange(count), np.arange(count) + 1)
    return HeldOutPairs(
        chosen_rewards=differences + 1.0,
        rejected_rewards=np.ones(count),
        p_chosen=np.array(labels if labels is not None else [1.0] * count),
        weights=np.array(weights if weights is not None else [1.0] * count),
        chosen_tokens=np.array(chosen_tokens, dtype=float),
        rejected_tokens=np.array(rejected_tokens, dtype=float),
    )


def test_trap_52_equal_rewards_count_half_and_tied_labels_not_at_all():
    # right, equal, wrong, tie: (1 + 1/2 + 0) / 3
    assert pairs([2.0, 0.0, -1.0, 9.0], labels=[1.0, 0.8, 0.9, 0.5]).accuracy() == pytest.approx(0.5)


def test_accuracy_asks_for_the_more_probable_side():
    assert pairs([-1.0], labels=[0.2]).accuracy() == 1.0


def test_accuracy_is_weighted():
    assert pairs([1.0, -1.0], weights=[3.0, 1.0]).accuracy() == 0.75


def test_accuracy_of_ties_only_is_undefined():
    assert pairs([1.0], labels=[0.5]).accuracy() is None
    assert "reward/eval_accuracy" not in pairs([1.0], labels=[0.5]).metrics()


def test_likelihood_and_brier_by_hand():
    # differences 0 and ln 3 -> q = 1/2 and 3/4
    held_out = pairs([0.0, math.log(3)])
    assert held_out.mean(held_out.nll) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert held_out.brier() == pytest.approx((1 / 4 + 1 / 16) / 2)


def test_calibration_error_by_hand():
    # four pairs of confidence 3/4 of which one is right: |3/4 - 1/4|; two bins of two: the same
    held_out = pairs([math.log(3), -math.log(3), -math.log(3), -math.log(3)])
    assert held_out.calibration_error(bins=1) == pytest.approx(0.5)
    # bins of equal confidence keep their order: (3/4 - 1/2) and (3/4 - 0), halves
    assert held_out.calibration_error(bins=2) == pytest.approx((0.25 + 0.75) / 2)


def test_a_calibrated_model_has_no_calibration_error():
    # confidence 3/4 and three of four right
    held_out = pairs([math.log(3)] * 3 + [-math.log(3)])
    assert held_out.calibration_error(bins=1) == pytest.approx(0.0, abs=1e-12)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1), st.floats(0.1, 2)), min_size=1, max_size=20))
def test_which_side_is_called_chosen_does_not_matter(rows):
    differences, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    one, other = pairs(differences, labels, weights), pairs(-differences, 1 - labels, weights)
    assert other.mean(other.nll) == pytest.approx(one.mean(one.nll), rel=1e-9)
    assert other.brier() == pytest.approx(one.brier(), rel=1e-9, abs=1e-12)
    assert other.accuracy() == pytest.approx(one.accuracy())


def test_length_correlation_by_hand():
    # rewards 2, 3 and 1, 1 at lengths 2, 3 and 1, 1: the same numbers
    assert pairs([1.0, 2.0], tokens=([2, 3], [1, 1])).length_correlation() == pytest.approx(1.0)
    assert pairs([1.0, 2.0], tokens=([5, 5], [5, 5])).length_correlation() is None


def test_no_weight_raises():
    with pytest.raises(DataError, match="weight above 0"):
        pairs([1.0], weights=[0.0])


def test_extreme_differences_stay_finite():
    held_out = pairs([1e4, -1e4])
    assert all(math.isfinite(value) for value in held_out.metrics().values())


def test_rise_in_standard_errors_by_hand():
    # differences 1 and 3: mean 2, standard deviation sqrt(2), error 1
    assert rise_in_standard_errors(np.array([2.0, 4.0]), np.ones(2)) == pytest.approx(2.0)
    assert rise_in_standard_errors(np.ones(3), np.ones(3)) == 0.0
    assert rise_in_standard_errors(np.array([2.0]), np.array([1.0])) == 0.0
    assert rise_in_standard_errors(np.ones(2) * 2, np.ones(2)) == math.inf
