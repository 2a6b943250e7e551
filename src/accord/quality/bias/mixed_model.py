"""Ratings as group mean + item + annotator + error, both crossed effects random, fitted by REML.

Items are absorbed, so that the work is in a matrix of annotators by annotators whatever the
number of items. Leaves out random slopes and interactions: an annotator is stricter, not differently strict.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from accord.domain import DataError

FloatArray = NDArray[np.float64]

MIN_LOG_RATIO, MAX_LOG_RATIO = -9.0, 7.0
"""Of a variance to that of error; e^-9 stands for none."""
MAX_CELLS = 1 << 27
"""Of the annotator-by-annotator matrices, one for each distinct number of ratings on an item: 1 GB."""


@dataclass(frozen=True, eq=False)
class MixedModelFit:
    """Means of the groups with their covariance, and the variances."""

    means: FloatArray
    """[group]"""
    covariance: FloatArray
    """[group, group] Of the means, variances taken as known."""
    item_variance: float
    annotator_variance: float
    error_variance: float


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the likelihood needs of the data; items of one size are absorbed alike and summed."""

    sizes: FloatArray
    """[size] Distinct numbers of ratings on an item."""
    n_items: FloatArray
    """[size] Items that have so many."""
    grams: FloatArray
    """[size, annotator, annotator] Such items that both rated, repeats multiplied."""
    crosses: FloatArray
    """[size, annotator] Sum of the ratings on such items, over the items he rated."""
    squares: FloatArray
    """[size] Squared sums of the ratings on such items."""
    annotator_sizes: FloatArray
    annotator_sums: FloatArray
    square: float
    membership: FloatArray
    """[annotator, group]"""


@dataclass(frozen=True, eq=False)
class _Solution:
    criterion: float
    means: FloatArray
    covariance: FloatArray
    """Of the means, in units of the error variance."""
    error_variance: float


def fit_mixed_model(
    numbers: FloatArray,
    item_index: NDArray[np.integer],
    annotator_index: NDArray[np.integer],
    membership: FloatArray,
) -> MixedModelFit | None:
    """REML of y = group mean + item + annotator + error; numbers and indices are [label].

        log L = -1/2 [(N - G) log s2 + log|V| + log|X' V^-1 X|],  s2 = y' P y / (N - G)

    Patterson and Thompson 1971, profiled over the error variance; V = I + r_i Z_i Z_i' + r_a Z_a Z_a'
    with r the ratios of the variances to that of error, searched in logs. `membership`
    [annotator, group] has one 1 a row. For balanced data this is the analysis of variance where its
    estimates are positive. A variance that comes out at e^-9 of the error counts as 0. None where
    nothing varies, or there are no more ratings than groups.
    """
    n_annotators, n_sizes = membership.shape[0], len(np.unique(np.bincount(item_index)))
    if n_annotators**2 * n_sizes > MAX_CELLS:
        raise DataError(
            f"{n_annotators} annotators, and the model holds their pairs for each of {n_sizes} numbers of "
            f"ratings on an item; select the {int((MAX_CELLS / n_sizes) ** 0.5)} with the most ratings"
        )
    center = float(numbers.mean())
    spread = float(numbers.std())
    if spread <= 1e-12 * max(1.0, abs(center)) or len(numbers) <= membership.shape[1]:
        return None
    sums = _summarize((numbers - center) / spread, item_index, annotator_index, membership)
    bounds = [(MIN_LOG_RATIO, MAX_LOG_RATIO)] * 2
    starts = [(0.0, -1.0), (-2.0, -4.0)]
    runs = [
        minimize(lambda at: _solve(sums, at).criterion, start, method="L-BFGS-B", bounds=bounds)
        for start in starts
    ]
    best = min(runs, key=lambda run: float(run.fun))
    solution = _solve(sums, best.x)
    if not np.isfinite(solution.criterion):
        return None
    error = solution.error_variance * spread**2
    item, annotator = (
        float(np.exp(log_ratio)) * error if log_ratio > MIN_LOG_RATIO + 0.1 else 0.0 for log_ratio in best.x
    )
    return MixedModelFit(
        means=center + spread * solution.means,
        covariance=solution.covariance * error,
        item_variance=item,
        annotator_variance=annotator,
        error_variance=error,
    )


