"""Disagreement warns where errors are each member's own, and says nothing of errors all members share."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.ensemble import (
    area_under_risk,
    combine_rewards,
    measure_ensemble,
    weighted_auroc,
)


def test_auroc_equals_counting_pairs_with_weights_as_copies():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 5, size=40).astype(float)
    positives = generator.integers(0, 2, size=40).astype(float)
    copies = generator.integers(0, 3, size=40)
    rows = np.repeat(np.arange(40), copies)
    pairs = [
        (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
        for i in rows
        for j in rows
        if positives[i] == 1 and positives[j] == 0
    ]
    assert weighted_auroc(scores, positives, copies.astype(float)) == pytest.approx(np.mean(pairs))


def test_area_under_risk_by_hand():
    # surest first: right, wrong, right -> risks 0, 1/2, 1/3
    assert area_under_risk([1.0, 2.0, 3.0], [0.0, 1.0, 0.0]) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    # no order at all: every prefix has the mean
    assert area_under_risk([1.0, 1.0, 1.0], [0.0, 1.0, 0.0]) == pytest.approx(1 / 3)


def ensemble(*, own, shared, seed=0, pairs=1500):
    """Five members with noise of their own on half of the pairs, or a blind spot they share."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=pairs)
    is_hard = generator.random(pairs) < 0.5
    noise = own * is_hard * generator.normal(size=(5, pairs)) + 0.05 * generator.normal(size=(5, pairs))
    margins = truth + noise + shared * is_hard * generator.normal(size=pairs)
    return margins, (truth > 0).astype(float)


def test_variance_tells_idiosyncratic_errors():
    found = measure_ensemble(*ensemble(own=3.0, shared=0.0))
    assert found.variance_auroc.low > 0.7
    assert found.accuracy.value > max(found.member_accuracy)
    risks = [point.risk.value for point in found.risk_coverage]
    assert risks[0] < 0.02 < risks[-1]
    assert found.area_under_risk < risks[-1]
    assert found.excess_area > 0


def test_variance_is_blind_to_shared_errors():
    found = measure_ensemble(*ensemble(own=0.0, shared=3.0))
    assert found.variance_auroc.low < 0.5 < found.variance_auroc.high
    assert found.accuracy.value == pytest.approx(np.mean(found.member_accuracy), abs=0.01)


def test_swapping_sides_changes_nothing():
    margins, label = ensemble(own=1.0, shared=0.5, pairs=200)
    flip = np.where(np.arange(200) % 3 == 0, -1.0, 1.0)
    swapped = measure_ensemble(margins * flip, np.where(flip < 0, 1 - label, label))
    assert swapped.variance_auroc == measure_ensemble(margins, label).variance_auroc


def test_no_errors_give_no_auroc():
    found = measure_ensemble([[1.0, 2.0], [2.0, 3.0]], [1.0, 1.0])
    assert np.isnan(found.variance_auroc.value)
    assert found.area_under_risk == 0.0


def test_combined_rewards_by_hand():
    rewards = [[1.0, 4.0], [3.0, 4.0]]
    assert combine_rewards(rewards, "mean").tolist() == [2.0, 4.0]
    assert combine_rewards(rewards, "worst_case").tolist() == [1.0, 4.0]
    assert combine_rewards(rewards, "variance_penalty", penalty=0.5).tolist() == [1.5, 4.0]


@pytest.mark.parametrize(
    ("margins", "labels", "message"),
    [
        ([[1.0, 2.0]], [1.0, 0.0], "two members"),
        ([[1.0], [2.0]], [0.5], "no pair has a preferred side"),
        ([[1.0], [np.nan]], [1.0], "not finite"),
    ],
)
def test_bad_ensembles_are_refused(margins, labels, message):
    with pytest.raises(EvaluationError, match=message):
        measure_ensemble(margins, labels)
