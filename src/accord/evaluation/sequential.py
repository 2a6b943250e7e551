"""Intervals one may look at after every vote: a betting confidence sequence for outcomes in [0, 1].

Leaves out who votes, and tests with a fixed number of looks.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, share_array
from accord.evaluation.intervals import Estimate

GRID = 1001
"""Means that are tried; bounds are rounded outward to this grid."""
MOST_BET = 0.5
"""Share of what may be lost in one bet that is ever bet."""


def confidence_sequence(outcomes: ArrayLike, *, confidence: float = 0.95, grid: int = GRID) -> FloatArray:
    """[vote, 2] Bounds after each vote that hold at all times together with probability `confidence`.

    Outcomes in [0, 1] in the order in which they came, each with the same mean given those before. Hedged
    betting with predictable plug-in bets (Waudby-Smith and Ramdas 2024, section 4.2 and equation 26):

        K_t(m) = max(K+_t(m), K-_t(m)) / 2,  K+-_t(m) = prod over s of (1 +- lambda_s(m) (x_s - m))

    m is ruled out once K_t(m) reaches 1 / alpha, for good: bounds only ever close in. No votes give no rows.
    """
    values = share_array(outcomes, name="outcomes")
    if not 0 < confidence < 1:
        raise EvaluationError(f"confidence is {confidence}; expected a number between 0 and 1")
    alpha = 1 - confidence
    means = np.linspace(0, 1, grid)
    up, down = np.zeros(grid), np.zeros(grid)
    is_open = np.ones(grid, dtype=bool)
    bounds = np.empty((len(values), 2))
    total, squares = 0.5, 0.25
    for t, value in enumerate(values.tolist(), start=1):
        # The bet at t knows only what came before t.
        bet = math.sqrt(2 * math.log(2 / alpha) / ((squares / t) * t * math.log(t + 1)))
        with np.errstate(divide="ignore"):
            up += np.log1p(np.minimum(bet, MOST_BET / means) * (value - means))
            down += np.log1p(-np.minimum(bet, MOST_BET / (1 - means)) * (value - means))
        is_open &= np.maximum(up, down) - math.log(2) < math.log(1 / alpha)
        places = np.flatnonzero(is_open)
        if len(places):
            bounds[t - 1] = means[max(0, places[0] - 1)], means[min(grid - 1, places[-1] + 1)]
        else:
            # Votes whose mean moves rule out every fixed mean; the last bounds stand.
            bounds[t - 1] = bounds[t - 2]
        total += value
        squares += (value - total / (t + 1)) ** 2
    return bounds


def running_estimate(outcomes: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of votes with the bounds of the confidence sequence after the last; no votes raise."""
    values = share_array(outcomes, name="outcomes")
    if not len(values):
        raise EvaluationError("there are no votes yet")
    low, high = confidence_sequence(values, confidence=confidence)[-1]
    return Estimate(
        value=float(values.mean()),
        low=float(low),
        high=float(high),
        n=len(values),
        method="betting confidence sequence",
        confidence=confidence,
    )
