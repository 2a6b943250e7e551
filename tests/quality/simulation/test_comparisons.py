"""The parameters of the simulated comparisons are found again by regression on what is known."""

import math

import numpy as np
import pytest

from accord.domain import ConfigError
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.simulation import ComparisonConfig, simulate_comparisons


def fit_logistic(design, is_left):
    """Coefficients of a logistic regression and their standard errors, by Newton's method."""
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ weights))
        information = design.T @ (design * (p * (1 - p))[:, None])
        weights += np.linalg.solve(information, design.T @ (is_left - p))
    return weights, np.sqrt(np.diag(np.linalg.inv(information)))


def test_equal_seed_gives_equal_judgments():
    config = ComparisonConfig(tie_threshold=0.5)
    one, two, other = (simulate_comparisons(config, seed) for seed in (3, 3, 4))
    assert np.array_equal(one.answer, two.answer)
    assert not np.array_equal(one.answer, other.answer)


def test_gains_positions_and_length_effects_are_found_by_regression():
    config = ComparisonConfig(
        n_items=120,
        n_annotators=6,
        n_pairs=2000,
        judgments_per_pair=6,
        gain_spread=0.5,
        reversed_share=1 / 6,
        guessing_share=1 / 6,
        position_effect=0.3,
        position_spread=0.4,
        length_effects=(-0.5, 0.8),
        score_spread=1.2,
    )
    crowd = simulate_comparisons(config, 0)
    who = np.eye(6)[crowd.annotator_index]
    score_gap = crowd.scores[crowd.left] - crowd.scores[crowd.right]
    length_gap = crowd.log_lengths[crowd.left] - crowd.log_lengths[crowd.right]
    family = np.eye(2)[crowd.families[crowd.left]]
    design = np.hstack([who * score_gap[:, None], who, family * length_gap[:, None]])
    found, errors = fit_logistic(design, crowd.answer == LEFT)
    known = np.concatenate([crowd.gains, crowd.positions, [-0.5, 0.8]])
    assert (np.abs(found - known) < 4.5 * errors).all()
    assert errors.max() < 0.2
    assert np.abs(found - known).max() > 1e-4  # found, not copied
    assert (crowd.gains == 0).sum() == (crowd.gains < 0).sum() == 1
    assert crowd.positions.mean() == pytest.approx(0.3)
    assert np.log(np.abs(crowd.gains[crowd.gains != 0])).mean() == pytest.approx(0, abs=1e-12)


def test_ties_of_equal_answers_come_as_the_threshold_says():
    # d = 0: P(tie) = 1 - 2 sigma(-t); t = ln 3 gives 1/2
    config = ComparisonConfig(score_spread=0.0, tie_threshold=math.log(3), n_pairs=1000)
    crowd = simulate_comparisons(config, 1)
    n = len(crowd.answer)
    assert abs((crowd.answer == TIE).mean() - 0.5) < 4.5 * math.sqrt(0.25 / n)
    assert abs((crowd.answer == LEFT).mean() - 0.25) < 4.5 * math.sqrt(0.1875 / n)


def test_answers_follow_the_stated_probabilities():
    config = ComparisonConfig(
        n_items=80, n_pairs=2000, gain_spread=0.4, tie_threshold=0.6, tie_spread=0.5, score_spread=2.0
    )
    crowd = simulate_comparisons(config, 2)
    threshold = crowd.tie_thresholds[crowd.annotator_index]
    p_left = 1 / (1 + np.exp(threshold - crowd.log_odds))
    p_right = 1 / (1 + np.exp(threshold + crowd.log_odds))
    for answer, probability in ((LEFT, p_left), (RIGHT, p_right), (TIE, 1 - p_left - p_right)):
        for is_low in (crowd.log_odds < 0, crowd.log_odds >= 0):
            p = probability[is_low]
            hits = (crowd.answer == answer)[is_low]
            assert abs(hits.sum() - p.sum()) < 4.5 * math.sqrt((p * (1 - p)).sum())


def test_without_a_threshold_nobody_ties():
    assert TIE not in simulate_comparisons(ComparisonConfig(), 0).answer


@pytest.mark.parametrize("n_pairs", [300, 30])  # listing all pairs; drawing and rejecting
def test_pairs_differ_and_stay_within_their_family(n_pairs):
    config = ComparisonConfig(n_items=40, n_pairs=n_pairs, length_effects=(0.0, 0.0), judgments_per_pair=2)
    crowd = simulate_comparisons(config, 0)
    assert (crowd.families[crowd.left] == crowd.families[crowd.right]).all()
    low, high = np.minimum(crowd.left, crowd.right), np.maximum(crowd.left, crowd.right)
    assert (low < high).all()
    codes = low * 40 + high
    assert len(np.unique(codes)) == n_pairs
    assert (codes.reshape(-1, 2)[:, 0] == codes.reshape(-1, 2)[:, 1]).all()
    annotators = crowd.annotator_index.reshape(-1, 2)
    assert (annotators[:, 0] != annotators[:, 1]).all()


def test_sides_are_drawn_evenly():
    crowd = simulate_comparisons(ComparisonConfig(n_pairs=1000), 0)
    n = len(crowd.left)
    assert abs((crowd.left < crowd.right).mean() - 0.5) < 4.5 * math.sqrt(0.25 / n)


def test_problems_are_shown_together():
    with pytest.raises(ConfigError) as caught:
        ComparisonConfig(n_items=4, n_pairs=7, n_annotators=2, reversed_share=0.6, guessing_share=0.6)
    text = str(caught.value)
    for words in ("n_pairs is 7, expected at most 6", "judgments_per_pair is 3", "together exceed 1"):
        assert words in text
