"""The likelihood of left, tie or right, and the coefficients that make it largest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from accord.quality.judgments import LEFT, RIGHT, TIE

FloatArray = NDArray[np.float64]

MAX_STEPS = 60
MAX_HALVINGS = 30
TOLERANCE = 1e-18
"""Newton decrement, in nats, at which the fit has converged; the step before it was below 1e-9."""
ROUNDING = 1e-13
"""Of a sum of log-likelihoods."""
MAX_PREDICTOR = 15.0
"""Log-odds a fitted judgment may have; beyond, the answers are separated and no maximum exists."""


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Of the log-likelihood of each judgment [judgment] in its predictor and the tie threshold."""

    value: FloatArray
    by_predictor: FloatArray
    by_threshold: FloatArray
    curvature: FloatArray
    """Second derivative in the predictor; never above 0."""
    mixed: FloatArray
    threshold_curvature: FloatArray


@dataclass(frozen=True, eq=False)
class OrderedLogitFit:
    """Maximum-likelihood coefficients, or None where there is no maximum."""

    coefficients: FloatArray
    """[covariate]"""
    threshold: float
    """0 without ties."""
    information: FloatArray
    """[parameter, parameter] Negative second derivatives; after the covariates the threshold, with ties."""
    scores: FloatArray
    """First derivatives [judgment, parameter] at the maximum."""
    parts: FloatArray
    """[judgment, parameter, parameter] What each judgment adds to the information."""


def log_likelihood(answer: NDArray[np.intp], predictor: FloatArray, threshold: float) -> Derivatives:
    """Derivatives of log P(answer [judgment]) with P(left) = s(d - t), P(right) = s(-d - t), tie the rest.

    s is the logistic function, d the predictor [judgment] in log-odds for the left side, t >= 0. A tie has
    log s(d + t) + log s(t - d) + log(1 - exp(-2 t)), so that all is concave in d and t together.
    """
    below, above = predictor - threshold, predictor + threshold
    is_left, is_right, is_tie = answer == LEFT, answer == RIGHT, answer == TIE
    down, up = expit(below), expit(-above)
    log_left, log_right = -np.logaddexp(0, -below), -np.logaddexp(0, above)
    steep_left, steep_right = down * (1 - down), up * (1 - up)
    if threshold > 0:
        log_gap = np.log(-np.expm1(-2 * threshold))
        gap_slope = 2 / np.expm1(2 * threshold)
        gap_curve = -(gap_slope**2) - 2 * gap_slope
    else:
        log_gap = gap_slope = gap_curve = 0.0
    log_tie = -np.logaddexp(0, -above) - np.logaddexp(0, below) + log_gap
    not_right, not_left = ~is_right, ~is_left
    return Derivatives(
        value=np.where(is_left, log_left, np.where(is_right, log_right, log_tie)),
        by_predictor=np.where(is_left, 1 - down, np.where(is_right, up - 1, up - down)),
        by_threshold=np.where(is_left, down - 1, np.where(is_right, up - 1, up + down + gap_slope)),
        curvature=-(not_right * steep_left) - not_left * steep_right,
        mixed=not_right * steep_left - not_left * steep_right,
        threshold_curvature=-(not_right * steep_left) - not_left * steep_right + is_tie * gap_curve,
    )


def fit_ordered_logit(answer: NDArray[np.intp], design: FloatArray) -> OrderedLogitFit | None:
    """Newton's method with halved steps; `design` [judgment, covariate].

    Without a tie among the answers the threshold is 0 and this is the logistic regression of left
    against right. None where covariates are collinear or separate the answers: no maximum exists.
    """
    has_ties = bool((answer == TIE).any())
    if np.linalg.matrix_rank(design) < design.shape[1] or not (answer != TIE).any():
        return None
    parameters = np.zeros(design.shape[1] + has_ties)
    if has_ties:
        parameters[-1] = 1.0
    for _ in range(MAX_STEPS):
        derivatives = _at(answer, design, parameters, has_ties)
        scores, parts = _expand(derivatives, design, has_ties)
        information = parts.sum(axis=0)
        gradient = scores.sum(axis=0)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            return None
        if gradient @ step < TOLERANCE:
            threshold = float(parameters[-1]) if has_ties else 0.0
            return OrderedLogitFit(parameters[: design.shape[1]], threshold, information, scores, parts)
        parameters = _climb(answer, design, parameters, step, derivatives.value.sum(), has_ties)
        if np.abs(design @ parameters[: design.shape[1]]).max() > MAX_PREDICTOR:
            return None
    return None


def _climb(
    answer: NDArray[np.intp],
    design: FloatArray,
    parameters: FloatArray,
    step: FloatArray,
    start: float,
    has_ties: bool,
) -> FloatArray:
    """The longest of step, step / 2, step / 4, ... that does not lower the likelihood, up to rounding."""
    for halving in range(MAX_HALVINGS):
        trial = parameters + step / 2**halving
        if has_ties and trial[-1] <= 0:
            continue
        if _at(answer, design, trial, has_ties).value.sum() >= start - ROUNDING * abs(start):
            return np.asarray(trial)
    return parameters


def _at(answer: NDArray[np.intp], design: FloatArray, parameters: FloatArray, has_ties: bool) -> Derivatives:
    n_covariates = design.shape[1]
    threshold = float(parameters[-1]) if has_ties else 0.0
    return log_likelihood(answer, design @ parameters[:n_covariates], threshold)


def _expand(derivatives: Derivatives, design: FloatArray, has_ties: bool) -> tuple[FloatArray, FloatArray]:
    """Scores [judgment, parameter] and information [judgment, parameter, parameter]."""
    scores = design * derivatives.by_predictor[:, None]
    parts = -derivatives.curvature[:, None, None] * (design[:, :, None] * design[:, None, :])
    if not has_ties:
        return scores, parts
    scores = np.column_stack([scores, derivatives.by_threshold])
    whole = np.zeros((len(design), scores.shape[1], scores.shape[1]))
    whole[:, :-1, :-1] = parts
    whole[:, -1, :-1] = whole[:, :-1, -1] = -derivatives.mixed[:, None] * design
    whole[:, -1, -1] = -derivatives.threshold_curvature
    return scores, whole
