"""Many tests at once: p-values adjusted so that findings are not those chance throws up."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError

FloatArray = NDArray[np.float64]


def adjust_holm(p_values: Sequence[float]) -> FloatArray:
    """Holm 1979: the chance of ANY false finding stays below the level, under any dependence.

    max over smaller ones of (tests left) * p, in the order given. No test gives no value; one is itself.
    """
    values, order = _sorted(p_values)
    raised = np.maximum.accumulate(values * np.arange(len(values), 0, -1))
    return _in_place(raised, order)


def adjust_benjamini_hochberg(p_values: Sequence[float]) -> FloatArray:
    """Benjamini and Hochberg 1995: the expected share of false findings stays below the level.

    min over larger ones of p * tests / rank, in the order given. For independent or positively
    dependent tests; under any dependence use `adjust_benjamini_yekutieli`.
    """
    values, order = _sorted(p_values)
    raised = values * len(values) / np.arange(1, len(values) + 1)
    return _in_place(np.minimum.accumulate(raised[::-1])[::-1], order)


def adjust_benjamini_yekutieli(p_values: Sequence[float]) -> FloatArray:
    """Benjamini and Yekutieli 2001: as Benjamini-Hochberg under any dependence, at a factor sum 1 / i."""
    factor = float((1 / np.arange(1, len(p_values) + 1)).sum())
    values, order = _sorted(p_values)
    raised = factor * values * len(values) / np.arange(1, len(values) + 1)
    return _in_place(np.minimum.accumulate(raised[::-1])[::-1], order)


def _sorted(p_values: Sequence[float]) -> tuple[FloatArray, NDArray[np.intp]]:
    values = np.asarray(p_values, dtype=np.float64)
    is_share = (values >= 0) & (values <= 1)
    if not is_share.all():
        at = int(np.argmin(is_share))
        raise DataError(
            f"p-value {at} is {values[at]}, expected a number from 0 to 1; leave undefined tests out"
        )
    order = np.argsort(values, kind="stable")
    return values[order], order


def _in_place(adjusted: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1.0)
    return result
