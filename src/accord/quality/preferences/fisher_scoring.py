"""The one optimizer of the latent preference models: Fisher scoring that knows who shares what.

A model has shared parameters (scores, thresholds, covariates) and a few local ones for each
annotator. Every row has predictors: the first are linear in the shared parameters, the others
are the local parameters of the row's annotator. A likelihood turns predictors into terms.

    minimize  - sum_row weight * log p(row) + 1/2 sum precision * (parameter - mean)^2

The information matrix has the shape of an arrow: annotators touch each other only through what is
shared, so their blocks are eliminated one by one and what remains to be solved is as large as
the shared parameters. Where even that is too large, the step comes from conjugate gradients
and no covariance is given. Which likelihoods there are stands in their own modules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from accord.domain import EvaluationError

MAX_STEP = 4.0
"""No parameter moves farther in one step: far from the optimum the quadratic model is not to be trusted."""
SMALLEST_STEP = 2.0**-30
"""Halvings of a step end here; a smaller one cannot be told from rounding."""
CG_TOLERANCE = 1e-4
"""Relative residual of an inexact step; the line search makes up for the rest."""
CG_ITERATIONS = 200
"""Of one inexact step, at most; a step that is not exact still points down."""


@dataclass(frozen=True, eq=False)
class Terms:
    """What a likelihood says of every row."""

    log_likelihood: NDArray[np.float64]
    """[row]"""
    gradient: NDArray[np.float64]
    """[predictor, row] Of the log-likelihood."""
    root: Callable[[], NDArray[np.float64]]
    """[rank, predictor, row] Expected information of a row = sum over rank of root * root'; made when asked
    for, for most points are only looked at."""


Likelihood = Callable[[NDArray[np.float64]], Terms]
"""Predictors [predictor, row] to terms."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LatentProblem:
    """Data, likelihood and Gaussian priors."""

    design: csr_array
    """[row * shared predictors, shared] Predictor k of row i is line k * rows + i times the shared vector."""
    n_rows: int
    annotator: NDArray[np.intp]
    """[row]"""
    n_annotators: int
    n_local: int
    """Local parameters of each annotator; they are the last predictors."""
    likelihood: Likelihood
    shared_precision: NDArray[np.float64]
    """[shared] Of a prior around 0; 0 is none."""
    local_precision: NDArray[np.float64]
    """[local]"""
    local_mean: NDArray[np.float64]
    """[local]"""
    weights: NDArray[np.float64] | None = None
    """[row] How often each row counts; 1 without."""
    held_local: int | None = None
    """The local parameter whose mean over rows stays what it is at the start, where the data cannot
    tell that mean from the scale of what is shared. Over rows and not over annotators: otherwise the
    prior on the shared part could be had cheaper by raising the annotators of many rows alone."""

    @property
    def n_shared(self) -> int:
        """How many shared parameters there are."""
        return int(self.design.shape[1])

    def predictors(self, shared: NDArray[np.float64], local: NDArray[np.float64]) -> NDArray[np.float64]:
        """[predictor, row]"""
        linear = (self.design @ shared).reshape(-1, self.n_rows)
        predictors = np.empty((len(linear) + self.n_local, self.n_rows))
        predictors[: len(linear)] = linear
        for k in range(self.n_local):
            np.take(np.ascontiguousarray(local[:, k]), self.annotator, out=predictors[len(linear) + k])
        return predictors

    def terms(self, shared: NDArray[np.float64], local: NDArray[np.float64]) -> Terms:
        """The likelihood's terms, each weighted."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            terms = self.likelihood(self.predictors(shared, local))
        if self.weights is None:
            return terms
        root = np.sqrt(self.weights)
        return Terms(
            self.weights * terms.log_likelihood, self.weights * terms.gradient, lambda: root * terms.root()
        )

    def objective(self, terms: Terms, shared: NDArray[np.float64], local: NDArray[np.float64]) -> float:
        """Negative log posterior up to a constant; infinite where a probability is no number."""
        penalty = (
            self.shared_precision @ shared**2 + (self.local_precision * (local - self.local_mean) ** 2).sum()
        )
        value = 0.5 * penalty - terms.log_likelihood.sum()
        return float(value) if np.isfinite(value) else np.inf

    def pack(self, shared: NDArray[np.float64], local: NDArray[np.float64]) -> NDArray[np.float64]:
        """[shared + annotator * local] Both as one vector."""
        return np.concatenate([shared, local.ravel()])

    def unpack(self, point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[shared] and [annotator, local]"""
        return point[: self.n_shared], point[self.n_shared :].reshape(self.n_annotators, self.n_local)

    def gradient(self, terms: Terms, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient of the objective, packed."""
        shared, local = self.unpack(point)
        n_linear = len(terms.gradient) - self.n_local
        on_shared = self.shared_precision * shared - self.design.T @ terms.gradient[:n_linear].ravel()
        on_local = self.local_precision * (local - self.local_mean)
        for k in range(self.n_local):
            on_local[:, k] -= np.bincount(self.annotator, terms.gradient[n_linear + k], self.n_annotators)
        return self.pack(on_shared, on_local)


@dataclass(frozen=True, eq=False, kw_only=True)
class LatentFit:
    """The mode and the Laplace approximation around it."""

    shared: NDArray[np.float64]
    """[shared]"""
    local: NDArray[np.float64]
    """[annotator, local]"""
    objectives: tuple[float, ...]
    """Negative log posterior at the start and after each step; never rises."""
    log_likelihood: float
    is_converged: bool
    shared_covariance: NDArray[np.float64] | None
    """[shared, shared] None where there are more shared parameters than `exact_limit`."""
    local_covariance: NDArray[np.float64] | None
    """[annotator, local, local]"""
    cross_covariance: NDArray[np.float64] | None
    """[asked, annotator, local] Of the shared parameters asked for with the local ones."""


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """When to stop, and up to which size to be exact."""

    max_iterations: int = 500
    """Steps at most."""
    tolerance: float = 1e-12
    """Stop when a step promises to lower the objective by less than this for each row."""
    refresh_every: int = 6
    """Steps between two computations of the information; the secants of the steps bridge them."""
    memory: int = 12
    """Secants kept."""
    exact_limit: int = 1500
    """Shared parameters up to which the information is solved exactly and covariances are given."""


def fit_latent(
    problem: LatentProblem,
    shared: NDArray[np.float64],
    local: NDArray[np.float64],
    config: ScoringConfig | None = None,
    *,
    with_covariance: bool = True,
    crossed: Sequence[int] = (),
) -> LatentFit:
    """Quasi-Newton steps on top of Fisher scoring, from (shared, local) to the mode; deterministic.

    The expected information starts the L-BFGS recursion (Nocedal 1980) in place of a multiple of the
    identity: on a concave likelihood the first step is already nearly right, and where gains multiply
    scores the secants learn the curvature that the expected information leaves out. O(rows) an
    iteration besides the solve. Raises where the start has probability 0.
    """
    config = config or ScoringConfig()
    is_exact = problem.n_shared <= config.exact_limit
    pattern = _Pattern(problem)
    terms = problem.terms(shared, local)
    objectives = [problem.objective(terms, shared, local)]
    if not np.isfinite(objectives[0]):
        raise EvaluationError("the start of a preference model has probability 0; check scores and priors")
    point = problem.pack(shared, local)
    gradient = problem.gradient(terms, point)
    secants: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    information: _Information | None = None
    age, is_converged = 0, False
    for _ in range(config.max_iterations):
        if information is None or age >= config.refresh_every:
            information, age = _Information(problem, pattern, terms, is_exact=is_exact), 0
        step = _recursion(information.solve, gradient, secants)
        slope = float(gradient @ step)
        if slope <= config.tolerance * problem.n_rows:
            is_converged = slope >= 0
            break
        moved = _shortened(problem, point, step, slope, objectives[-1])
        if moved is None:
            if age == 0 and not secants:
                is_converged = slope <= 1e3 * config.tolerance * problem.n_rows
                break
            information, secants = None, []
            continue
        there, terms, objective = moved
        gradient_there = problem.gradient(terms, there)
        secants = [*secants, (there - point, gradient_there - gradient)][-config.memory :]
        secants = [pair for pair in secants if pair[0] @ pair[1] > 0]
        point, gradient, age = there, gradient_there, age + 1
        objectives.append(objective)
    shared, local = problem.unpack(point)
    covariance: tuple[NDArray[np.float64] | None, ...] = (None, None, None)
    if with_covariance and is_exact:
        covariance = _Information(problem, pattern, terms, is_exact=True).covariance(crossed)
    return LatentFit(
        shared=shared,
        local=local,
        objectives=tuple(objectives),
        log_likelihood=float(terms.log_likelihood.sum()),
        is_converged=is_converged,
        shared_covariance=covariance[0],
        local_covariance=covariance[1],
        cross_covariance=covariance[2],
    )


def _recursion(
    solve: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    gradient: NDArray[np.float64],
    secants: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """The two loops of L-BFGS around `solve`."""
    direction, shares = gradient.copy(), []
    for moved, changed in reversed(secants):
        shares.append(moved @ direction / (moved @ changed))
        direction -= shares[-1] * changed
    direction = solve(direction)
    for (moved, changed), share in zip(secants, reversed(shares), strict=True):
        direction += (share - changed @ direction / (moved @ changed)) * moved
    return direction


def _shortened(
    problem: LatentProblem,
    point: NDArray[np.float64],
    step: NDArray[np.float64],
    slope: float,
    objective: float,
) -> tuple[NDArray[np.float64], Terms, float] | None:
    """The first of the step's halvings that lowers the objective enough, or None."""
    length = min(1.0, MAX_STEP / max(np.abs(step).max(), MAX_STEP * SMALLEST_STEP))
    while length >= SMALLEST_STEP:
        there = point - length * step
        terms = problem.terms(*problem.unpack(there))
        reached = problem.objective(terms, *problem.unpack(there))
        if reached < objective - 1e-4 * length * slope:
            return there, terms, reached
        length /= 2
    return None


class _Pattern:
    """Where the entries of the root of the information stand, sorted once."""

    def __init__(self, problem: LatentProblem):
        design, n_rows = problem.design, problem.n_rows
        line = np.repeat(np.arange(design.shape[0]), np.diff(design.indptr))
        self.n_linear = design.shape[0] // n_rows
        predictor = [line // n_rows, *(np.full(n_rows, self.n_linear + k) for k in range(problem.n_local))]
        row = [line % n_rows, *(np.arange(n_rows) for _ in range(problem.n_local))]
        first = problem.n_shared + problem.annotator * problem.n_local
        column = [design.indices, *(first + k for k in range(problem.n_local))]
        value = [design.data, np.ones(n_rows * problem.n_local)]
        order = np.argsort(np.concatenate(row), kind="stable")
        self.row = np.concatenate(row)[order]
        self.predictor = np.concatenate(predictor)[order]
        self.column = np.concatenate(column)[order].astype(np.int32)
        self.value = np.concatenate(value)[order]
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(self.row, minlength=n_rows))])
        self.shape = (n_rows, problem.n_shared + problem.n_annotators * problem.n_local)

    def fill(self, root: NDArray[np.float64]) -> csr_array:
        """[rank * row, shared + annotator * local] Its square is the information without the priors."""
        values = [self.value * part[self.predictor, self.row] for part in root]
        starts = [self.starts[:-1] + k * len(self.value) for k in range(len(root))]
        return csr_array(
            (
                np.concatenate(values),
                np.tile(self.column, len(root)),
                np.concatenate([*starts, [len(root) * len(self.value)]]).astype(np.int32),
            ),
            shape=(len(root) * self.shape[0], self.shape[1]),
        )


