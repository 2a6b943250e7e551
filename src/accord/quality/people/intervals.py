"""Intervals for a share: how well an annotator does, with what the number of trials leaves open.

Leaves out intervals by resampling.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from accord.domain import EvaluationError


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; all three are None where it does not exist, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: float
    """What it rests on: trials, or expected trials where the truth is uncertain."""
    reason: str = ""

    @property
    def exists(self) -> bool:
        """True where there is a value."""
        return self.value is not None


@dataclass(frozen=True, eq=False)
class Bounds:
    """Interval ends, one pair an entry."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def wilson_interval(successes: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> Bounds:
    """Wilson's score interval of a share, entry by entry.

    Wilson 1927, eq. for the roots of |p - s/n| = z sqrt(p (1-p) / n). No trial gives [0, 1]. Its coverage
    swings around `level` with p and n; averaged over p it is at `level` for every n of 5 or more.
    """
    right, total = _check(successes, trials, level)
    quantile = special.ndtri(0.5 + level / 2)
    denominator = total + quantile**2
    center = (right + quantile**2 / 2) / denominator
    spread = quantile * np.sqrt(right * (total - right) / np.maximum(total, 1.0) + quantile**2 / 4)
    spread /= denominator
    return Bounds(low=np.maximum(center - spread, 0.0), high=np.minimum(center + spread, 1.0))


def beta_interval(
    successes: ArrayLike, trials: ArrayLike, *, prior: tuple[float, float] = (0.5, 0.5), level: float = 0.95
) -> Bounds:
    """Equal-tailed interval of the Beta posterior of a share, entry by entry.

    Successes may be expected counts. The prior (0.5, 0.5) is Jeffreys'; no trial gives the interval of the
    prior. Its coverage is exactly `level` on average over shares drawn from the prior.
    """
    right, total = _check(successes, trials, level)
    if min(prior) <= 0:
        raise EvaluationError(f"the Beta prior is {prior}; expected two numbers above 0")
    first, second = prior[0] + right, prior[1] + total - right
    tail = (1 - level) / 2
    return Bounds(
        low=np.asarray(special.betaincinv(first, second, tail)),
        high=np.asarray(special.betaincinv(first, second, 1 - tail)),
    )


def estimate_share(
    successes: float, trials: float, *, prior: tuple[float, float] = (0.5, 0.5), level: float = 0.95
) -> Estimate:
    """Posterior mean of one share and its `beta_interval`; without a trial there is no value."""
    if trials <= 0:
        return Estimate(None, None, None, 0, "no trial")
    bounds = beta_interval(successes, trials, prior=prior, level=level)
    mean = (successes + prior[0]) / (trials + sum(prior))
    return Estimate(float(mean), float(bounds.low), float(bounds.high), trials)


def _check(
    successes: ArrayLike, trials: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    right, total = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    )
    if not 0 < level < 1:
        raise EvaluationError(f"the level is {level}; expected a number between 0 and 1, such as 0.95")
    if not ((right >= 0) & (right <= total)).all():
        at = int(np.argmin(((right >= 0) & (right <= total)).ravel()))
        raise EvaluationError(
            f"{right.ravel()[at]} successes of {total.ravel()[at]} trials; expected 0 <= successes <= trials"
        )
    return right, total
