"""Intervals that hold for a whole vector of estimates at once (max-t), from any bootstrap of it.

Leaves out p-values (`multiplicity.py`) and one number at a time (`intervals.py`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtrit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.intervals import Estimate

RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class Simultaneous:
    """Estimates whose intervals hold together."""

    intervals: tuple[Estimate, ...]
    """In the order of the values; one that no resample moves has no interval."""
    critical_value: float
    """What replaced 1.96."""


def bootstrap_matrix(
    statistic: Callable[[FloatArray], ArrayLike],
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Values [estimate], and draws [resample, estimate], of a statistic of weighted rows.

    `statistic(weights)` takes one weight a row (how often its cluster was drawn) and returns the whole
    vector, NaN where a weightless part has no value.
    """
    if clusters.rows < 1:
        raise EvaluationError("there are no rows to measure (n = 0); check the filter or the split")
    values = np.asarray(statistic(np.ones(clusters.rows)), dtype=np.float64)
    generator = np.random.default_rng(seed)
    draws = np.empty((resamples, len(values)))
    for i in range(resamples):
        picks = generator.integers(0, clusters.count, size=clusters.count)
        counts = np.bincount(picks, minlength=clusters.count).astype(np.float64)
        draws[i] = statistic(counts[clusters.codes])
    return values, draws


def max_t_critical(
    draws: ArrayLike, values: ArrayLike, errors: ArrayLike, *, confidence: float = 0.95, clusters: int = 0
) -> float:
    """Quantile of max |draw - value| / error over a vector; never below that of one estimate.

    `draws` [resample, estimate] may be a bootstrap's or a multiplier bootstrap's. With `clusters` resampled
    units the value is widened as Student's quantile is, with the n / (n - 1) that a bootstrap lacks.
    """
    if not 0 < confidence < 1:
        raise EvaluationError(f"confidence is {confidence}; expected a number between 0 and 1")
    error = np.asarray(errors, dtype=np.float64)
    spread = np.abs(np.asarray(draws, dtype=np.float64) - np.asarray(values, dtype=np.float64))
    is_moving = error > 0
    floor = float(ndtri(0.5 + confidence / 2))
    if not is_moving.any():
        return floor
    largest = np.nanmax(np.where(np.isfinite(spread), spread, 0.0)[:, is_moving] / error[is_moving], axis=1)
    critical = max(floor, float(np.quantile(largest, confidence)))
    if clusters < 2:
        return critical
    return math.sqrt(clusters / (clusters - 1)) * float(stdtrit(clusters - 1, ndtr(critical)))


def simultaneous_intervals(
    values: ArrayLike,
    draws: ArrayLike,
    *,
    sizes: Sequence[int],
    clusters: int,
    confidence: float = 0.95,
) -> Simultaneous:
    """value +- critical * bootstrap standard error, all holding together with probability `confidence`.

    `sizes` are the rows behind each value, `clusters` the fewest units resampled behind any of them. One
    cluster, or a draw matrix of another width, raises.
    """
    value = np.asarray(values, dtype=np.float64)
    table = np.asarray(draws, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(value) or len(sizes) != len(value):
        raise EvaluationError(
            f"draws have shape {table.shape} and sizes {len(sizes)} for {len(value)} values; expected one "
            "column and one size a value"
        )
    if clusters < 2:
        raise EvaluationError(f"{clusters} clusters; resampling needs two or more")
    errors = np.nanstd(table, axis=0, ddof=1)
    critical = max_t_critical(table, value, errors, confidence=confidence, clusters=clusters)
    method = f"max-t {critical:.2f} over {len(value)}, {clusters} clusters"
    found = []
    for i, number in enumerate(value.tolist()):
        if not errors[i] > 0 or not math.isfinite(number):
            found.append(Estimate(value=number, n=sizes[i], method="no interval", confidence=confidence))
            continue
        half = critical * float(errors[i])
        found.append(
            Estimate(
                value=number,
                low=number - half,
                high=number + half,
                n=sizes[i],
                method=method,
                confidence=confidence,
            )
        )
    return Simultaneous(intervals=tuple(found), critical_value=critical)