class _Information:
    """The expected information plus the priors' precision, as [[G, C], [C', A]] with A in blocks."""

    def __init__(self, problem: LatentProblem, pattern: _Pattern, terms: Terms, *, is_exact: bool):
        self.problem = problem
        root = terms.root()
        self.tall = pattern.fill(root)
        n_local, n_annotators = problem.n_local, problem.n_annotators
        blocks = np.zeros((n_annotators, n_local, n_local))
        own = root[:, pattern.n_linear :]
        for i in range(n_local):
            for j in range(i + 1):
                cell = np.bincount(problem.annotator, (own[:, i] * own[:, j]).sum(axis=0), n_annotators)
                blocks[:, i, j] = blocks[:, j, i] = cell
        self.inverse_blocks = np.linalg.inv(blocks + np.diag(problem.local_precision))
        if is_exact:
            self.factor, self.coupled = self._eliminated()
        self.free_solve = self._exact if is_exact else self._conjugate
        self.along: NDArray[np.float64] | None = None
        if problem.held_local is not None:
            self.direction = self._held_direction(problem.held_local)
            self.along = self.free_solve(self.direction)
            self.total = self.direction @ self.along

    def solve(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The step: information^-1 gradient, with the mean of the held local parameter kept."""
        step = self.free_solve(gradient)
        if self.along is None:
            return step
        return np.asarray(step - (self.direction @ step) / self.total * self.along)

    def covariance(self, crossed: Sequence[int]) -> tuple[NDArray[np.float64], ...]:
        """The inverse: all of the shared part, each annotator's block, and some of what joins the two."""
        problem = self.problem
        shared = cho_solve(self.factor, np.eye(problem.n_shared))
        by_annotator = self.coupled.reshape(problem.n_shared, problem.n_annotators, problem.n_local)
        spread = (shared @ self.coupled).reshape(by_annotator.shape)
        local = self.inverse_blocks + np.einsum("pwa,pwb->wab", by_annotator, spread)
        cross = -spread[list(crossed)]
        if self.along is not None:
            on_shared, on_local = problem.unpack(self.along)
            shared = shared - np.outer(on_shared, on_shared) / self.total
            local = local - on_local[:, :, None] * on_local[:, None, :] / self.total
            cross = cross - np.multiply.outer(on_shared[list(crossed)], on_local) / self.total
        return shared, local, cross

    def _held_direction(self, held: int) -> NDArray[np.float64]:
        """The gradient of the held mean."""
        problem = self.problem
        on_local = np.zeros((problem.n_annotators, problem.n_local))
        rows = np.bincount(problem.annotator, problem.weights, problem.n_annotators)
        on_local[:, held] = rows / rows.sum()
        return problem.pack(np.zeros(problem.n_shared), on_local)

    def _eliminated(self) -> tuple[tuple[NDArray[np.float64], bool], NDArray[np.float64]]:
        """The factor of G - C A^-1 C', and C A^-1 as [shared, annotator * local]."""
        problem = self.problem
        n_shared = problem.n_shared
        product = (self.tall[:, :n_shared].T @ self.tall).toarray()
        shared, coupling = product[:, :n_shared], product[:, n_shared:]
        shared[np.diag_indices(n_shared)] += problem.shared_precision
        split = coupling.reshape(n_shared, problem.n_annotators, problem.n_local)
        coupled = np.einsum("pwa,wab->pwb", split, self.inverse_blocks).reshape(n_shared, -1)
        return cho_factor(shared - coupled @ coupling.T), coupled

    def _exact(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        on_shared, on_local = self.problem.unpack(vector)
        shared = cho_solve(self.factor, on_shared - self.coupled @ on_local.ravel())
        own = np.einsum("wab,wb->wa", self.inverse_blocks, on_local)
        return self.problem.pack(shared, own - (self.coupled.T @ shared).reshape(on_local.shape))

    def _conjugate(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conjugate gradients, preconditioned by the diagonal of G and the blocks of A."""
        problem = self.problem
        local_precision = np.tile(problem.local_precision, (problem.n_annotators, 1))
        precision = problem.pack(problem.shared_precision, local_precision)
        squares = np.bincount(self.tall.indices, self.tall.data**2, self.tall.shape[1])
        diagonal = (squares + precision)[: problem.n_shared]
        diagonal = np.where(diagonal > 0, diagonal, 1.0)

        def times(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(self.tall.T @ (self.tall @ vector) + precision * vector)

        def precondition(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            on_shared, on_local = problem.unpack(vector)
            return problem.pack(on_shared / diagonal, np.einsum("wab,wb->wa", self.inverse_blocks, on_local))

        size = len(vector)
        solution, _ = cg(
            LinearOperator((size, size), matvec=times),
            vector,
            rtol=CG_TOLERANCE,
            maxiter=CG_ITERATIONS,
            M=LinearOperator((size, size), matvec=precondition),
        )
        return np.asarray(solution)
