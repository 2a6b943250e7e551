"""Population stability index of one number or one category: how far its distribution has moved, bin by bin.

Leaves out several features at once (`two_sample.py`, `classifier.py`).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, finite_array

BINS = 10
SMOOTHING = 0.5
"""Rows added to every bin of both sides: an empty bin would make the index infinite."""
MODERATE = 0.1
LARGE = 0.25


class Shift(StrEnum):
    """Customary reading of the index; the p-value says whether it could be chance."""

    SMALL = "small"
    """Under 0.1."""
    MODERATE = "moderate"
    """0.1 to under 0.25."""
    LARGE = "large"
    """0.25 and over."""


@dataclass(frozen=True, kw_only=True)
class StabilityBin:
    """One bin or category."""

    label: str
    reference_share: float
    current_share: float


@dataclass(frozen=True, kw_only=True)
class Stability:
    """The index and its parts."""

    index: float
    """sum_k (q_k - p_k) ln(q_k / p_k) over smoothed shares; 0 for equal ones."""
    expected: float
    """What two samples of these sizes give without drift: (bins - 1) (1/n + 1/m)."""
    p_value: float
    """Of index / (1/n + 1/m) as chi-squared with bins - 1 degrees of freedom: rows must be independent
    (one a prompt), and bins should expect 5 rows or more."""
    bins: tuple[StabilityBin, ...]

    @property
    def shift(self) -> Shift:
        """Small, moderate or large."""
        return Shift.SMALL if self.index < MODERATE else Shift.MODERATE if self.index < LARGE else Shift.LARGE


def measure_stability(reference: ArrayLike, current: ArrayLike, *, bins: int = BINS) -> Stability:
    """Index of a number (length, reward, perplexity) over quantile bins of the POOLED values.

    Pooled edges, unlike the reference's own, keep the p-value's level when the reference is
    small. Equal values share a bin, so there may be fewer. An empty side, or a number that
    never varies, raises.
    """
    old = finite_array(reference, name="reference values")
    new = finite_array(current, name="current values")
    if not len(old) or not len(new):
        raise EvaluationError(f"stability needs values on both sides, got {len(old)} and {len(new)}")
    pooled = np.concatenate([old, new])
    edges = np.unique(np.quantile(pooled, np.arange(1, bins) / bins, method="inverted_cdf"))
    edges = edges[edges < pooled.max()]
    if not len(edges):
        raise EvaluationError(f"all values lie in one bin around {pooled.max():g}; there is no distribution")
    counts = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=len(edges) + 1)
        for side in (old, new)
    ]
    ends = [*(f"{edge:g}" for edge in edges), "max"]
    starts = ["min", *(f"over {edge:g}" for edge in edges)]
    labels = [f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
    return _stability(labels, counts[0].astype(np.float64), counts[1].astype(np.float64))


def measure_category_stability(reference: Sequence[Hashable], current: Sequence[Hashable]) -> Stability:
    """The same for categories (topic, language), one bin each.

    One category in all, or an empty side, raises.
    """
    names = sorted({*reference, *current}, key=str)
    if not len(reference) or not len(current) or len(names) < 2:
        raise EvaluationError(
            f"stability needs rows on both sides and two categories, got {len(reference)} and {len(current)} "
            f"rows of {len(names)} categories"
        )
    position = {name: i for i, name in enumerate(names)}
    counts = [
        np.bincount([position[name] for name in side], minlength=len(names)) for side in (reference, current)
    ]
    return _stability(
        [str(name) for name in names], counts[0].astype(np.float64), counts[1].astype(np.float64)
    )


def _stability(labels: Sequence[str], old: FloatArray, new: FloatArray) -> Stability:
    scale = 1.0 / old.sum() + 1.0 / new.sum()
    p_share = (old + SMOOTHING) / (old + SMOOTHING).sum()
    q_share = (new + SMOOTHING) / (new + SMOOTHING).sum()
    index = float(((q_share - p_share) * np.log(q_share / p_share)).sum())
    freedom = len(labels) - 1
    return Stability(
        index=index,
        expected=freedom * float(scale),
        p_value=float(chi2.sf(index / scale, freedom)),
        bins=tuple(
            StabilityBin(label=label, reference_share=float(p), current_share=float(q))
            for label, p, q in zip(labels, old / old.sum(), new / new.sum(), strict=True)
        ),
    )
