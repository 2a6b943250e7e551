"""What a fitted annotator-aware model expects of comparisons it has not seen.

Habits and scores are not known exactly: the predictions are averages over their posterior, which
for annotators, items and prompt families that the fit has not seen is the prior.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from accord.domain import DataError
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.preferences.annotator_aware import GAIN, POSITION, TIE_HABIT, AnnotatorAwareFit
from accord.quality.preferences.annotator_design import UNKNOWN, NumberedRows, build_design, number_rows
from accord.quality.preferences.scored_pairs import ScoredPairs

NODES = 5
"""Gauss-Hermite nodes in each direction: exact for polynomials up to degree 9."""
CHUNK_ROWS = 4096
"""Rows predicted at once: what is held at a time is this times the shared parameters."""


def predict_outcomes(fit: AnnotatorAwareFit, pairs: ScoredPairs) -> NDArray[np.float64]:
    """[row, outcome] Probabilities of LEFT, RIGHT and TIE; rows sum to 1.

    The outcomes of `pairs` are not looked at. Gain, tie habit and margin are integrated by a product of
    Gauss-Hermite rules; the posterior of habits and that of scores are taken as independent.
    """
    if pairs.covariate_names != fit.pairs.covariate_names:
        raise DataError(
            f"the covariates are {pairs.covariate_names}, expected {fit.pairs.covariate_names} as in the fit"
        )
    chunks = [
        _predict_rows(fit, pairs.select(np.arange(start, min(start + CHUNK_ROWS, len(pairs)))))
        for start in range(0, len(pairs), CHUNK_ROWS)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, 3))


def preference_probabilities(fit: AnnotatorAwareFit, pairs: ScoredPairs) -> NDArray[np.float64]:
    """[row] Probability that an annotator of gain 1 without habits who must decide prefers left to right.

    Positions, thresholds and covariates are dropped; only scores and their uncertainty count.
    """
    rows = number_rows(pairs, fit.pairs, fit.combined)
    difference, variance = _differences(fit, rows)
    nodes, weights = _nodes()
    return np.asarray(expit(difference[:, None] + np.sqrt(variance)[:, None] * nodes) @ weights)


def outcome_log_loss(probabilities: NDArray[np.float64], outcome: NDArray[np.intp]) -> float:
    """Mean negative log-probability of what was answered, in nats."""
    return float(-np.log(probabilities[np.arange(len(outcome)), outcome]).mean())


def _predict_rows(fit: AnnotatorAwareFit, pairs: ScoredPairs) -> NDArray[np.float64]:
    rows = number_rows(pairs, fit.pairs, fit.combined)
    _, shift, log_threshold = (build_design(rows, fit.blocks) @ fit.latent.shared).reshape(3, -1)
    difference, variance = _differences(fit, rows)
    mean, covariance = _habits_of(fit, rows)
    spread = {name: fit.spreads.get(name, 0.0) for name in ("family_position", "family_log_threshold")}
    is_new = rows.family == UNKNOWN
    covariance[:, POSITION, POSITION] += np.where(is_new, spread["family_position"] ** 2, 0.0)
    covariance[:, TIE_HABIT, TIE_HABIT] += np.where(is_new, spread["family_log_threshold"] ** 2, 0.0)
    order = [GAIN, TIE_HABIT, POSITION]
    root = _root(covariance[:, order][:, :, order])
    nodes, weights = _nodes()
    outcomes = np.zeros((len(pairs), 3))
    for i, j, k in np.ndindex(NODES, NODES, NODES):
        gain = mean[:, GAIN] + root[:, 0, 0] * nodes[i]
        habit = mean[:, TIE_HABIT] + root[:, 1, 0] * nodes[i] + root[:, 1, 1] * nodes[j]
        position = mean[:, POSITION] + root[:, 2, 0] * nodes[i] + root[:, 2, 1] * nodes[j]
        rest = np.sqrt(root[:, 2, 2] ** 2 + gain**2 * variance) * nodes[k]
        margin = gain * difference + shift + position + rest
        threshold = np.exp(log_threshold + habit)
        weight = weights[i] * weights[j] * weights[k]
        outcomes[:, LEFT] += weight * expit(margin - threshold)
        outcomes[:, RIGHT] += weight * expit(-margin - threshold)
        tie = -np.expm1(-2 * threshold) * expit(threshold + margin) * expit(threshold - margin)
        outcomes[:, TIE] += weight * tie
    return outcomes


def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for an average over the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / weights.sum()


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """[row, 3, 3] Lower triangular roots; a parameter kept at its mean has a root of about 0."""
    return np.asarray(np.linalg.cholesky(covariance + 1e-12 * np.eye(3)), dtype=np.float64)


def _differences(
    fit: AnnotatorAwareFit, rows: NumberedRows
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[row] Score difference left minus right, and its variance."""
    design = build_design(rows, fit.blocks)[: len(rows)]
    difference = design @ fit.latent.shared
    variance = np.zeros(len(rows))
    if fit.latent.shared_covariance is not None:
        spread = design @ fit.latent.shared_covariance
        variance = np.asarray(design.multiply(spread).sum(axis=1)).ravel()
    for item, combined in ((rows.left, rows.left_in_family), (rows.right, rows.right_in_family)):
        variance += np.where(item == UNKNOWN, fit.spreads["score"] ** 2, 0.0)
        variance += np.where(combined == UNKNOWN, fit.spreads.get("family_score", 0.0) ** 2, 0.0)
    return difference, np.maximum(variance, 0.0)


def _habits_of(fit: AnnotatorAwareFit, rows: NumberedRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[row, 3] and [row, 3, 3] Mean and covariance of the habits of each row's annotator."""
    spreads = np.array([fit.spreads[name] for name in ("gain", "left_habit", "tie_habit")])
    is_known = rows.annotator != UNKNOWN
    known = np.where(is_known, rows.annotator, 0)
    mean = np.where(is_known[:, None], fit.latent.local[known], np.array([fit.mean_gain, 0.0, 0.0]))
    own = fit.latent.local_covariance
    posterior = np.zeros((len(rows), 3, 3)) if own is None else own[known]
    return mean, np.where(is_known[:, None, None], posterior, np.diag(spreads**2))
