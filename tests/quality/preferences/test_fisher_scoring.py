from dataclasses import replace

import numpy as np
import pytest

from accord.domain import EvaluationError
from accord.quality.preferences.annotator_aware import aware_likelihood
from accord.quality.preferences.fisher_scoring import LatentProblem, ScoringConfig, Terms, fit_latent
from accord.quality.preferences.item_design import score_design, variances_around_mean
from accord.quality.preferences.scored_pairs import tabulate_pairs

N_ITEMS, N_ANNOTATORS = 5, 3


def problem_of(seed, *, n_rows=80, held_local=0, weights=None, pairs=None):
    """The annotator-aware likelihood with scores, a position and a threshold shared."""
    generator = np.random.default_rng(seed)
    sides = np.array([generator.permutation(N_ITEMS)[:2] for _ in range(n_rows)])
    if pairs is None:
        pairs = tabulate_pairs(
            sides[:, 0],
            sides[:, 1],
            generator.integers(0, 3, n_rows),
            np.concatenate([np.arange(N_ANNOTATORS), generator.integers(0, N_ANNOTATORS, n_rows - 3)]),
        )
    return pairs, LatentProblem(
        design=score_design(pairs, [1, 2]),
        n_rows=len(pairs),
        annotator=pairs.annotator,
        n_annotators=N_ANNOTATORS,
        n_local=3,
        likelihood=aware_likelihood(pairs.outcome),
        shared_precision=np.full(N_ITEMS + 2, 0.5),
        local_precision=np.array([4.0, 2.0, 3.0]),
        local_mean=np.array([1.0, 0.0, 0.0]),
        weights=weights,
        held_local=held_local,
    )


def start_of(problem):
    return np.zeros(problem.n_shared), np.tile(problem.local_mean, (problem.n_annotators, 1))


def dense_information(problem, fit):
    """[parameter, parameter] From the definition, row by row."""
    root = problem.terms(fit.shared, fit.local).root()
    n_linear = root.shape[1] - problem.n_local
    size = problem.n_shared + problem.n_annotators * problem.n_local
    design = problem.design.toarray().reshape(n_linear, problem.n_rows, problem.n_shared)
    total = np.diag(
        problem.pack(problem.shared_precision, np.tile(problem.local_precision, (problem.n_annotators, 1)))
    )
    for i in range(problem.n_rows):
        jacobian = np.zeros((root.shape[1], size))
        jacobian[:n_linear, : problem.n_shared] = design[:, i]
        first = problem.n_shared + problem.annotator[i] * problem.n_local
        jacobian[n_linear:, first : first + problem.n_local] = np.eye(problem.n_local)
        for part in root[:, :, i]:
            total += np.outer(part @ jacobian, part @ jacobian)
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_finite_differences(weighted):
    weights = np.random.default_rng(9).uniform(0, 3, 80) if weighted else None
    _, problem = problem_of(0, weights=weights)
    point = np.random.default_rng(1).normal(scale=0.7, size=problem.n_shared + 9)

    def objective(point):
        return problem.objective(problem.terms(*problem.unpack(point)), *problem.unpack(point))

    gradient = problem.gradient(problem.terms(*problem.unpack(point)), point)
    for k in range(len(point)):
        step = np.zeros(len(point))
        step[k] = 1e-6
        difference = (objective(point + step) - objective(point - step)) / 2e-6
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_the_mode_has_no_gradient_but_along_what_is_held_and_the_objective_never_rises():
    _, free = problem_of(2, held_local=None)
    fit = fit_latent(free, *start_of(free))
    point = free.pack(fit.shared, fit.local)
    assert free.gradient(free.terms(fit.shared, fit.local), point) == pytest.approx(
        np.zeros(len(point)), abs=1e-4
    )
    assert (np.diff(fit.objectives) < 0).all()
    assert fit.is_converged
    pairs, held = problem_of(2)
    fit = fit_latent(held, *start_of(held))
    assert fit.local[pairs.annotator, 0].mean() == pytest.approx(1.0, abs=1e-10)
    gradient = held.gradient(held.terms(fit.shared, fit.local), held.pack(fit.shared, fit.local))
    on_shared, on_local = held.unpack(gradient)
    assert on_shared == pytest.approx(np.zeros(held.n_shared), abs=1e-4)
    share = np.bincount(pairs.annotator) / len(pairs)
    # a multiple of the direction that is held
    assert on_local[:, 0] / share == pytest.approx(np.full(3, on_local[:, 0].sum()), abs=1e-3)


