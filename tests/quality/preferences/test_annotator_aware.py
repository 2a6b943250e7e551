from dataclasses import replace

import numpy as np
import pytest

from accord.domain import ConfigError, DataError
from accord.quality.preferences.annotator_aware import AnnotatorAwareConfig, fit_annotator_aware
from accord.quality.preferences.annotator_prediction import (
    outcome_log_loss,
    predict_outcomes,
    preference_probabilities,
)
from accord.quality.preferences.fisher_scoring import ScoringConfig
from accord.quality.preferences.scored_pairs import tabulate_pairs
from accord.quality.simulation.comparisons import ComparisonConfig, simulate_comparisons

CROWD = ComparisonConfig(
    n_items=24,
    n_annotators=20,
    n_pairs=250,
    judgments_per_pair=4,
    gain_spread=0.4,
    reversed_share=0.1,
    tie_threshold=0.5,
    tie_spread=0.4,
    position_effect=0.2,
    position_spread=0.4,
)


def tabulate(crowd, *, with_length=False):
    longer = crowd.log_lengths[crowd.left] - crowd.log_lengths[crowd.right]
    return tabulate_pairs(
        crowd.left,
        crowd.right,
        crowd.answer,
        crowd.annotator_index,
        family=crowd.families[crowd.left].tolist() if with_length else None,
        covariates={"log_length": longer.tolist()} if with_length else None,
    )


def rows(*answers):
    """Rows (left, right, answer, annotator)."""
    return tabulate_pairs(*zip(*answers, strict=True))


def is_within(estimates, truth):
    return [one.low <= known <= one.high for one, known in zip(estimates, truth, strict=True)]


def test_known_habits_and_scores_are_recovered_and_intervals_cover():
    covered = {"gain": [], "left_habit": [], "tie_threshold": [], "score": []}
    for seed in range(20):
        crowd = simulate_comparisons(replace(CROWD, reversed_share=0, gain_spread=0.3), seed)
        pairs = tabulate(crowd)
        fit = fit_annotator_aware(pairs)
        assert fit.is_converged
        # the fit's scale is a mean gain of 1 over judgments
        scale = crowd.gains[pairs.annotator].mean()
        truth = {
            "gain": crowd.gains / scale,
            "left_habit": crowd.positions,
            "tie_threshold": crowd.tie_thresholds,
        }
        for name, known in truth.items():
            covered[name] += is_within([getattr(one, name) for one in fit.annotators], known)
        known = crowd.scores * scale
        covered["score"] += ((fit.scores_low <= known) & (known <= fit.scores_high)).tolist()
        assert np.corrcoef(fit.scores, crowd.scores)[0, 1] > 0.9
    # 400 or 480 intervals each, at spreads that were estimated and not known
    for name, hits in covered.items():
        assert 0.915 <= np.mean(hits) <= 0.975, name


def test_a_reversed_annotator_has_a_gain_below_zero():
    crowd = simulate_comparisons(CROWD, 3)
    fit = fit_annotator_aware(tabulate(crowd))
    high = np.array([one.gain.high for one in fit.annotators])
    assert (high[crowd.gains < 0] < 0).all()
    assert (np.array([one.gain.value for one in fit.annotators])[crowd.gains > 0.5] > 0).all()


def test_length_effects_are_told_apart_by_prompt_family():
    config = ComparisonConfig(
        n_items=200,
        n_annotators=10,
        n_pairs=1600,
        judgments_per_pair=3,
        length_effects=(-0.3, 1.0),
        length_spread=1.0,
    )
    crowd = simulate_comparisons(config, 0)
    fit = fit_annotator_aware(tabulate(crowd, with_length=True))
    short, long = fit.family_covariate_effects["log_length"]
    assert short.high < long.low
    # length and score of an answer are told apart by the prior of scores alone
    assert short.low <= -0.3 <= short.high
    assert long.low <= 1.0 <= long.high


def test_it_predicts_held_out_answers_better_than_without_habits():
    crowd = simulate_comparisons(CROWD, 7)
    pairs = tabulate(crowd)
    test = crowd.pair_index % 5 == 0
    plain = AnnotatorAwareConfig(gain_spread=0, position_spread=0, tie_spread=0)
    loss = {
        name: outcome_log_loss(
            predict_outcomes(fit_annotator_aware(pairs.select(~test), config), pairs.select(test)),
            pairs.outcome[test],
        )
        for name, config in (("aware", AnnotatorAwareConfig()), ("plain", plain))
    }
    assert loss["aware"] < loss["plain"] - 0.03


