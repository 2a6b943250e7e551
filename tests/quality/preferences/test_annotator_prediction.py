from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from accord.quality.preferences.annotator_aware import AnnotatorAwareConfig, fit_annotator_aware
from accord.quality.preferences.annotator_prediction import (
    outcome_log_loss,
    predict_outcomes,
    preference_probabilities,
)
from accord.quality.preferences.scored_pairs import tabulate_pairs


def fitted(config=None):
    generator = np.random.default_rng(0)
    sides = np.array([generator.permutation(6)[:2] for _ in range(200)])
    pairs = tabulate_pairs(
        sides[:, 0], sides[:, 1], generator.integers(0, 3, 200), generator.integers(0, 5, 200)
    )
    return pairs, fit_annotator_aware(pairs, config)


def test_predictions_are_averages_over_the_posterior():
    pairs, fit = fitted()
    row = pairs.select(np.array([0]))
    generator = np.random.default_rng(1)
    drawn = 400_000
    own = int(row.annotator[0])
    gain, position, habit = generator.multivariate_normal(
        fit.latent.local[own], fit.latent.local_covariance[own], drawn
    ).T
    i, j = int(row.left[0]), int(row.right[0])
    covariance = fit.latent.shared_covariance
    variance = covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]
    difference = fit.scores[i] - fit.scores[j] + np.sqrt(variance) * generator.normal(size=drawn)
    place = {block.name: block.start for block in fit.blocks}
    margin = gain * difference + position + fit.latent.shared[place["position"]]
    threshold = np.exp(habit + fit.latent.shared[place["log_threshold"]])
    expected = [expit(margin - threshold).mean(), expit(-margin - threshold).mean()]
    # 400,000 draws: standard error below 0.0004
    assert predict_outcomes(fit, row)[0, :2] == pytest.approx(expected, abs=0.003)
    assert preference_probabilities(fit, row)[0] == pytest.approx(expit(difference).mean(), abs=0.002)


def test_outcomes_of_the_rows_are_not_looked_at_and_chunks_do_not_matter():
    pairs, fit = fitted()
    hidden = replace(pairs, outcome=np.zeros(len(pairs), dtype=np.intp))
    whole = predict_outcomes(fit, hidden)
    assert whole.tolist() == predict_outcomes(fit, pairs).tolist()
    many = pairs.select(np.tile(np.arange(len(pairs)), 25))
    assert predict_outcomes(fit, many)[-len(pairs) :] == pytest.approx(whole, rel=1e-12)


def test_exchanged_sides_exchange_the_predictions_where_no_side_is_favored():
    pairs, fit = fitted(AnnotatorAwareConfig(position_effect=False, position_spread=0))
    here, there = predict_outcomes(fit, pairs), predict_outcomes(fit, pairs.mirrored())
    assert here == pytest.approx(there[:, [1, 0, 2]], abs=1e-5)
    assert preference_probabilities(fit, pairs) == pytest.approx(
        1 - preference_probabilities(fit, pairs.mirrored()), abs=1e-12
    )


def test_log_loss_by_hand():
    found = outcome_log_loss(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]), np.array([0, 2]))
    assert found == pytest.approx((np.log(2) + np.log(10)) / 2)
