"""Intraclass correlations of Shrout and Fleiss, also where not every annotator rated every item."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from accord.domain import DataError
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    Statistic,
    Units,
    bootstrap,
    number_clusters,
)
from accord.quality.agreement.result import NOTHING_PAIRABLE, Agreement, no_agreement
from accord.quality.labels import LabelTable

FORMS = ("icc_1_1", "icc_2_1", "icc_3_1", "icc_1_k", "icc_2_k", "icc_3_k")
NOT_SEPARABLE = (
    "ratings do not vary, or items, annotators and error cannot be told apart: "
    "that needs two items, and annotators who share items"
)
MIN_DETERMINANT = 1e-9
"""Of the scaled moment equations; below it items, annotators and error are not told apart."""


def intraclass_correlations(
    table: LabelTable,
    *,
    n_averaged: float | None = None,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> tuple[Agreement, ...]:
    """The six forms in the order of `FORMS`, for numbers on an interval scale.

    With a, b and e the variances of items, annotators and error:

        1,1  a / (a + e), one-way        2,1  a / (a + b + e)      3,1  a / (a + e)
        1,k  a / (a + e / k)             2,k  a / (a + (b + e) / k)  3,k  a / (a + e / k)

    Form 1 takes annotators as drawn anew for each item, 2 as drawn once (absolute agreement), 3 as fixed
    (consistency). On a complete table these are Shrout and Fleiss 1979, to the last digit. On an incomplete
    one, variances come from the moment equations of Henderson 1953, method 1, which coincide with
    the analysis of variance where it exists. `n_averaged` is k, the ratings that are averaged; by default the
    harmonic mean of the ratings an item. Items with one rating are left out. May be
    negative, as every moment estimate. Total agreement on items that differ is 1; one item, no variance
    or annotators who share no items give None with the reason.
    """
    if not table.is_numeric:
        raise DataError("intraclass correlations need numbers; give numbers or use a nominal coefficient")
    has_pair = table.labels_per_item >= 2
    keep = has_pair[table.item_index]
    if not keep.any():
        return tuple(no_agreement(form, NOTHING_PAIRABLE) for form in FORMS)
    numbers = None
    if clusters is not None:
        names = number_clusters(clusters, n_items=table.n_items)[has_pair]
        numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    table = table.select(keep)
    if n_averaged is None:
        n_averaged = float(1 / np.mean(1 / table.labels_per_item))
    units = Units(np.ones(table.n_items, dtype=np.int64), numbers)
    fit = bootstrap(_statistic(table, n_averaged), units, config=config, undefined=NOT_SEPARABLE)
    return tuple(
        Agreement(
            value=fit.values[i],
            low=fit.lows[i],
            high=fit.highs[i],
            n_items=table.n_items,
            n_ratings=table.n_labels,
            method=form,
            reason=fit.reasons[i],
        )
        for i, form in enumerate(FORMS)
    )


def _statistic(table: LabelTable, n_averaged: float) -> Statistic:
    """The forms as a function of the weights of items."""
    numbers = table.numbers - table.numbers.mean()
    reach = np.abs(numbers).max()
    numbers = numbers / reach if reach > 0 else numbers
    cells = (table.item_index, table.annotator_index)
    shape = (table.n_items, table.n_annotators)
    ratings = sparse.csr_array((numbers, cells), shape=shape)
    is_rated = sparse.csr_array((np.ones(len(numbers)), cells), shape=shape)
    size = table.labels_per_item.astype(np.float64)
    totals = np.bincount(table.item_index, weights=numbers)
    squares = np.bincount(table.item_index, weights=numbers**2)

    def statistic(weights: FloatArray) -> FloatArray:
        n_items, n_ratings = weights.sum(axis=1), weights @ size
        given = np.asarray((is_rated.T @ weights.T).T)
        sums = np.asarray((ratings.T @ weights.T).T)
        grand = (weights @ totals) ** 2 / n_ratings
        by_annotator = np.divide(sums**2, given, out=np.zeros_like(sums), where=given > 0).sum(axis=1)
        spread = np.stack([weights @ squares, weights @ (totals**2 / size), by_annotator], axis=1)
        design = _moment_equations(
            n_ratings=n_ratings,
            n_items=n_items,
            n_annotators=(given > 0).sum(axis=1).astype(np.float64),
            item_share=(weights @ size**2) / n_ratings,
            annotator_share=(given**2).sum(axis=1) / n_ratings,
        )
        return _forms(design, spread - grand[:, None], n_averaged)

    return statistic


def _moment_equations(
    *,
    n_ratings: FloatArray,
    n_items: FloatArray,
    n_annotators: FloatArray,
    item_share: FloatArray,
    annotator_share: FloatArray,
) -> FloatArray:
    """Coefficients [replicate, sum of squares, variance] of (a, b, e) in the expected sums of squares.

    Sums of squares about the grand mean: total, between items, between annotators.
    """
    total = [n_ratings - item_share, n_ratings - annotator_share, n_ratings - 1]
    items = [n_ratings - item_share, n_items - annotator_share, n_items - 1]
    annotators = [n_annotators - item_share, n_ratings - annotator_share, n_annotators - 1]
    return np.stack([np.stack(row, axis=1) for row in (total, items, annotators)], axis=1)


def _forms(design: FloatArray, spread: FloatArray, n_averaged: float) -> FloatArray:
    """Values [replicate, form]."""
    total, between = spread[:, 0], spread[:, 1]
    error_df, item_df = design[:, 0, 2] - design[:, 1, 2], design[:, 1, 2]
    nan = np.full(len(spread), np.nan)
    within = np.divide(total - between, error_df, out=nan.copy(), where=error_df > 0)
    is_one_way = (design[:, 1, 0] > 0) & (item_df > 0)
    one_way = np.divide(between - item_df * within, design[:, 1, 0], out=nan.copy(), where=is_one_way)
    scale = np.abs(design).max(axis=2, keepdims=True)
    scaled = np.divide(design, scale, out=np.zeros_like(design), where=scale > 0)
    is_solvable = np.abs(np.linalg.det(scaled)) > MIN_DETERMINANT
    variances = np.full_like(spread, np.nan)
    variances[is_solvable] = np.linalg.solve(design[is_solvable], spread[is_solvable][:, :, None])[:, :, 0]
    items, annotators, error = variances.T
    pairs = [(one_way, within), (items, annotators + error), (items, error)]
    singles = [_share(signal, noise) for signal, noise in pairs]
    averages = [_share(signal, noise / n_averaged) for signal, noise in pairs]
    return np.stack(singles + averages, axis=1)


def _share(signal: FloatArray, noise: FloatArray) -> FloatArray:
    """signal / (signal + noise); NaN where nothing varies or moments contradict each other."""
    total = signal + noise
    is_defined = total > 1e-12
    return np.divide(signal, total, out=np.full_like(total, np.nan), where=is_defined)
