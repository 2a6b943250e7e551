"""Rows that belong together: checked columns of numbers, and which rows share a prompt.

Leaves out every statistic; those that resample take `Clusters` and resample whole clusters.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain.errors import EvaluationError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def finite_array(values: ArrayLike, *, name: str, length: int | None = None) -> FloatArray:
    """`values` as a flat float64 array; raises on NaN, infinity, a wrong shape or a wrong length."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise EvaluationError(f"{name} has {array.ndim} dimensions; expected one number per row")
    if length is not None and len(array) != length:
        raise EvaluationError(f"{name} has {len(array)} rows, expected {length}: give one number per row")
    is_bad = ~np.isfinite(array)
    if is_bad.any():
        row = int(np.flatnonzero(is_bad)[0])
        raise EvaluationError(
            f"{name} has {int(is_bad.sum())} values that are not finite, the first in row {row}: "
            f"{array[row]}. Drop or repair these rows and count them."
        )
    return array


def share_array(values: ArrayLike, *, name: str, length: int | None = None) -> FloatArray:
    """`finite_array` whose values must lie in [0, 1]."""
    array = finite_array(values, name=name, length=length)
    if len(array) and (array.min() < 0.0 or array.max() > 1.0):
        raise EvaluationError(f"{name} must lie in [0, 1], got values from {array.min()} to {array.max()}")
    return array


@dataclass(frozen=True)
class Clusters:
    """Which cluster each row belongs to. Codes follow the sorted labels, so row order does not matter."""

    codes: IntArray
    """Shape [row], each in [0, count)."""
    count: int

    @classmethod
    def of(cls, labels: Sequence[Hashable] | None, *, rows: int) -> "Clusters":
        """Group rows by label (prompt id); None puts every row in a cluster of its own."""
        if labels is None:
            return cls(codes=np.arange(rows, dtype=np.int64), count=rows)
        if len(labels) != rows:
            raise EvaluationError(f"{len(labels)} prompt ids for {rows} rows; expected one each")
        distinct = sorted(set(labels), key=str)
        position = {label: i for i, label in enumerate(distinct)}
        return cls(codes=np.array([position[label] for label in labels], dtype=np.int64), count=len(distinct))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def is_single(self) -> bool:
        """True when no two rows share a cluster."""
        return self.count == self.rows

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of `values` within each cluster, shape [cluster]."""
        return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64)

    def select(self, is_kept: NDArray[np.bool_]) -> "Clusters":
        """The clusters of the kept rows only, renumbered without gaps."""
        kept, codes = np.unique(self.codes[is_kept], return_inverse=True)
        return Clusters(codes=codes.astype(np.int64), count=len(kept))
