"""Corrected judges: limits by hand, coverage under a biased judge, and what is refused."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.prediction_powered import prediction_powered_mean, rogan_gladen


def test_a_useless_judge_changes_nothing_and_a_constant_one_neither():
    generator = np.random.default_rng(0)
    labels = generator.random(50)
    found = prediction_powered_mean(labels, np.ones(50), np.ones(500))
    assert found.judge_weight == 0
    assert found.estimate.value == pytest.approx(labels.mean())
    assert found.effective_gain == pytest.approx(1)


def test_a_perfect_judge_by_hand():
    # y = f on both sides with equal spread: lambda = 1 / (1 + n/N)
    labels = np.tile([0.0, 1.0], 50)
    found = prediction_powered_mean(labels, labels, np.tile([0.0, 1.0], 450))
    spread = np.tile([0.0, 1.0], 500).var(ddof=1)
    assert found.judge_weight == pytest.approx(labels.var(ddof=1) / (1 + 100 / 900) / spread)
    assert found.estimate.value == pytest.approx(0.5)
    assert found.effective_gain == pytest.approx(10, rel=0.01)


def test_intervals_cover_though_the_judge_is_biased():
    generator = np.random.default_rng(3)
    hits = np.zeros(2)
    for _ in range(2000):
        truth = generator.normal(0.3, 1, 1200)
        judged = 0.7 * truth + 0.5 + 0.4 * generator.normal(size=1200)
        found = prediction_powered_mean(truth[:200], judged[:200], judged[200:])
        hits[0] += found.estimate.low <= 0.3 <= found.estimate.high
        hits[1] += found.effective_gain
    assert 0.94 <= hits[0] / 2000 <= 0.96
    assert hits[1] / 2000 > 2


def test_rogan_gladen_by_hand_and_its_coverage():
    found = rogan_gladen(
        positive=50, judged=100, true_positive=80, really_positive=100, true_negative=90, really_negative=100
    )
    assert found.value == pytest.approx((0.5 + 0.9 - 1) / 0.7)
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(2000):
        seen = rogan_gladen(
            positive=int(generator.binomial(400, 0.3 * 0.85 + 0.7 * 0.1)),
            judged=400,
            true_positive=int(generator.binomial(200, 0.85)),
            really_positive=200,
            true_negative=int(generator.binomial(200, 0.9)),
            really_negative=200,
        )
        hits += seen.low <= 0.3 <= seen.high
    assert 0.94 <= hits / 2000 <= 0.965


def test_what_cannot_be_corrected_is_refused():
    with pytest.raises(EvaluationError, match="9 labeled and 20 judged"):
        prediction_powered_mean(np.zeros(9), np.zeros(9), np.zeros(20))
    with pytest.raises(EvaluationError, match="judged_labeled"):
        prediction_powered_mean(np.zeros(12), np.zeros(11), np.zeros(20))
    counts = {"positive": 5, "judged": 10, "really_positive": 10, "really_negative": 10}
    with pytest.raises(EvaluationError, match="no better than chance"):
        rogan_gladen(**counts, true_positive=5, true_negative=5)
    with pytest.raises(EvaluationError, match="no parts of wholes"):
        rogan_gladen(**counts, true_positive=11, true_negative=5)
