"""What is fitted to a trained reward model's scores: members' centers, the pull of length, a temperature.

Least squares and one number at a time, on raw scores of pairs. Leaves out how scores are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from accord.domain import DataError

FloatArray = NDArray[np.float64]
HOTTEST = 100.0
"""Temperatures are looked for from 1 / HOTTEST to HOTTEST."""


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Raw scores of both sides of pairs; one row a pair."""

    chosen: FloatArray
    """[pair] or [pair, member]."""
    rejected: FloatArray
    chosen_tokens: FloatArray
    """[pair]."""
    rejected_tokens: FloatArray
    p_chosen: FloatArray
    weights: FloatArray


def member_centers(pairs: ScoredPairs) -> tuple[float, ...]:
    """[member] Mean raw score of each less the mean of all: taken out, members agree on where zero is.

    Bradley-Terry leaves each member's zero open; the lowest member would else be the one that sits lowest.
    """
    both = np.concatenate([pairs.chosen, pairs.rejected])
    weights = np.concatenate([pairs.weights, pairs.weights])
    means = np.average(both, axis=0, weights=weights)
    return tuple(float(value) for value in means - means.mean())


def length_slope(chosen: FloatArray, rejected: FloatArray, pairs: ScoredPairs) -> float:
    """Reward that a token brings between answers to one prompt, over what the label explains.

        chosen_i - rejected_i = a (2 p_i - 1) + b (tokens of chosen_i - tokens of rejected_i) + error

    Weighted least squares without intercept, so that which side is called chosen does not matter; b is the
    slope. Where people prefer the longer answer for being better, that is a's. 0 where lengths do not differ,
    or label and length are one and the same.
    """
    gain = np.asarray(chosen - rejected, dtype=np.float64)
    length = pairs.chosen_tokens - pairs.rejected_tokens
    label = 2 * pairs.p_chosen - 1
    root = np.sqrt(pairs.weights)
    design = np.stack([label, length], axis=1) * root[:, None]
    spread = float((design[:, 1] ** 2).sum())
    if spread == 0 or np.linalg.matrix_rank(design) < 2 <= np.count_nonzero(design.any(axis=0)):
        return 0.0
    solved = np.linalg.lstsq(design, gain * root, rcond=None)[0]
    return float(solved[1])


def fit_temperature(differences: FloatArray, p_chosen: FloatArray, weights: FloatArray) -> float:
    """T that makes sigmoid(difference / T) likeliest for the labels (Guo et al. 2017); convex in 1 / T."""
    if not len(differences):
        raise DataError("a temperature needs held-out pairs; set reward.eval_share or give eval pairs")

    def loss(inverse: float) -> float:
        scaled = differences * inverse
        nll = p_chosen * np.logaddexp(0, -scaled) + (1 - p_chosen) * np.logaddexp(0, scaled)
        return float((weights * nll).sum())

    found = minimize_scalar(loss, bounds=(1 / HOTTEST, HOTTEST), method="bounded", options={"xatol": 1e-8})
    return float(1 / found.x)


def disagreement(chosen: FloatArray, rejected: FloatArray, weights: Sequence[float] | FloatArray) -> float:
    """Mean over pairs of the members' standard deviation of the margin, from arrays [pair, member]."""
    return float(np.average((chosen - rejected).std(axis=1, ddof=1), weights=weights))
