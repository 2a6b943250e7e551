"""Many p-values at once: Holm for "did any slice get worse?", Benjamini-Hochberg for tables to look through.

A release whose gates must all pass needs neither: each gate is held at the whole level (intersection-union
test). Leaves out where the p-values come from.
"""

import numpy as np
from numpy.typing import ArrayLike

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values, in the order given; the family-wise error rate is held (Holm 1979).

        adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), p sorted upwards

    Empty input gives an empty answer; values outside [0, 1] raise.
    """
    values, order = _sorted(p_values)
    steps = np.minimum(1.0, values[order] * np.arange(len(values), 0, -1))
    return _unsorted(np.maximum.accumulate(steps), order)


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values, in the order given; the false discovery rate is held (Benjamini, Hochberg 1995).

        adjusted_(i) = min over j >= i of min(1, m p_(j) / j), p sorted upwards

    For independent or positively dependent tests. Empty input gives an empty answer.
    """
    values, order = _sorted(p_values)
    steps = np.minimum(1.0, values[order] * len(values) / np.arange(1, len(values) + 1))
    return _unsorted(np.minimum.accumulate(steps[::-1])[::-1], order)


def _sorted(p_values: ArrayLike) -> tuple[FloatArray, np.ndarray]:
    values = np.asarray(p_values, dtype=float)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise EvaluationError("p-values must be one row of numbers in [0, 1]; leave out what was not tested")
    return values, np.argsort(values, kind="stable")


def _unsorted(adjusted: FloatArray, order: np.ndarray) -> FloatArray:
    found = np.empty(len(order))
    found[order] = adjusted
    return found
