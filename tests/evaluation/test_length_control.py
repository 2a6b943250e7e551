"""The fit against finite differences and a known truth, degenerate input, the coverage of its interval."""

import numpy as np
import pytest
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.length_control import (
    Rewritings,
    control_length,
    length_feature,
    rewritings_of,
)


def simulated(n: int, seed: int, *, a: float = -1.5, b: float = 0.6, c: float = -0.4):
    generator = np.random.default_rng(seed)
    baseline = generator.uniform(500, 3000, n)
    model = generator.uniform(500, 3000, n)
    difficulty = generator.normal(size=n)
    chance = expit(a * length_feature(baseline, model) + b * difficulty + c)
    return (generator.random(n) < chance).astype(float), baseline, model, difficulty, chance


def test_length_feature_by_hand():
    # differences 1, 0, -1 have the standard deviation 1 with n - 1
    feature = length_feature(np.array([3.0, 2.0, 1.0]), np.array([2.0, 2.0, 2.0]))
    assert feature == pytest.approx([np.tanh(1), 0, -np.tanh(1)])
    assert length_feature(np.array([5.0, 5.0]), np.array([3.0, 3.0])).tolist() == [0, 0]


def test_without_length_and_difficulty_it_is_the_raw_win_rate():
    label = np.array([1.0, 0.0, 0.25, 0.75] * 10)
    result = control_length(label, np.full(40, 9.0), np.full(40, 7.0), resamples=0)
    assert result.controlled.value == pytest.approx(50, abs=1e-6)
    assert result.raw.value == 50
    assert not result.controlled.has_interval
    # sd of the four values with n - 1 over 40 rows: sum of squares 10 * 2 * (.25 + .0625) / 39
    assert result.raw_standard_error == pytest.approx(100 * np.sqrt(6.25 / 39 / 40))


def test_true_weights_are_recovered_from_probabilities():
    _, baseline, model, difficulty, chance = simulated(400, 1)
    result = control_length(chance, baseline, model, difficulty=difficulty, resamples=0)
    found = (result.length_weight, result.difficulty_weight, result.model_weight)
    assert found == pytest.approx((-1.5, 0.6, -0.4), abs=1e-4)
    assert result.controlled.value == pytest.approx(100 * expit(0.6 * difficulty - 0.4).mean(), abs=1e-3)


def test_the_optimum_has_no_slope_with_rewritings():
    label, baseline, model, difficulty, _ = simulated(60, 2)
    held = rewritings_of(baseline, [baseline * 1.5, baseline * 0.4], difficulty, moments=(-5.0, 3.0))
    result = control_length(label, baseline, model, difficulty=difficulty, rewritings=held, resamples=0)
    best = np.array([result.length_weight, result.difficulty_weight, result.model_weight])
    rows = np.column_stack([length_feature(baseline, model), difficulty, np.ones(60)])

    def loss(weights: np.ndarray) -> float:
        own = rows @ weights
        other = held.length_feature * weights[0] + held.difficulty * weights[1]
        fitted = (np.logaddexp(0, own) - label * own).sum()
        return fitted + 0.1 * (np.logaddexp(0, other).sum() + 5.0 * weights[0] - 3.0 * weights[1])

    for k in range(3):
        step = 1e-4 * np.eye(3)[k]
        assert (loss(best + step) - loss(best - step)) / 2e-4 == pytest.approx(0, abs=1e-4)


def test_rows_in_another_order_change_nothing():
    label, baseline, model, difficulty, _ = simulated(80, 3)
    order = np.random.default_rng(0).permutation(80)
    values = [
        control_length(
            label[rows], baseline[rows], model[rows], difficulty=difficulty[rows], resamples=0
        ).controlled.value
        for rows in (np.arange(80), order)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-9)


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_who_wins_or_loses_all_gets_a_finite_answer(won: float):
    _, baseline, model, difficulty, _ = simulated(50, 4)
    result = control_length(np.full(50, won), baseline, model, difficulty=difficulty, resamples=10)
    assert result.controlled.value == pytest.approx(100 * won, abs=0.1)


def test_what_does_not_fit_is_refused():
    label, baseline, model, _, _ = simulated(30, 5)
    with pytest.raises(EvaluationError, match="19 judged prompts; a length-controlled win rate needs 20"):
        control_length(label[:19], baseline[:19], model[:19])
    with pytest.raises(EvaluationError, match="model_lengths"):
        control_length(label, baseline, model[:-1])
    with pytest.raises(EvaluationError, match="preferences"):
        control_length(label + 1, baseline, model)


def test_constant_output_and_distance_are_flagged():
    label, baseline, _, _, _ = simulated(100, 6)
    flags = control_length(label, baseline, np.full(100, 12.0), resamples=0).flags
    assert any("constant output" in flag for flag in flags)
    assert any("no rewritings" in flag for flag in flags)
    empty = Rewritings(
        length_feature=np.zeros(1), difficulty=np.zeros(1), length_moment=0, difficulty_moment=0
    )
    assert not any(
        "no rewritings" in flag
        for flag in control_length(label, baseline, baseline + 1, rewritings=empty, resamples=0).flags
    )


@pytest.mark.slow
def test_the_interval_covers_what_it_estimates():
    hits = 0
    for seed in range(200):
        label, baseline, model, difficulty, _ = simulated(300, 100 + seed)
        result = control_length(
            label, baseline, model, difficulty=difficulty, resamples=200, seed=seed
        ).controlled
        truth = 100 * expit(0.6 * np.random.default_rng(0).normal(size=100_000) - 0.4).mean()
        hits += result.low <= truth <= result.high
    # 200 trials at .95 have a standard deviation of .015; 200 resamples widen no tail by more than .01
    assert hits / 200 >= 0.90
