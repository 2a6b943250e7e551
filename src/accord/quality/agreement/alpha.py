"""Krippendorff's alpha for nominal, ordinal, interval and ratio values, with missing ratings."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from accord.domain import DataError
from accord.quality.agreement.coincidence import CountRows, rows_of_table
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    Statistic,
    number_clusters,
)
from accord.quality.agreement.result import (
    NO_VARIANCE,
    NOTHING_PAIRABLE,
    Agreement,
    agreement_of_rows,
    no_agreement,
)
from accord.quality.labels import LabelTable

Level = Literal["nominal", "ordinal", "interval", "ratio"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")

ROUNDING = 1e-12
"""Disagreement expected below this share of its largest value is a rounding error."""
ROW_CELLS = 1 << 21
"""Cells of [row, class] distances held at a time."""


def krippendorff_alpha(
    table: LabelTable,
    *,
    level: Level = "nominal",
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Agreement:
    """1 - observed disagreement / disagreement expected by chance, over all pairs within items.

        alpha = 1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck

    with o the coincidence matrix, n_c its margins, n their sum and d the squared distance of the
    level (Krippendorff 2018, chapter 12; Hayes and Krippendorff 2007): nominal 1 where classes differ;
    ordinal the squared difference of mid-ranks among all ratings; interval (c - k)^2; ratio
    ((c - k) / (c + k))^2, for numbers from 0 up. Ordinal takes the order of `table.classes`;
    interval and ratio need numbers. For two annotators without missing ratings nominal alpha is
    Scott's pi with a correction for few items.

    Items with one rating are left out. No pairable item, or all ratings of one value: value None
    with the reason. Total agreement on several values is 1, without an interval, for resampling can
    only repeat it. One item: a value, no interval. `clusters` names the cluster of each item in the order
    of `table.items`, such as the document behind several items; whole clusters are then drawn.
    """
    numbers = None if clusters is None else number_clusters(clusters, n_items=table.n_items)
    rows = rows_of_table(table, clusters=numbers)
    return alpha_of_rows(rows, class_values(table, level), level=level, config=config)


def alpha_of_rows(
    rows: CountRows, values: FloatArray, *, level: Level, config: BootstrapConfig = DEFAULT_BOOTSTRAP
) -> Agreement:
    """Alpha of count rows whose classes stand for `values` [class]; only interval and ratio read them."""
    rows = rows.pairable
    method = f"krippendorff_alpha_{level}"
    if not rows.n_items:
        return no_agreement(method, NOTHING_PAIRABLE)
    statistic = alpha_statistic(rows, values, level=level)
    return agreement_of_rows(rows, statistic, method=method, undefined=NO_VARIANCE, config=config)


def alpha_statistic(rows: CountRows, values: FloatArray, *, level: Level) -> Statistic:
    """Alpha as a function of the weights of pairable rows.

    Ordinal distances change with the ratings drawn; those of the other levels do not, so that
    their observed disagreement is one number a row.
    """
    if level == "ordinal":
        return lambda weights: _ordinal_alpha(rows, weights)[:, None]
    observed = row_disagreement(rows, values, level=level)
    expected = chance_disagreement(values, level=level)

    def statistic(weights: FloatArray) -> FloatArray:
        margins = rows.class_sums(weights)
        return _alpha(margins.sum(axis=1), weights @ observed, expected(margins, margins))[:, None]

    return statistic


def row_disagreement(rows: CountRows, values: FloatArray, *, level: Level) -> FloatArray:
    """sum_ck n_c (n_k - [c = k]) d_ck / (m - 1) of each row [row]; not for ordinal."""
    counts, totals = rows.counts, rows.totals
    if level == "nominal":
        return np.asarray(totals**2 - counts.power(2).sum(axis=1)) / (totals - 1)
    if level == "interval":
        centered = _standardize(values)
        first, second = counts @ centered, counts @ centered**2
        return np.asarray(2 * (totals * second - first**2)) / (totals - 1)
    distances = _ratio_distances(values)
    size = max(1, ROW_CELLS // max(1, len(values)))
    blocks = (counts[start : start + size] for start in range(0, counts.shape[0], size))
    sums = [np.asarray(block.multiply(block @ distances).sum(axis=1)).ravel() for block in blocks]
    return np.asarray(np.concatenate(sums) / (totals - 1))


def chance_disagreement(
    values: FloatArray, *, level: Level
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """sum_ck a_c b_k d_ck of two sets of margins [replicate, class]; not for ordinal."""
    if level == "nominal":
        return lambda left, right: left.sum(axis=1) * right.sum(axis=1) - (left * right).sum(axis=1)
    if level == "interval":
        centered = _standardize(values)
        squares = centered**2

        def expected(left: FloatArray, right: FloatArray) -> FloatArray:
            cross = (left @ squares) * right.sum(axis=1) + left.sum(axis=1) * (right @ squares)
            return np.asarray(cross - 2 * (left @ centered) * (right @ centered))

        return expected
    distances = _ratio_distances(values)
    return lambda left, right: np.asarray(((left @ distances) * right).sum(axis=1))


def _ordinal_alpha(rows: CountRows, weights: FloatArray) -> FloatArray:
    """Interval alpha on the mid-ranks of each replicate, here as shares about the middle.

    The difference of two mid-ranks is sum_{g=c..k} n_g - (n_c + n_k) / 2.
    """
    margins = rows.class_sums(weights)
    totals = margins.sum(axis=1)
    ranks = (np.cumsum(margins, axis=1) - margins / 2) / totals[:, None] - 0.5
    first, second = rows.counts @ ranks.T, rows.counts @ ranks.T**2
    scatter = 2 * (rows.totals[:, None] * second - first**2) / (rows.totals - 1)[:, None]
    observed = np.einsum("br,rb->b", weights, scatter)
    mean, square = (margins * ranks).sum(axis=1), (margins * ranks**2).sum(axis=1)
    return _alpha(totals, observed, 2 * (totals * square - mean**2))


def _alpha(totals: FloatArray, observed: FloatArray, expected: FloatArray) -> FloatArray:
    """NaN where nothing is expected to differ, up to rounding."""
    is_defined = expected > ROUNDING * totals**2
    ratio = np.divide((totals - 1) * observed, expected, out=np.full_like(expected, np.nan), where=is_defined)
    return np.asarray(1 - ratio)


def _standardize(values: FloatArray) -> FloatArray:
    """Values about their middle, 1 at the farthest: alpha is the same, and squares do not cancel."""
    centered = values - values.mean()
    reach = np.abs(centered).max()
    return np.asarray(centered / reach if reach > 0 else centered)


def _ratio_distances(values: FloatArray) -> FloatArray:
    total = values[:, None] + values
    difference = values[:, None] - values
    return np.divide(difference, total, out=np.zeros_like(total), where=total > 0) ** 2


def class_values(table: LabelTable, level: Level) -> FloatArray:
    """What the classes of a table stand for on a level [class]: numbers, or their places 0, 1, ...

    Raises where the level needs numbers and there are names, and for ratio on a number below 0.
    """
    if level not in LEVELS:
        raise DataError(f"level is {level!r}; expected one of {', '.join(LEVELS)}")
    if level in ("nominal", "ordinal"):
        return np.arange(table.n_classes, dtype=np.float64)
    if not table.is_numeric:
        names = [value for value in table.classes if isinstance(value, str)]
        raise DataError(
            f"level {level!r} needs numbers, but a value is {names[0]!r}; give numbers or use level='nominal'"
        )
    values = np.array(table.classes, dtype=np.float64)
    if level == "ratio" and (values < 0).any():
        raise DataError(
            f"level 'ratio' needs numbers from 0 up, but a value is {values.min()}; use level='interval'"
        )
    return values
