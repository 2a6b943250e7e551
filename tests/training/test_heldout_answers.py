"""Figures on held-out verdicts: by hand, against all pairs written out, and where they are undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.training.heldout_answers import HeldOutAnswers


def answers(log_ratios, labels, *, weights=None, point=0.0):
    return HeldOutAnswers(
        log_ratios=np.array(log_ratios, dtype=float),
        p_desirable=np.array(labels, dtype=float),
        weights=np.ones(len(labels)) if weights is None else np.array(weights, dtype=float),
        reference_point=point,
    )


def test_loss_by_hand():
    # beta 1, point 1: gains ln 3, 0 and ln 3; wanted s(-ln 3) = 1/4, unwanted s(0) = 1/2, half of each 1/2
    found = answers([1 + math.log(3), 1.0, 1 + math.log(3)], [1, 0, 0.5], weights=[1, 2, 1], point=1.0)
    assert found.loss(beta=1.0) == pytest.approx((1 / 4 + 2 / 2 + 1 / 2) / 4)
    # with weights 2 and 4 of the sides: 1/2, 2, and (1/2 + 3)/2
    weighed = found.loss(beta=1.0, desirable_weight=2.0, undesirable_weight=4.0)
    assert weighed == pytest.approx((1 / 2 + 2 * 2 + (1 / 2 + 3) / 2) / 4)


def test_accuracy_counts_gains_of_zero_half_and_leaves_undecided_labels_out():
    found = answers([2.0, 1.0, 0.5, 9.0], [1, 1, 0, 0.5], weights=[1, 1, 2, 5], point=1.0)
    assert found.accuracy() == pytest.approx((1 + 0.5 + 2) / 4)
    assert answers([1.0], [0.5]).accuracy() is None


def test_auc_by_hand():
    # wanted 2 and 0 against unwanted 1 and 0: won, won, lost, tied
    assert answers([2.0, 0.0, 1.0, 0.0], [1, 1, 0, 0]).auc() == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert answers([2.0, 1.0], [1, 1]).auc() is None
    assert answers([2.0], [0.5]).auc() is None


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0, 0.25, 0.5, 1]), st.floats(0.1, 3)), min_size=2)
)
def test_auc_equals_all_pairs_written_out(rows):
    values, labels, weights = zip(*rows, strict=True)
    found = answers(values, labels, weights=weights).auc()
    won = total = 0.0
    for i, (first, p, weight) in enumerate(rows):
        for j, (second, q, other) in enumerate(rows):
            if i != j:
                share = weight * p * other * (1 - q)
                total += share
                won += share * (1.0 if first > second else 0.5 if first == second else 0.0)
    if total < 1e-9:
        return
    assert found == pytest.approx(won / total, rel=1e-6, abs=1e-9)
    moved = answers([2 * value + 5 for value in values], labels, weights=weights).auc()
    assert moved == pytest.approx(found, rel=1e-9)


def test_nothing_held_out_is_refused():
    with pytest.raises(DataError, match="at least one of weight above 0"):
        answers([], [])