def test_neither_row_order_nor_names_matter_and_exchanged_sides_exchange_the_habit():
    crowd = simulate_comparisons(CROWD, 1)
    pairs = tabulate(crowd)
    fit = fit_annotator_aware(pairs)
    shuffled = fit_annotator_aware(pairs.select(np.random.default_rng(0).permutation(len(pairs))))
    mirrored = fit_annotator_aware(pairs.mirrored())
    renamed = fit_annotator_aware(
        tabulate_pairs(99 - crowd.left, 99 - crowd.right, crowd.answer, 99 - crowd.annotator_index)
    )
    assert shuffled.scores == pytest.approx(fit.scores, abs=1e-5)
    assert mirrored.scores == pytest.approx(fit.scores, abs=1e-5)
    assert renamed.scores == pytest.approx(fit.scores[::-1], abs=1e-5)
    assert mirrored.position_effect.value == pytest.approx(-fit.position_effect.value, abs=1e-5)
    for one, other, third in zip(
        fit.annotators, mirrored.annotators, reversed(renamed.annotators), strict=True
    ):
        assert other.left_habit.value == pytest.approx(-one.left_habit.value, abs=1e-5)
        assert other.gain.value == pytest.approx(one.gain.value, abs=1e-5)
        assert third.gain.value == pytest.approx(one.gain.value, abs=1e-5)


def test_the_objective_never_rises_and_scale_and_origin_are_fixed():
    crowd = simulate_comparisons(CROWD, 2)
    pairs = tabulate(crowd)
    fit = fit_annotator_aware(pairs, AnnotatorAwareConfig(max_rounds=0))
    assert len(fit.objectives) > 3
    assert (np.diff(fit.objectives) < 0).all()
    gains = np.array([one.gain.value for one in fit.annotators])
    assert gains[pairs.annotator].mean() == pytest.approx(1.0, abs=1e-9)
    assert fit.scores.sum() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "answers",
    [
        [("a", "b", "left", "w")],
        [("a", "b", "tie", "w")],
        [("a", "b", "tie", "w"), ("b", "c", "tie", "v"), ("a", "c", "tie", "w")],
        [("a", "b", "left", "w"), ("a", "b", "left", "v"), ("a", "b", "left", "u")],
        [("a", "b", "left", "w"), ("c", "d", "right", "v"), ("b", "a", "tie", "v")],
        [("a", "b", "left", "w"), ("b", "a", "right", "w"), ("a", "b", "right", "v")],
    ],
    ids=["one row", "one tie", "all ties", "one class", "disconnected", "an annotator with one judgment"],
)
def test_degenerate_input_gives_finite_numbers(answers):
    pairs = rows(*answers)
    fit = fit_annotator_aware(pairs)
    assert np.isfinite(fit.scores).all()
    assert np.isfinite(fit.scores_low).all()
    for one in fit.annotators:
        for estimate in (one.gain, one.tie_threshold, one.left_habit):
            assert estimate.low <= estimate.value <= estimate.high
            assert np.isfinite([estimate.low, estimate.value, estimate.high]).all()
    predicted = predict_outcomes(fit, pairs)
    assert predicted.sum(axis=1) == pytest.approx(np.ones(len(pairs)), abs=1e-6)


def test_unknown_items_and_annotators_are_predicted_from_the_priors():
    fit = fit_annotator_aware(tabulate(simulate_comparisons(CROWD, 4)))
    unknown = rows((-1, -2, "left", -1), (-2, -1, "left", -2))
    assert preference_probabilities(fit, unknown) == pytest.approx([0.5, 0.5])
    predicted = predict_outcomes(fit, unknown)
    assert predicted[0] == pytest.approx(predicted[1])
    # nothing but the crowd's habit of side is known of them
    assert predicted[0, 0] > predicted[0, 1]
    assert predict_outcomes(fit, unknown.select(np.zeros(0, dtype=int))).shape == (0, 3)


def test_above_the_exact_limit_scores_come_without_intervals_and_with_a_reason():
    pairs = tabulate(simulate_comparisons(CROWD, 5))
    fixed = {"score_spread": 1.0, "gain_spread": 0.5, "position_spread": 0.4, "tie_spread": 0.4}
    exact = fit_annotator_aware(pairs, AnnotatorAwareConfig(**fixed))
    large = fit_annotator_aware(pairs, AnnotatorAwareConfig(**fixed, scoring=ScoringConfig(exact_limit=10)))
    assert large.scores_low is None
    assert large.annotators[0].gain.low is None
    assert "exceed exact_limit 10: no intervals" in large.reason
    assert large.scores == pytest.approx(exact.scores, abs=0.02)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match=r"(?s)gain_spread is -1.*score_spread is 0, expected a positive"):
        AnnotatorAwareConfig(score_spread=0, gain_spread=-1)
    pairs = rows(("a", "b", "left", "w"))
    with pytest.raises(DataError, match="no comparisons to fit; expected at least one"):
        fit_annotator_aware(pairs.select(np.zeros(0, dtype=int)))
    fit = fit_annotator_aware(pairs)
    measured = tabulate_pairs(["a"], ["b"], ["tie"], covariates={"length": [1.0]})
    with pytest.raises(DataError, match=r"the covariates are \('length',\), expected \(\) as in the fit"):
        predict_outcomes(fit, measured)
