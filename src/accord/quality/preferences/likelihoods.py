"""How likely each answer to "left, right or tie" is, given a margin: terms for the optimizer.

Each likelihood returns log-probabilities, exact gradients and a root of the expected information
with respect to its predictors. The fits around them stand in their own modules.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.preferences.fisher_scoring import Terms

TINY = 1e-300
"""Keeps a division by an information of zero from failing; never reached with a finite margin."""


def threshold_terms(
    margin: NDArray[np.float64], log_threshold: NDArray[np.float64], outcome: NDArray[np.intp]
) -> Terms:
    """Ties by a threshold (Rao and Kupper 1967), predictors margin d and log t.

        P(left) = sigma(d - t), P(right) = sigma(-d - t), P(tie) = the rest
                = (1 - exp(-2 t)) sigma(t + d) sigma(t - d)

    The product form keeps the tie exact where the rest would round to 0. t -> 0 is Bradley-Terry.
    """
    threshold = np.exp(log_threshold)
    left, right = expit(margin - threshold), expit(-margin - threshold)
    not_left, not_right = expit(threshold - margin), expit(threshold + margin)
    is_tie = outcome == TIE
    gap = -np.expm1(-2 * threshold)
    tie = gap * not_right * not_left
    log_tie = np.log(gap) + log_expit(margin + threshold) + log_expit(threshold - margin)
    log_likelihood = np.where(
        is_tie,
        log_tie,
        log_expit(np.where(outcome == LEFT, margin, -margin) - threshold),
    )
    by_margin = np.select([outcome == LEFT, outcome == RIGHT], [not_left, -not_right], default=right - left)
    by_threshold = np.select(
        [outcome == LEFT, outcome == RIGHT],
        [-not_left, -not_right],
        default=left + right + 2 * (1 - gap) / (gap + TINY),
    )

    def root() -> NDArray[np.float64]:
        rise_left, rise_right = left * not_left, right * not_right
        for_left, for_right = rise_left * not_left, rise_right * not_right
        for_margin = for_left + for_right + (left - right) ** 2 * tie
        crossed = for_right - for_left - (left - right) * (rise_left + rise_right)
        for_threshold = for_left + for_right + (rise_left + rise_right) ** 2 / (tie + TINY)
        return _root_of_two(for_margin, crossed * threshold, for_threshold * threshold**2)

    return Terms(log_likelihood, np.stack([by_margin, by_threshold * threshold]), root)


def davidson_terms(
    margin: NDArray[np.float64], log_tie: NDArray[np.float64], outcome: NDArray[np.intp]
) -> Terms:
    """Ties by a propensity (Davidson 1970), predictors margin d and log nu.

        P(left) : P(right) : P(tie) = exp(d / 2) : exp(-d / 2) : nu

    A tie is likeliest at d = 0, and the odds of left against right do not depend on nu.
    """
    logits = np.stack([margin / 2, -margin / 2, log_tie])
    logits = logits - logits.max(axis=0)
    log_likelihoods = logits - np.log(np.exp(logits).sum(axis=0))
    left, right, tie = np.exp(log_likelihoods)
    log_likelihood = log_likelihoods[outcome, np.arange(len(outcome))]
    sign = np.array([0.5, -0.5, 0.0])[outcome]
    by_margin = sign - (left - right) / 2

    def root() -> NDArray[np.float64]:
        for_margin = (left + right - (left - right) ** 2) / 4
        return _root_of_two(for_margin, (right - left) / 2 * tie, tie * (1 - tie))

    return Terms(log_likelihood, np.stack([by_margin, (outcome == TIE) - tie]), root)


def mixture_terms(
    p_left: NDArray[np.float64],
    p_right: NDArray[np.float64],
    slopes: NDArray[np.float64],
    left_share: NDArray[np.float64],
) -> Terms:
    """Left or right, a tie as half of each, from P(left), P(right), and slopes of P(left) [predictor, row].

    For mixtures, whose log-probabilities are no simple function of a margin. Where a tie counts half,
    the expected information is that of an answer left or right.
    """
    against = 1 - left_share
    surprise = left_share / p_left - against / p_right
    log_likelihood = left_share * np.log(p_left) + against * np.log(p_right)
    return Terms(log_likelihood, surprise * slopes, lambda: (slopes / np.sqrt(p_left * p_right))[None])


def _root_of_two(
    first: NDArray[np.float64], crossed: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[2, 2, row] Cholesky roots of [[first, crossed], [crossed, second]]."""
    corner = np.sqrt(first)
    beside = crossed / (corner + TINY)
    rest = np.sqrt(np.maximum(second - beside**2, 0.0))
    return np.stack([np.stack([corner, beside]), np.stack([np.zeros_like(rest), rest])])
