"""Rows that hang together in two ways, such as prompts times annotators: a bootstrap that draws both anew.

The pigeonhole bootstrap (Owen 2007): prompts and annotators are resampled apart, and a row counts as often as
its prompt was drawn times as often as its annotator was. It is mildly conservative: the part of the variance
that belongs to single rows counts three times, which matters where neither prompts nor annotators do.
Departs from Owen in the expansion for few units (Student's t and n / (n - 1)), without which few annotators
cover too little: of as many units as Satterthwaite's degrees of freedom make of both, for the fewer alone
would be too few where the others' part counts too. Leaves out rows that hang together in three ways.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.intervals import Estimate
from accord.quality.agreement.resampling import quantile_levels

RESAMPLES = 1000
MIN_UNITS = 3
"""Of each kind; two annotators cannot say how annotators vary."""


def crossed_estimate(
    statistic: Callable[[FloatArray], float],
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    method: Literal["percentile", "bca"] = "percentile",
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Any statistic of weighted rows, e.g. of a judgment's prompt `first` and annotator `second` [row].

    `statistic(weights)` takes one weight a row and returns a float; it is called once more without each unit.
    `bca` corrects the levels for bias, with the acceleration of both jackknives together. Fewer than three
    units of a kind, or more than a tenth of the resamples without a value, give no interval.
    """
    if len(first) != len(second):
        raise EvaluationError(f"{len(first)} entries of the first kind and {len(second)} of the second")
    sides = [Clusters.of(list(side), rows=len(first)) for side in (first, second)]
    value = float(statistic(np.ones(len(first))))
    fewest = min(side.count for side in sides)
    nothing = Estimate(value=value, n=len(first), method="no interval", confidence=confidence)
    if fewest < MIN_UNITS or not math.isfinite(value):
        return nothing
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for i in range(resamples):
        weights = np.ones(len(first))
        for side in sides:
            picks = rng.integers(0, side.count, size=side.count)
            weights *= np.bincount(picks, minlength=side.count)[side.codes]
        draws[i] = statistic(weights) if weights.any() else math.nan
    draws = draws[np.isfinite(draws)]
    if len(draws) < 0.9 * resamples:
        return nothing
    shifts = [_jackknife(statistic, side) for side in sides]
    bias, acceleration = 0.0, 0.0
    if method == "bca":
        bias, acceleration = _bias(draws, value), _acceleration(shifts)
    units = _effective_units(shifts)
    levels = quantile_levels(units, confidence, bias=bias, acceleration=acceleration)
    low, high = np.quantile(draws, levels)
    return Estimate(
        value=value,
        low=float(low),
        high=float(high),
        n=len(first),
        method=f"pigeonhole {method}",
        confidence=confidence,
    )


def _bias(draws: FloatArray, value: float) -> float:
    below = ((draws < value).sum() + 0.5 * (draws == value).sum()) / len(draws)
    edge = 1 / (len(draws) + 1)
    return float(ndtri(np.clip(below, edge, 1 - edge)))


def _jackknife(statistic: Callable[[FloatArray], float], side: Clusters) -> FloatArray:
    """[unit] how far the value without it lies below their mean."""
    values = np.array([statistic((side.codes != unit).astype(float)) for unit in range(side.count)])
    return np.asarray(values.mean() - values)


def _effective_units(shifts: Sequence[FloatArray]) -> float:
    """One more than (sum of variances)^2 / sum of variance^2 / (n - 1); the fewer if there is none."""
    parts = [float((one**2).sum()) * (len(one) - 1) / len(one) for one in shifts]
    below = sum(part**2 / (len(one) - 1) for part, one in zip(parts, shifts, strict=True))
    if not (math.isfinite(below) and below > 0):
        return min(len(one) for one in shifts)
    return 1.0 + sum(parts) ** 2 / below


def _acceleration(shifts: Sequence[FloatArray]) -> float:
    """sum of third over six times sum of second moments^1.5, both jackknives together."""
    second = sum(float((one**2).sum()) for one in shifts)
    third = sum(float((one**3).sum()) for one in shifts)
    return third / (6 * second**1.5) if math.isfinite(third) and second > 0 else 0.0
