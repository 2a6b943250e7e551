"""Effects by annotator: shrunk as much as they should be, and covered."""

import numpy as np
import pytest

from accord.domain import DataError
from accord.quality.bias import fit_effects, fit_varying_effect
from accord.quality.judgments import LEFT, RIGHT, TIE


def simulate(seed, *, spread, n_annotators=40, n_votes=40, position=0.2):
    rng = np.random.default_rng(seed)
    habits = position + spread * rng.normal(size=n_annotators)
    annotator = np.repeat(np.arange(n_annotators), n_votes)
    difference = rng.normal(size=len(annotator))
    latent = habits[annotator] + 0.5 * difference + rng.logistic(size=len(annotator))
    answer = np.where(latent > 0.5, LEFT, np.where(latent < -0.5, RIGHT, TIE))
    return answer, difference, annotator, habits


def fit_position(seed, **settings):
    answer, difference, annotator, habits = simulate(seed, **settings)
    fit = fit_effects(answer, {"length": difference}, clusters=range(len(answer)))
    return fit_varying_effect(fit, "position", [f"w{i:03}" for i in annotator]), habits


def test_spread_and_habits_are_found():
    found, habits = fit_position(0, spread=0.8)
    assert found.spread == pytest.approx(habits.std(), rel=0.2)
    assert found.p_value < 1e-10
    estimates = np.array([one.estimate for one in found.groups])
    # 40 votes measure a habit with error .3, so the reliability is .64 / (.64 + .09) and its root .94
    assert np.corrcoef(estimates, habits)[0, 1] > 0.87
    assert [one.group for one in found.groups] == [f"w{i:03}" for i in range(40)]
    assert {one.n_judgments for one in found.groups} == {40}


def test_equal_annotators_are_drawn_together():
    found, _ = fit_position(1, spread=0.0)
    estimates = np.array([one.estimate for one in found.groups])
    # 40 votes alone have a standard error of .3; shrunk, they hardly differ
    assert estimates.std() < 0.12


def test_test_of_equal_effects_keeps_its_level():
    # three binomial standard errors of 200 runs at .05 are .046; the boundary makes the test conservative
    found = [
        fit_position(seed, spread=0.0, n_annotators=20, n_votes=20)[0].p_value < 0.05 for seed in range(200)
    ]
    assert np.mean(found) <= 0.05 + 0.046


def test_intervals_cover_on_average_over_annotators():
    hits = []
    for seed in range(30):
        found, habits = fit_position(seed, spread=0.7)
        hits += [one.low <= habit <= one.high for one, habit in zip(found.groups, habits, strict=True)]
    # 1200 habits in 30 fits: three binomial standard errors are .019, and the spread is taken as known
    assert np.mean(hits) == pytest.approx(0.95, abs=0.029)


def test_an_annotator_who_always_answers_left_has_a_finite_effect():
    answer, difference, annotator, _ = simulate(3, spread=0.5)
    answer[annotator == 0] = LEFT
    fit = fit_effects(answer, {"length": difference}, clusters=range(len(answer)))
    found = fit_varying_effect(fit, "position", annotator.tolist())
    first = next(one for one in found.groups if one.group == 0)
    assert first.estimate == max(one.estimate for one in found.groups)
    assert 1 < first.estimate < 8


def test_one_group_does_not_vary():
    answer, difference, _, _ = simulate(4, spread=0.0)
    fit = fit_effects(answer, {"length": difference}, clusters=range(len(answer)))
    found = fit_varying_effect(fit, "length", ["all"] * len(answer))
    assert (found.spread, found.p_value) == (0.0, 1.0)
    assert found.groups[0].estimate == pytest.approx(fit["length"].estimate)


def test_an_effect_without_estimate_cannot_vary():
    fit = fit_effects(np.full(3, LEFT), {}, clusters=range(3))
    with pytest.raises(DataError, match="could not be estimated"):
        fit_varying_effect(fit, "position", ["a", "b", "c"])
    fit = fit_effects(np.array([LEFT, RIGHT, LEFT]), {}, clusters=range(3))
    with pytest.raises(DataError, match="2 groups for the judgments"):
        fit_varying_effect(fit, "position", ["a", "b"])
