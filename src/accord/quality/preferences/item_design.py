"""The design of models that share nothing but item scores, and what their fits have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from accord.quality.preferences.fisher_scoring import LatentFit
from accord.quality.preferences.scored_pairs import ScoredPairs

Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreInterval:
    """Scores with 95 % intervals; the ends are None where there are more items than can be solved exactly."""

    scores: NDArray[np.float64]
    """[item]"""
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def score_design(pairs: ScoredPairs, others: Sequence[int] = ()) -> csr_array:
    """[predictor * row, item + others] Left score minus right score, then one line of ones each for `others`.

    `others` are predictors, each with a parameter added to it in every row: 0 is the margin, 1 the next.
    """
    n_rows, n_items = len(pairs), len(pairs.items)
    number, one = np.arange(n_rows), np.ones(n_rows)
    lines = [number, number, *(predictor * n_rows + number for predictor in others)]
    columns = [pairs.left, pairs.right, *(np.full(n_rows, n_items + k) for k in range(len(others)))]
    values = [one, -one, *(one for _ in others)]
    shape = ((1 + max(others, default=0)) * n_rows, n_items + len(others))
    return csr_array((np.concatenate(values), (np.concatenate(lines), np.concatenate(columns))), shape=shape)


def score_interval(fit: LatentFit, n_items: int) -> ScoreInterval:
    """The first `n_items` shared parameters, which are scores of sum 0, relative to their mean."""
    scores = fit.shared[:n_items]
    if fit.shared_covariance is None:
        return ScoreInterval(scores=scores, low=None, high=None)
    half = Z95 * np.sqrt(variances_around_mean(fit.shared_covariance[:n_items, :n_items]))
    return ScoreInterval(scores=scores, low=scores - half, high=scores + half)


def variances_around_mean(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item] Of scores less their mean, which no comparison tells and only a prior holds."""
    with_mean = covariance.mean(axis=1)
    return np.asarray(np.maximum(np.diag(covariance) - 2 * with_mean + with_mean.mean(), 0.0))
