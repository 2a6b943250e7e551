"""Percent agreement, Fleiss' kappa, and Cohen's kappa of two annotators, plain or weighted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from accord.domain import DataError
from accord.quality.agreement.coincidence import CountRows, rows_of_table
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    Units,
    bootstrap,
    number_clusters,
)
from accord.quality.agreement.result import (
    NO_VARIANCE,
    NOTHING_PAIRABLE,
    Agreement,
    agreement_of_rows,
    no_agreement,
)
from accord.quality.agreement.weights import Credit, credit_matrix
from accord.quality.labels import LabelTable


def percent_agreement(
    table: LabelTable,
    *,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Agreement:
    """Share of equal pairs among the pairs of ratings on an item, mean over items with two or more.

    Not corrected for chance: two annotators who always say the same common class agree fully.
    Total agreement is 1 without an interval; no item with two ratings gives None.
    """
    rows = _rows(table, clusters).pairable
    if not rows.n_items:
        return no_agreement("percent_agreement", NOTHING_PAIRABLE)
    matches = pair_credit(rows, np.eye(table.n_classes))

    def statistic(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ matches) / weights.sum(axis=1))[:, None]

    return agreement_of_rows(
        rows, statistic, method="percent_agreement", undefined=NO_VARIANCE, config=config
    )


def fleiss_kappa(
    table: LabelTable,
    *,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Agreement:
    """(p_a - p_e) / (1 - p_e) with p_a the percent agreement and p_e = sum_k share_k^2.

    Fleiss 1971 for a fixed number of ratings an item, by whichever annotators; nominal classes.
    With numbers that differ it is the extension of Gwet 2014, section 2.4: share_k is the mean over
    items of the item's share of class k, items with one rating included there. All ratings of
    one class: None, with the reason.
    """
    rows = _rows(table, clusters)
    return chance_corrected(
        rows,
        np.eye(table.n_classes),
        lambda shares: (shares**2).sum(axis=1),
        method="fleiss_kappa",
        undefined=NO_VARIANCE,
        config=config,
    )


def cohen_kappa(
    table: LabelTable,
    *,
    annotators: tuple[Any, Any] | None = None,
    credit: Credit = "identity",
    values: FloatArray | None = None,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Agreement:
    """Cohen's kappa of two annotators on the items both rated.

    kappa = (p_o - p_e) / (1 - p_e), both under the credit of each cell (Cohen 1960, 1968);
    `credit` linear and quadratic read the places of the classes, or their `values` [class] where
    given. `annotators` names the two; a table with exactly two needs no names. No shared item,
    or both always say the same one class: None with the reason.
    """
    method = "cohen_kappa" if credit == "identity" else f"cohen_kappa_{credit}"
    pair = _pair(table, annotators)
    items, (first, second) = _shared_ratings(table, pair)
    if not len(items):
        return no_agreement(method, f"annotators {pair[0]} and {pair[1]} share no item")
    numbers = None if clusters is None else number_clusters(clusters, n_items=table.n_items)[items]
    first, second, units = _cells(first, second, table.n_classes, numbers)
    matrix = credit_matrix(_places(table, values), credit=credit)
    earned = matrix[first, second]
    shape, at = (len(first), table.n_classes), np.arange(len(first))
    is_first = sparse.csr_array((np.ones(len(first)), (at, first)), shape=shape)
    is_second = sparse.csr_array((np.ones(len(first)), (at, second)), shape=shape)

    def statistic(weights: FloatArray) -> FloatArray:
        totals = weights.sum(axis=1)
        left, right = (is_first.T @ weights.T).T, (is_second.T @ weights.T).T
        chance = ((left @ matrix) * right).sum(axis=1) / totals**2
        return correct_for_chance((weights @ earned) / totals, chance)[:, None]

    fit = bootstrap(statistic, units, config=config, undefined=NO_VARIANCE)
    return Agreement(
        value=fit.values[0],
        low=fit.lows[0],
        high=fit.highs[0],
        n_items=len(items),
        n_ratings=2 * len(items),
        method=method,
        reason=fit.reasons[0],
    )


def chance_corrected(
    rows: CountRows,
    credit: FloatArray,
    chance: Any,
    *,
    method: str,
    undefined: str,
    config: BootstrapConfig,
) -> Agreement:
    """(p_a - p_e) / (1 - p_e): p_a from pairs on items, p_e = chance(shares [replicate, class])."""
    if not rows.pairable.n_items:
        return no_agreement(method, NOTHING_PAIRABLE)
    is_pairable = (rows.totals >= 2).astype(np.float64)
    earned = pair_credit(rows, credit)
    item_shares = sparse.diags_array(1 / rows.totals) @ rows.counts

    def statistic(weights: FloatArray) -> FloatArray:
        pairable = weights @ is_pairable
        observed = np.divide(
            weights @ earned, pairable, out=np.full(len(weights), np.nan), where=pairable > 0
        )
        shares = np.asarray((item_shares.T @ weights.T).T) / weights.sum(axis=1)[:, None]
        return correct_for_chance(observed, chance(shares))[:, None]

    return agreement_of_rows(rows, statistic, method=method, undefined=undefined, config=config)


def pair_credit(rows: CountRows, credit: FloatArray) -> FloatArray:
    """Mean credit of the pairs of ratings on an item [row]; 0 for a row with one rating."""
    counts, totals = rows.counts, rows.totals
    together = np.asarray(counts.multiply(counts @ credit).sum(axis=1)).ravel() - totals
    pairs = totals * (totals - 1)
    return np.divide(together, pairs, out=np.zeros_like(totals), where=pairs > 0)


def correct_for_chance(observed: FloatArray, chance: FloatArray) -> FloatArray:
    """(observed - chance) / (1 - chance); NaN where chance agreement is total, up to rounding."""
    left = 1 - chance
    return np.divide(observed - chance, left, out=np.full_like(left, np.nan), where=left > 1e-12)


def _rows(table: LabelTable, clusters: Sequence[Any] | None) -> CountRows:
    numbers = None if clusters is None else number_clusters(clusters, n_items=table.n_items)
    return rows_of_table(table, clusters=numbers)


def _places(table: LabelTable, values: FloatArray | None) -> FloatArray:
    return np.arange(table.n_classes, dtype=np.float64) if values is None else values


def _pair(table: LabelTable, annotators: tuple[Any, Any] | None) -> tuple[Any, Any]:
    present = table.annotators[np.unique(table.annotator_index)].tolist()
    if annotators is None:
        if len(present) != 2:
            raise DataError(
                f"Cohen's kappa is for two annotators and the table has {len(present)}; "
                f"name two of them, or use alpha or Fleiss' kappa for all"
            )
        return present[0], present[1]
    strangers = [name for name in annotators if name not in present]
    if strangers or annotators[0] == annotators[1]:
        raise DataError(f"annotators are {annotators!r}; expected two different ones of the table")
    return annotators


def _shared_ratings(
    table: LabelTable, pair: tuple[Any, Any]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Items both rated, and the class of each of the two on them."""
    items, classes = [], []
    for name in pair:
        is_his = table.annotators[table.annotator_index] == name
        items.append(table.item_index[is_his].astype(np.int64))
        classes.append(table.class_index[is_his].astype(np.int64))
    shared, at_first, at_second = np.intersect1d(items[0], items[1], assume_unique=True, return_indices=True)
    return shared, (classes[0][at_first], classes[1][at_second])


def _cells(
    first: NDArray[np.int64], second: NDArray[np.int64], n_classes: int, clusters: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], Units]:
    """Distinct cells of the cross table; one an item where clusters are drawn."""
    if clusters is not None:
        numbers = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
        return first, second, Units(np.ones(len(first), dtype=np.int64), numbers)
    cells, tally = np.unique(first * n_classes + second, return_counts=True)
    return cells // n_classes, cells % n_classes, Units(tally.astype(np.int64))
