"""Ranks with their uncertainty: simultaneous rank intervals, groups that are not told apart, P(rank 1).

Two models differ where their difference exceeds c standard errors, c from the largest standardized
difference of all pairs, so that all statements hold together (Mogstad, Romano, Shaikh and Wilhelm 2024).
Leaves out the scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray
from accord.evaluation.leaderboard.ranking import Ranking

DRAWS = 4_000
"""Of the normal errors; the 95 % quantile of their largest then has a standard error of about 0.02."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranks:
    """[model] each, in the order of the ranking's models."""

    low: FloatArray
    """Interval of each score relative to the mean, by itself."""
    high: FloatArray
    best: NDArray[np.int64]
    """1 + models that are better for sure; simultaneous with `worst` of all models."""
    worst: NDArray[np.int64]
    """Models less those that are worse for sure."""
    group: NDArray[np.int64]
    """From 1; a group ends where a model is worse for sure than the group's first."""
    first_probability: FloatArray
    """That the model is the best, under normal errors around the scores (or by bootstrap samples)."""
    critical: float
    """Standard errors beyond which a difference counts."""


def measure_ranks(ranking: Ranking, *, confidence: float = 0.95, seed: int = 0) -> Ranks:
    """Intervals, ranks, groups; deterministic for one seed. Two models or more."""
    if not 0 < confidence < 1:
        raise EvaluationError(f"confidence is {confidence}; expected a number between 0 and 1")
    n_models = len(ranking.models)
    scores, covariance = ranking.scores, ranking.covariance
    generator = np.random.default_rng(seed)
    noise = generator.multivariate_normal(np.zeros(n_models), covariance, DRAWS, method="eigh")
    variance = np.diag(covariance)
    errors = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0))
    critical = _critical(noise, errors, confidence)
    gaps = scores[:, None] - scores
    is_better = gaps > critical * errors
    draws = ranking.draws
    if draws is None:
        half = float(ndtri(0.5 + confidence / 2)) * ranking.errors
        low, high = scores - half, scores + half
        draws = scores + noise
    else:
        tail = (1 - confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    first = np.bincount(draws.argmax(axis=1), minlength=n_models) / len(draws)
    return Ranks(
        low=low,
        high=high,
        best=1 + is_better.sum(axis=0),
        worst=n_models - is_better.sum(axis=1),
        group=_groups(scores, is_better),
        first_probability=first,
        critical=critical,
    )


def _critical(noise: FloatArray, errors: FloatArray, confidence: float) -> float:
    upper = np.triu_indices(len(errors), 1)
    kept = errors[upper] > 0
    first, second, scale = upper[0][kept], upper[1][kept], errors[upper][kept]
    if not len(scale):
        raise EvaluationError("no two scores have an error of their difference; are there too few clusters?")
    largest = np.concatenate(
        [
            (np.abs(part[:, first] - part[:, second]) / scale).max(axis=1)
            for part in np.array_split(noise, max(1, len(noise) * len(scale) // 4_000_000))
        ]
    )
    return float(np.quantile(largest, confidence))


def _groups(scores: FloatArray, is_better: NDArray[np.bool_]) -> NDArray[np.int64]:
    group = np.zeros(len(scores), dtype=np.int64)
    number, leader = 0, -1
    for model in np.argsort(-scores, kind="stable"):
        if leader < 0 or is_better[leader, model]:
            number, leader = number + 1, int(model)
        group[model] = number
    return group
