"""False alarms under control: many annotators, many channels, one promised rate.

Every p-value here is valid (under the null hypothesis P(p <= x) <= x), and what is combined may depend on
one another unless said otherwise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain import EvaluationError

SAMENESS = 1e-9
"""A permuted statistic within this of the observed one counts as equal: sums in another order differ so."""


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values: rejecting those at or below a rate keeps the false discovery rate under it.

    Benjamini and Hochberg 1995: q_(r) = min over s >= r of m p_(s) / s. Independent or positively
    dependent p-values. NaN marks a test that could not be made: it stays NaN and does not count in m.
    """
    values = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(values)
    total = int(known.sum())
    adjusted = np.full(values.shape, np.nan)
    if not total:
        return adjusted
    tested = values[known]
    order = np.argsort(tested, kind="stable")
    scaled = tested[order] * total / np.arange(1, total + 1)
    result = np.empty(total)
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    adjusted[known] = result
    return adjusted


def reject_e_values(e_values: ArrayLike, *, rate: float = 0.05) -> NDArray[np.bool_]:
    """Which null hypotheses fall, with the false discovery rate under `rate` whatever their dependence.

    e-BH (Wang and Ramdas 2022): reject the r largest for the largest r with e_(r) >= m / (rate r). An
    e-value is not negative and has mean 1 or less under its null hypothesis; a detector's value at any
    stopping time may be given.
    """
    values = np.asarray(e_values, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(1, len(values) + 1)
    passing = np.flatnonzero(values[order] * rate * ranks >= len(values))
    rejected = np.zeros(len(values), dtype=bool)
    if len(passing):
        rejected[order[: passing[-1] + 1]] = True
    return rejected


def combine_channels(p_values: ArrayLike) -> NDArray[np.float64]:
    """[annotator] One p-value from several channels [annotator, channel]: the least, times how many spoke.

    Bonferroni: valid whatever the dependence of the channels, and near exact where they are independent
    and the level is small. NaN marks a channel that could not speak; an annotator without any gets NaN.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 2:
        raise EvaluationError(f"p-values have shape {values.shape}; expected [annotator, channel]")
    spoke = np.isfinite(values).sum(axis=1)
    least = np.where(np.isfinite(values), values, np.inf).min(axis=1, initial=np.inf)
    return np.where(spoke > 0, np.minimum(least * np.maximum(spoke, 1), 1.0), np.nan)


def permutation_p_value(
    observed: float,
    draw: Callable[[int], NDArray[np.float64]],
    *,
    max_draws: int = 1999,
    exceedances: int = 20,
    block: int = 50,
) -> float:
    """Monte Carlo p-value that stops early where nothing is to be found. Large is unusual.

    `draw(n)` gives n statistics under exchangeability. Besag and Clifford 1991: stop at the draw l that is
    the h-th to reach the observed value, p = h / l; else p = (g + 1) / (max_draws + 1) with g that reached
    it. Valid at every level, both ways.
    """
    reached = drawn = 0
    while drawn < max_draws:
        count = min(block, max_draws - drawn)
        hits = np.flatnonzero(draw(count) >= observed - SAMENESS)
        if reached + len(hits) >= exceedances:
            return exceedances / (drawn + int(hits[exceedances - reached - 1]) + 1)
        reached += len(hits)
        drawn += count
    return (reached + 1) / (drawn + 1)
