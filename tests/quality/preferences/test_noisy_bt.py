import numpy as np
import pytest
from scipy.special import expit

from accord.domain import DataError
from accord.quality.preferences.fisher_scoring import LatentProblem
from accord.quality.preferences.noisy_bt import (
    NoisyBradleyTerryConfig,
    fit_noisy_bradley_terry,
    noisy_bt_problem,
)
from accord.quality.preferences.scored_pairs import tabulate_pairs

SKILL = np.array([3.0, 2.5, 2.0, 1.0, 0.0, -2.0])
BIAS = np.array([0.0, 1.0, -1.0, 1.5, -1.5, 2.0])
SCORES = np.linspace(-2, 2, 12)


def draw(seed, n_rows=3000):
    generator = np.random.default_rng(seed)
    sides = np.array([generator.permutation(len(SCORES))[:2] for _ in range(n_rows)])
    judge = np.arange(n_rows) % len(SKILL)
    better = expit(SCORES[sides[:, 0]] - SCORES[sides[:, 1]])
    compares = expit(SKILL[judge])
    left = compares * better + (1 - compares) * expit(BIAS[judge])
    return tabulate_pairs(sides[:, 0], sides[:, 1], (generator.random(n_rows) >= left).astype(int), judge)


def test_the_gradient_of_the_objective_is_that_of_finite_differences_for_every_parameter():
    pairs = draw(0, n_rows=60)
    problem = noisy_bt_problem(pairs, NoisyBradleyTerryConfig())
    assert isinstance(problem, LatentProblem)
    point = np.random.default_rng(1).normal(size=len(SCORES) + 2 * len(SKILL))

    def objective(point):
        return problem.objective(problem.terms(*problem.unpack(point)), *problem.unpack(point))

    gradient = problem.gradient(problem.terms(*problem.unpack(point)), point)
    for k in range(len(point)):
        step = np.zeros(len(point))
        step[k] = 1e-6
        difference = (objective(point + step) - objective(point - step)) / 2e-6
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_known_skills_and_habits_are_recovered():
    compares, bias = [], []
    for seed in range(15):
        fit = fit_noisy_bradley_terry(draw(seed))
        compares.append(fit.p_compares)
        bias.append(fit.bias)
        assert np.corrcoef(fit.scores.scores, SCORES)[0, 1] > 0.97
    assert np.mean(compares, axis=0) == pytest.approx(expit(SKILL), abs=0.09)
    # the habit shows only where the annotator does not compare: the last two show it most
    assert np.mean(bias, axis=0)[4:] == pytest.approx(BIAS[4:], abs=0.5)
    assert fit.skill_error.min() > 0


def test_row_order_does_not_matter_and_exchanged_sides_exchange_the_habit():
    pairs = draw(2, n_rows=600)
    fit = fit_noisy_bradley_terry(pairs)
    shuffled = fit_noisy_bradley_terry(pairs.select(np.random.default_rng(0).permutation(len(pairs))))
    mirrored = fit_noisy_bradley_terry(pairs.mirrored())
    assert shuffled.skill == pytest.approx(fit.skill, abs=1e-3)
    assert shuffled.bias == pytest.approx(fit.bias, abs=1e-3)
    assert mirrored.scores.scores == pytest.approx(fit.scores.scores, abs=1e-3)
    assert mirrored.bias == pytest.approx(-fit.bias, abs=1e-3)
    assert (np.diff(fit.objectives) < 0).all()
    assert fit.is_converged


@pytest.mark.parametrize("outcome", ["left", "tie"])
def test_one_judgment_gives_finite_numbers(outcome):
    fit = fit_noisy_bradley_terry(tabulate_pairs(["a"], ["b"], [outcome]))
    assert np.isfinite([fit.scores.low, fit.scores.high]).all()
    assert np.isfinite([fit.skill, fit.bias, fit.skill_error, fit.bias_error]).all()
    assert (fit.scores.scores[0] > fit.scores.scores[1]) == (outcome == "left")


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no comparisons to fit; expected at least one"):
        fit_noisy_bradley_terry(draw(0).select(np.zeros(0, dtype=int)))
