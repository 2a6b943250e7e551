"""Rows that hang together in two ways, such as prompts times annotators: a bootstrap that draws both anew.

The pigeonhole bootstrap (Owen 2007): prompts and annotators are resampled apart, and a row counts as often as
its prompt was drawn times as often as its annotator was. It is mildly conservative: the part of the variance
that belongs to single rows counts three times, which matters where neither prompts nor annotators do.
Departs from Owen in the expansion for few units (Student's t of the fewer of both, n / (n - 1)), without
which few annotators cover too little. Leaves out rows that hang together in three ways.
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

    `statistic(weights)` takes one weight a row and returns a float. `bca` corrects the levels for bias, with
    the acceleration of both jackknives together. Fewer than three units of a kind, or more than a tenth of
    the resamples without a value, give no interval.
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
    bias, acceleration = 0.0, 0.0
    if method == "bca":
        bias, acceleration = _bias(draws, value), _acceleration(statistic, sides)
    levels = quantile_levels(fewest, confidence, bias=bias, acceleration=acceleration)
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


def _acceleration(statistic: Callable[[FloatArray], float], sides: Sequence[Clusters]) -> float:
    """sum of third over six times sum of second moments^1.5, both jackknives together."""
    second = third = 0.0
    for side in sides:
        values = np.array([statistic((side.codes != unit).astype(float)) for unit in range(side.count)])
        shift = values.mean() - values
        second += float((shift**2).sum())
        third += float((shift**3).sum())
    return third / (6 * second**1.5) if math.isfinite(third) and second > 0 else 0.0
