"""Items as distinct rows of class counts, and the coincidence matrix they give.

Every coefficient here but Cohen's and the intraclass correlations depends on an item only
through how many annotators gave it each class, so items with like counts are one row with a
multiplicity. Leaves out who gave which rating.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from accord.quality.agreement.resampling import FloatArray, Units
from accord.quality.labels import LabelTable

MAX_KEY = 2**62
"""Counts of an item are packed into one integer up to this; wider ones stay one row an item."""


@dataclass(frozen=True, eq=False)
class CountRows:
    """Class counts of items, one row for each distinct pattern where items may be drawn one by one."""

    counts: sparse.csr_array
    """[row, class] float64: how many annotators gave each class."""
    totals: FloatArray
    """[row] Ratings on an item of the row."""
    units: Units
    """How the rows are drawn again."""

    @property
    def n_items(self) -> int:
        """Items behind the rows."""
        return int(self.units.multiplicity.sum())

    @property
    def n_ratings(self) -> int:
        """Ratings behind the rows."""
        return int(self.units.multiplicity @ self.totals)

    def class_sums(self, weights: FloatArray) -> FloatArray:
        """Ratings of each class [replicate, class] under weights [replicate, row]."""
        return np.asarray((self.counts.T @ weights.T).T, dtype=np.float64)

    def select(self, keep: NDArray[np.bool_]) -> "CountRows":
        """The rows where `keep` [row] is True."""
        clusters = self.units.cluster_of_row
        if clusters is not None:
            clusters = np.unique(clusters[keep], return_inverse=True)[1].astype(np.int64)
        return CountRows(
            counts=self.counts[keep],
            totals=self.totals[keep],
            units=Units(self.units.multiplicity[keep], clusters),
        )

    @property
    def pairable(self) -> "CountRows":
        """Rows of items with two ratings or more; the others say nothing about agreement."""
        return self.select(self.totals >= 2)


def count_rows(
    item_index: NDArray[np.integer],
    class_index: NDArray[np.integer],
    *,
    n_items: int,
    n_classes: int,
    clusters: NDArray[np.int64] | None = None,
) -> CountRows:
    """Rows of the labels [label] of items, which may come in any order and may repeat annotators.

    With `clusters` [item], numbered without gaps, each item keeps its own row. Memory is linear
    in labels; where patterns fit one integer it is linear in items.
    """
    base = int(np.bincount(item_index, minlength=1).max()) + 1
    if clusters is None and n_classes * np.log2(base) < np.log2(MAX_KEY):
        return _distinct_rows(item_index, class_index, n_items=n_items, n_classes=n_classes, base=base)
    ones = np.ones(len(item_index))
    counts = sparse.csr_array((ones, (item_index, class_index)), shape=(n_items, n_classes))
    counts.sum_duplicates()
    return CountRows(
        counts=counts,
        totals=np.bincount(item_index, minlength=n_items).astype(np.float64),
        units=Units(np.ones(n_items, dtype=np.int64), clusters),
    )


def rows_of_table(table: LabelTable, *, clusters: NDArray[np.int64] | None = None) -> CountRows:
    """Rows of a table of labels."""
    return count_rows(
        table.item_index,
        table.class_index,
        n_items=table.n_items,
        n_classes=table.n_classes,
        clusters=clusters,
    )


def coincidence_matrix(table: LabelTable) -> FloatArray:
    """o[c, k] = sum over items of (ordered pairs of ratings c and k) / (ratings - 1).

    Krippendorff 2018, section 12.3. Symmetric; sums to the number of ratings on items that have
    two or more. Zeros where no item has two ratings.
    """
    rows = rows_of_table(table).pairable
    share = rows.units.multiplicity / (rows.totals - 1)
    scaled = sparse.diags_array(share) @ rows.counts
    together = np.asarray((rows.counts.T @ scaled).todense(), dtype=np.float64)
    alone = np.diag(np.asarray(share @ rows.counts, dtype=np.float64))
    return together - alone


def _distinct_rows(
    item_index: NDArray[np.integer],
    class_index: NDArray[np.integer],
    *,
    n_items: int,
    n_classes: int,
    base: int,
) -> CountRows:
    """Counts of an item as the digits of one number, so that like items share a number."""
    digits = base ** np.arange(n_classes, dtype=np.int64)
    if base**n_classes < 2**53:  # sums of floats are exact up to there, and faster
        keys = np.bincount(item_index, weights=digits[class_index], minlength=n_items).astype(np.int64)
    else:
        keys = np.zeros(n_items, dtype=np.int64)
        np.add.at(keys, item_index, digits[class_index])
    if base**n_classes <= 4 * n_items:
        tally = np.bincount(keys)
        distinct = np.flatnonzero(tally)
        multiplicity = tally[distinct]
    else:
        distinct, multiplicity = np.unique(keys, return_counts=True)
    counts = distinct[:, None] // digits % base
    return CountRows(
        counts=sparse.csr_array(counts.astype(np.float64)),
        totals=counts.sum(axis=1).astype(np.float64),
        units=Units(multiplicity.astype(np.int64)),
    )