def test_the_covariance_is_the_inverse_of_the_dense_information():
    _, problem = problem_of(3, held_local=None)
    fit = fit_latent(problem, *start_of(problem), crossed=[0, 6])
    dense = np.linalg.inv(dense_information(problem, fit))
    size = problem.n_shared
    assert fit.shared_covariance == pytest.approx(dense[:size, :size], rel=1e-6, abs=1e-9)
    for k in range(N_ANNOTATORS):
        own = slice(size + 3 * k, size + 3 * k + 3)
        assert fit.local_covariance[k] == pytest.approx(dense[own, own], rel=1e-6, abs=1e-9)
        assert fit.cross_covariance[:, k] == pytest.approx(dense[[0, 6], own], rel=1e-6, abs=1e-9)


def test_what_is_held_has_no_variance():
    pairs, problem = problem_of(4)
    fit = fit_latent(problem, *start_of(problem))
    free = np.linalg.inv(dense_information(problem, fit))
    direction = np.zeros(len(free))
    direction[problem.n_shared :: 3] = np.bincount(pairs.annotator) / len(pairs)
    # a normal distribution given that its mean along the direction is known
    along = free @ direction
    given = free - np.outer(along, along) / (direction @ along)
    size = problem.n_shared
    assert direction @ given @ direction == pytest.approx(0.0, abs=1e-12)
    assert fit.shared_covariance == pytest.approx(given[:size, :size], rel=1e-6, abs=1e-9)
    assert fit.local_covariance[0] == pytest.approx(
        given[size : size + 3, size : size + 3], rel=1e-6, abs=1e-9
    )


def test_conjugate_gradients_reach_the_same_mode():
    _, problem = problem_of(5)
    exact = fit_latent(problem, *start_of(problem))
    large = fit_latent(problem, *start_of(problem), ScoringConfig(exact_limit=1))
    assert large.shared == pytest.approx(exact.shared, abs=1e-3)
    assert large.objectives[-1] == pytest.approx(exact.objectives[-1], rel=1e-8)
    assert large.shared_covariance is None


def test_a_weight_of_two_is_a_row_twice():
    pairs, _ = problem_of(6)
    twice = np.random.default_rng(0).integers(0, 2, len(pairs)) + 1
    _, weighted = problem_of(6, weights=twice.astype(float))
    _, repeated = problem_of(6, pairs=pairs.select(np.repeat(np.arange(len(pairs)), twice)))
    one, other = (fit_latent(problem, *start_of(problem)) for problem in (weighted, repeated))
    assert one.shared == pytest.approx(other.shared, abs=1e-4)
    assert one.local_covariance == pytest.approx(other.local_covariance, rel=1e-3, abs=1e-6)


def test_a_start_of_probability_zero_is_refused():
    _, problem = problem_of(7)

    def impossible(predictors):
        nothing = np.zeros_like(predictors)
        return Terms(np.full(predictors.shape[1], -np.inf), nothing, lambda: nothing[None])

    with pytest.raises(EvaluationError, match="start of a preference model has probability 0; check scores"):
        fit_latent(replace(problem, likelihood=impossible), *start_of(problem))


def test_variances_around_the_mean_by_hand():
    # independent with variances 1, 2, 3: var(x_i - mean) = v_i (1 - 2/3) + (1 + 2 + 3) / 9
    found = variances_around_mean(np.diag([1.0, 2.0, 3.0]))
    assert found == pytest.approx([1 / 3 + 2 / 3, 2 / 3 + 2 / 3, 1 + 2 / 3])
    # a variance that all share is that of the mean
    assert variances_around_mean(np.full((3, 3), 1e6)) == pytest.approx(np.zeros(3), abs=1e-6)
