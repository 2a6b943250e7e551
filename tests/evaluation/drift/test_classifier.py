"""The classifier finds the planted feature, names it, and alarms at its level where nothing differs."""

import numpy as np
import pytest
from scipy.optimize import minimize

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.classifier import classify_samples, fit_logistic


def test_newton_finds_the_minimum_of_the_loss():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 3))
    target = generator.random(60) < 0.4

    def loss(weights):
        score = weights[0] + features @ weights[1:]
        return np.logaddexp(0, np.where(target, -score, score)).sum() + 0.5 * (weights[1:] ** 2).sum()

    reference = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    assert fit_logistic(features, target) == pytest.approx(reference, abs=1e-5)


def test_separable_sides_stay_finite():
    weights = fit_logistic(np.array([[-1.0], [-0.9], [0.9], [1.0]]), np.array([False, False, True, True]))
    assert np.isfinite(weights).all()
    assert weights[1] > 0


def test_planted_feature_is_on_top():
    generator = np.random.default_rng(0)
    old, new = generator.normal(size=(150, 5)), generator.normal(size=(150, 5))
    new[:, 3] -= 1.0
    found = classify_samples(old, new, ["a", "b", "c", "length", "e"], permutations=99, top=2)
    assert found.top_features[0].name == "length"
    assert found.top_features[0].coefficient < -0.5
    # one unit between two normals: P(new > old) = Phi(-1 / sqrt 2) = 0.240
    assert found.top_features[0].auroc == pytest.approx(0.24, abs=0.06)
    assert found.auroc == pytest.approx(0.76, abs=0.06)
    assert found.p_value == 0.01
    assert len(found.top_features) == 2


def test_false_alarms_come_at_the_level():
    found = [
        classify_samples(
            *np.random.default_rng(seed).normal(size=(2, 25, 4)), permutations=39, seed=seed
        ).p_value
        for seed in range(120)
    ]
    # 10 % of 120 within three standard errors, 8.2 points
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.082)


def test_prompts_are_not_split_between_training_and_testing():
    """Rows that repeat within a prompt: a classifier that had seen the prompt would tell its side."""
    generator = np.random.default_rng(0)
    sides = [np.repeat(generator.normal(size=(12, 30)), 6, axis=0) for _ in range(2)]
    ids = [[f"{side}{i // 6}" for i in range(72)] for side in "xy"]
    kept = classify_samples(*sides, reference_ids=ids[0], current_ids=ids[1], permutations=39)
    split = classify_samples(*sides, permutations=39)
    assert split.auroc > 0.95
    assert split.p_value == 1 / 40
    assert kept.p_value > 0.05


@pytest.mark.parametrize(
    ("old", "new", "names", "message"),
    [
        (np.zeros((5, 2)), np.zeros((30, 2)), None, "10 rows a side"),
        (np.zeros((30, 2)), np.zeros((30, 2)), ["one"], "1 names for 2 features"),
        (np.zeros((30, 2)), np.zeros((30, 3)), None, "expected"),
    ],
)
def test_bad_samples_are_refused(old, new, names, message):
    with pytest.raises(EvaluationError, match=message):
        classify_samples(old, new, names)


def test_constant_features_tell_nothing():
    assert classify_samples(np.ones((20, 2)), np.ones((20, 2)), permutations=19).auroc == 0.5
