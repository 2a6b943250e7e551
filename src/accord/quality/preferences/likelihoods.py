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
    rise_left, rise_right = left * not_left, right * not_right
    # Expected information of (d, t), the tie's share written without dividing by its probability twice.
    for_margin = left * not_left**2 + right * not_right**2 + (left - right) ** 2 * tie
    crossed = right * not_right**2 - left * not_left**2 - (left - right) * (rise_left + rise_right)
    for_threshold = left * not_left**2 + right * not_right**2 + (rise_left + rise_right) ** 2 / (tie + TINY)
    return Terms(
        log_likelihood,
        np.stack([by_margin, by_threshold * threshold]),
        _root_of_two(for_margin, crossed * threshold, for_threshold * threshold**2),
    )


def _root_of_two(
    first: NDArray[np.float64], crossed: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[2, 2, row] Cholesky roots of [[first, crossed], [crossed, second]]."""
    corner = np.sqrt(first)
    beside = crossed / (corner + TINY)
    rest = np.sqrt(np.maximum(second - beside**2, 0.0))
    return np.stack([np.stack([corner, beside]), np.stack([np.zeros_like(rest), rest])])
