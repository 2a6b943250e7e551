"""Drawing what to ask with known chances, so that estimates over all that could have been asked stay honest.

Two streams run side by side: an active one, in which a question's chance follows its score, and a random one,
in which all chances are equal. Each question keeps the chance with which it came in by either; a mean weighs
each answer by the inverse of that chance (Horvitz & Thompson 1952; Hajek 1971). Leaves out where scores
come from.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from accord.domain import DataError

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Draw:
    """What was drawn."""

    chosen: NDArray[np.intp]
    """[drawn] Which questions, in their order."""
    inclusion: NDArray[np.float64]
    """[question] Chance with which each came in, by either stream; above 0 for all where a random stream
    ran."""
    is_random: NDArray[np.bool_]
    """[drawn] True where the random stream alone, or both, brought it."""


@dataclass(frozen=True, kw_only=True)
class WeightedMean:
    """A mean over the whole pool from what was drawn of it."""

    value: float
    low: float
    high: float
    n: int
    """Answers it rests on."""
    n_effective: float
    """As many equally likely answers would tell as much (Kish 1965)."""


def inclusion_probabilities(scores: ArrayLike, size: int) -> NDArray[np.float64]:
    """[question] Chances in proportion to `scores`, at most 1, that sum to `size`.

    Where a score would ask for more than certainty the question is taken for certain and the rest is shared
    out anew. Scores of 0 are never drawn; with fewer positive scores than `size`, those are certain and the
    sum is smaller. Negative or non-finite scores raise `DataError`.
    """
    weights = np.asarray(scores, dtype=np.float64)
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError("scores must be a row of finite numbers, none below 0")
    if size < 0:
        raise DataError(f"size is {size}; expected 0 or more")
    chances = np.zeros(len(weights))
    is_certain = np.zeros(len(weights), dtype=np.bool_)
    while True:
        left, rest = size - int(is_certain.sum()), weights[~is_certain]
        if left <= 0 or not rest.any():
            break
        shares = rest / rest.max()
        wanted = np.zeros(len(weights))
        wanted[~is_certain] = shares / shares.sum() * left
        over = wanted >= 1 - ROUNDING
        if not over.any():
            chances = wanted
            break
        is_certain |= over
    return np.where(is_certain, 1.0, chances)


def draw_systematic(chances: ArrayLike, generator: np.random.Generator) -> NDArray[np.intp]:
    """Questions drawn with exactly these chances, as many as they sum to (Madow 1949), in random order of
    pool.

    One uniform start; the sum is rounded up or down where it is no whole number.
    """
    values = np.asarray(chances, dtype=np.float64)
    order = generator.permutation(len(values))
    ends = np.cumsum(values[order])
    if not len(ends) or ends[-1] <= 0:
        return np.zeros(0, dtype=np.intp)
    start = generator.random()
    # A mark at start, start + 1, ...: a question is drawn when a mark falls into its stretch.
    marks = np.floor(ends - start + ROUNDING) - np.floor(
        np.concatenate([[0.0], ends[:-1]]) - start + ROUNDING
    )
    return np.sort(order[marks > 0])


def draw_questions(
    scores: ArrayLike, size: int, *, random_share: float, generator: np.random.Generator
) -> Draw:
    """Draw about `size` questions of a pool: a share at random from all of it, the rest by `scores`.

    The streams are independent; a question that both bring is asked once, so that a little less than `size`
    may be drawn. `random_share` in [0, 1]; a pool no larger than `size` is taken whole.
    """
    weights = np.asarray(scores, dtype=np.float64)
    n_pool = len(weights)
    if not 0 <= random_share <= 1:
        raise DataError(f"random_share is {random_share}; expected 0 to 1")
    if n_pool <= size:
        everything = np.arange(n_pool)
        return Draw(everything, np.ones(n_pool), np.ones(n_pool, dtype=np.bool_))
    n_random = math.ceil(random_share * size - ROUNDING)
    at_random = generator.choice(n_pool, size=n_random, replace=False)
    by_score = inclusion_probabilities(weights, size - n_random)
    active = draw_systematic(by_score, generator)
    chosen = np.union1d(at_random, active).astype(np.intp)
    inclusion = 1 - (1 - n_random / n_pool) * (1 - by_score)
    return Draw(chosen, inclusion, np.isin(chosen, at_random))


def weighted_mean(values: ArrayLike, inclusion: ArrayLike, *, confidence: float = 0.95) -> WeightedMean:
    """Mean over the pool: sum(v / p) / sum(1 / p), with an interval by linearization (Hajek).

    The variance takes draws as independent, which is a little wide for a fixed size; the quantile is
    Student's with the effective number less one. No values give NaN, one value no interval. A chance of 0
    or less raises `DataError`: such a question could not have been drawn.
    """
    row, chances = np.asarray(values, dtype=np.float64), np.asarray(inclusion, dtype=np.float64)
    if row.shape != chances.shape:
        raise DataError(f"{len(row)} values and {len(chances)} chances; expected one each")
    if (chances <= 0).any() or (chances > 1 + ROUNDING).any():
        raise DataError("a chance of inclusion must be above 0 and at most 1")
    if not len(row):
        return WeightedMean(value=math.nan, low=math.nan, high=math.nan, n=0, n_effective=0.0)
    weights = 1 / chances
    mean = float((weights * row).sum() / weights.sum())
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    if len(row) < 2:
        return WeightedMean(value=mean, low=math.nan, high=math.nan, n=1, n_effective=effective)
    spread = (weights * (row - mean)) ** 2
    variance = len(row) / (len(row) - 1) * float(spread.sum()) / weights.sum() ** 2
    reach = stats.t.ppf(0.5 + confidence / 2, max(effective - 1, 1)) * math.sqrt(variance)
    return WeightedMean(
        value=mean, low=mean - float(reach), high=mean + float(reach), n=len(row), n_effective=effective
    )