def _summarize(
    numbers: FloatArray,
    item_index: NDArray[np.integer],
    annotator_index: NDArray[np.integer],
    membership: FloatArray,
) -> _Sums:
    n_items, n_annotators = int(item_index.max()) + 1, membership.shape[0]
    shape = (n_items, n_annotators)
    counts = sparse.csr_array((np.ones(len(numbers)), (item_index, annotator_index)), shape=shape)
    totals = np.bincount(item_index, weights=numbers, minlength=n_items)
    sizes, kind = np.unique(np.bincount(item_index, minlength=n_items), return_inverse=True)
    alike = [np.flatnonzero(kind == k) for k in range(len(sizes))]
    parts = [counts[rows] for rows in alike]
    return _Sums(
        sizes=sizes.astype(np.float64),
        n_items=np.bincount(kind).astype(np.float64),
        grams=np.stack([(part.T @ part).toarray() for part in parts]),
        crosses=np.stack([part.T @ totals[rows] for part, rows in zip(parts, alike, strict=True)]),
        squares=np.array([totals[rows] @ totals[rows] for rows in alike]),
        annotator_sizes=np.bincount(annotator_index, minlength=n_annotators).astype(np.float64),
        annotator_sums=np.bincount(annotator_index, weights=numbers, minlength=n_annotators).astype(float),
        square=float(numbers @ numbers),
        membership=membership,
    )


def _solve(sums: _Sums, log_ratios: FloatArray) -> _Solution:
    """Generalised least squares at given ratios, and -2 log L up to a constant.

    With W = I - Z_i (Z_i'Z_i + 1 / r_i)^-1 Z_i' the inverse of the item part of V, C = Z_a' W Z_a and
    K = C + 1 / r_a: Z_a' V^-1 Z_a = C - C K^-1 C, and likewise for y; X = Z_a membership.
    """
    item_ratio, annotator_ratio = np.exp(log_ratios)
    absorbed = 1 / (sums.sizes + 1 / item_ratio)
    inner = np.diag(sums.annotator_sizes) - np.tensordot(absorbed, sums.grams, axes=1)
    right = sums.annotator_sums - absorbed @ sums.crosses
    square = sums.square - float(absorbed @ sums.squares)
    n_ratings, n_groups = sums.annotator_sizes.sum(), sums.membership.shape[1]
    try:
        factor = cho_factor(inner + np.eye(len(inner)) / annotator_ratio)
        design = inner @ sums.membership
        information = sums.membership.T @ design - design.T @ cho_solve(factor, design)
        score = sums.membership.T @ right - design.T @ cho_solve(factor, right)
        group_factor = cho_factor(information)
    except LinAlgError:
        nothing = np.full(n_groups, np.nan)
        return _Solution(np.inf, nothing, np.full((n_groups, n_groups), np.nan), np.nan)
    means = cho_solve(group_factor, score)
    residual = square - float(right @ cho_solve(factor, right)) - float(score @ means)
    freedom = n_ratings - n_groups
    error = max(residual, np.finfo(float).tiny) / freedom
    log_volume = sums.n_items @ np.log1p(item_ratio * sums.sizes) + _log_determinant(factor)
    log_volume += len(inner) * np.log(annotator_ratio) + _log_determinant(group_factor)
    covariance = cho_solve(group_factor, np.eye(n_groups))
    return _Solution(float(freedom * np.log(error) + log_volume), means, covariance, float(error))


def _log_determinant(factor: tuple[FloatArray, bool]) -> float:
    return float(2 * np.log(np.diag(factor[0])).sum())
