"""The length-controlled win rate with an L1 penalty chosen by cross-validation, beside the one without.

    minimize  sum of losses + weighted losses of the rewritings + (|a| + |b| + |c|) / C

C from a grid of ten between 1e-4 and 1e4, as AlpacaEval 2 has it. Departs from the published procedure in
the folds: of the rewritings only two sums of labels are public, so they stay whole in each fold, and folds
are told by their loss on the model's own prompts. Leaves out intervals: `length_control.py` has them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, finite_array, share_array
from accord.evaluation.length_control import MIN_PROMPTS, REWRITING_WEIGHT, Rewritings, length_feature

GRID = tuple(float(one) for one in np.logspace(-4, 4, 10))
"""Values of C that are tried; larger ones penalize less."""
FOLDS = 5
STEPS = 200
TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class PenalizedWinRate:
    """One model's win rate at equal length under the chosen penalty, in percent."""

    value: float
    penalty: float
    """The chosen C."""
    weights: tuple[float, float, float]
    """Of length, difficulty and the model."""
    losses: tuple[float, ...]
    """[C of the grid] Mean loss of the prompts left out."""


@dataclass(frozen=True, eq=False)
class _Problem:
    """Rows of the model, the rewritings' rows (weighted together), and sums of label times feature."""

    rows: FloatArray
    label: FloatArray
    extra: FloatArray
    moments: FloatArray

    def part(self, is_kept: np.ndarray) -> "_Problem":
        return _Problem(self.rows[is_kept], self.label[is_kept], self.extra, self.moments)


def control_length_penalized(
    preferences: ArrayLike,
    baseline_lengths: ArrayLike,
    model_lengths: ArrayLike,
    *,
    difficulty: ArrayLike | None = None,
    all_difficulty: ArrayLike | None = None,
    rewritings: Rewritings | None = None,
    grid: tuple[float, ...] = GRID,
    folds: int = FOLDS,
    seed: int = 0,
) -> PenalizedWinRate:
    """Choose C by the loss on prompts left out, then fit all. Arguments as `control_length` has them.

    The smallest loss wins, of equal ones the strongest penalty. Folds are drawn from `seed`.
    """
    label = share_array(preferences, name="preferences")
    n = len(label)
    if n < max(MIN_PROMPTS, folds) or folds < 2 or not grid or min(grid) <= 0:
        raise EvaluationError(
            f"{n} judged prompts, {folds} folds and a grid of {len(grid)}; expected {MIN_PROMPTS} prompts or "
            "more, two folds or more and values of C above 0"
        )
    baseline = finite_array(baseline_lengths, name="baseline_lengths", length=n)
    model = finite_array(model_lengths, name="model_lengths", length=n)
    hard = np.zeros(n) if difficulty is None else finite_array(difficulty, name="difficulty", length=n)
    everywhere = hard if all_difficulty is None else finite_array(all_difficulty, name="all_difficulty")
    extra, moments = np.zeros((0, 3)), np.zeros(3)
    if rewritings is not None:
        zeros = np.zeros(len(rewritings.difficulty))
        extra = np.column_stack([rewritings.length_feature, rewritings.difficulty, zeros])
        moments[:2] = rewritings.length_moment, rewritings.difficulty_moment
    rows = np.column_stack([length_feature(baseline, model), hard, np.ones(n)])
    problem = _Problem(rows, label, extra, moments)
    fold = np.random.default_rng(seed).permutation(n) % folds
    losses = tuple(_left_out_loss(problem, fold, folds, one) for one in grid)
    chosen = grid[int(np.argmin(np.round(losses, 12)))]
    weights = fit_penalized(problem.rows, label, chosen, extra=extra, moments=moments)
    return PenalizedWinRate(
        value=float(100 * expit(weights[2] + weights[1] * everywhere).mean()),
        penalty=chosen,
        weights=(float(weights[0]), float(weights[1]), float(weights[2])),
        losses=losses,
    )


def fit_penalized(
    rows: FloatArray,
    label: FloatArray,
    penalty: float,
    *,
    extra: FloatArray | None = None,
    moments: FloatArray | None = None,
) -> FloatArray:
    """[feature] Weights under |w| / `penalty`: quadratic models solved by coordinates, each step halved until
    the loss falls. Exact zeros where the penalty holds a weight down."""
    size = rows.shape[1]
    more = np.zeros((0, size)) if extra is None else extra
    sums = np.zeros(size) if moments is None else moments
    pull = 1 / penalty

    def loss(weights: FloatArray) -> float:
        own, other = rows @ weights, more @ weights
        fitted = float((np.logaddexp(0, own) - label * own).sum())
        held = REWRITING_WEIGHT * float(np.logaddexp(0, other).sum() - sums @ weights)
        return fitted + held + pull * float(np.abs(weights).sum())

    weights = np.zeros(size)
    value = loss(weights)
    for _ in range(STEPS):
        own, other = expit(rows @ weights), expit(more @ weights)
        gradient = rows.T @ (own - label) + REWRITING_WEIGHT * (more.T @ other - sums)
        curvature = (rows.T * (own * (1 - own))) @ rows + TINY * np.eye(size)
        curvature += REWRITING_WEIGHT * (more.T * (other * (1 - other))) @ more
        step = _solved(weights, gradient, curvature, pull) - weights
        while loss(weights + step) > value + 1e-13 * (1 + abs(value)) and np.abs(step).max() > TINY:
            step = step / 2
        weights = weights + step
        value = loss(weights)
        if np.abs(step).max() < TINY:
            break
    return weights


def _solved(weights: FloatArray, gradient: FloatArray, curvature: FloatArray, pull: float) -> FloatArray:
    """Minimum of the quadratic model with the penalty, one coordinate after the other."""
    found = weights.copy()
    for _ in range(1000):
        before = found.copy()
        for k in range(len(found)):
            slope = gradient[k] + curvature[k] @ (found - weights) - curvature[k, k] * found[k]
            found[k] = -np.sign(slope) * max(abs(slope) - pull, 0.0) / curvature[k, k]
        if np.abs(found - before).max() < TINY / 10:
            break
    return found


def _left_out_loss(problem: _Problem, fold: np.ndarray, folds: int, penalty: float) -> float:
    total = 0.0
    for one in range(folds):
        part = problem.part(fold != one)
        weights = fit_penalized(part.rows, part.label, penalty, extra=part.extra, moments=part.moments)
        score = problem.rows[fold == one] @ weights
        total += float((np.logaddexp(0, score) - problem.label[fold == one] * score).sum())
    return total / len(problem.label)
