"""Accuracy by group of annotators, domain or topic, with intervals that hold for all groups at once.

Leaves out finding groups; each row comes with its own.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, share_array
from accord.evaluation.intervals import Estimate
from accord.evaluation.simultaneous import max_t_critical

MIN_GROUP = 30
"""Rows below which a group's accuracy is not shown."""
MIN_GROUP_PROMPTS = 5
"""Prompts below which a group's error has no estimate: resampling two prompts knows nothing of a third."""
RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class GroupAccuracy:
    """One group."""

    name: str
    accuracy: Estimate
    n_prompts: int


@dataclass(frozen=True, kw_only=True)
class GroupReport:
    """All groups large enough to be measured."""

    groups: tuple[GroupAccuracy, ...]
    """By name. ALL intervals hold together with the stated confidence."""
    worst: str
    """Group of the lowest observed accuracy (first by name among equals)."""
    worst_accuracy: Estimate
    """Bounds for the accuracy of whichever group is truly worst: the least lower and least upper bound."""
    difference: Estimate
    """Best minus worst observed; bounds from the simultaneous intervals, at least 0 and conservative."""
    ratio: float
    """Worst over best observed; NaN where the best is 0."""
    too_few: dict[str, int]
    """Groups that are not measured, with their rows."""
    critical_value: float
    """What replaced 1.96."""


def measure_groups(
    hits: ArrayLike,
    groups: Sequence[str],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    min_group: int = MIN_GROUP,
    confidence: float = 0.95,
    seed: int = 0,
) -> GroupReport:
    """Worst-group accuracy from hits in [0, 1] (1 right, 0 wrong, 0.5 equal rewards).

    The critical value is the quantile of max |t| over groups under normal weights on whole prompts,
    so groups that share prompts are treated as such. Each interval is Wilson's with that value
    and the sample size that the clustered standard error amounts to, so it stays in [0, 1] and
    has no zero width when a group is all right. No group of `min_group` rows on 5 prompts raises.
    """
    hit = share_array(hits, name="hits", length=len(groups))
    clusters = Clusters.of(prompt_ids, rows=len(hit))
    names = np.array([str(group) for group in groups])
    kept: list[str] = []
    too_few = {}
    for name in sorted(set(names.tolist())):
        is_in = names == name
        n_prompts = len(np.unique(clusters.codes[is_in]))
        if is_in.sum() < min_group or n_prompts < MIN_GROUP_PROMPTS:
            too_few[name] = int(is_in.sum())
        else:
            kept.append(name)
    if not kept:
        raise EvaluationError(
            f"no group has {min_group} rows on {MIN_GROUP_PROMPTS} prompts (groups: {too_few or 'none'}); "
            f"collect more or join groups before looking at their accuracy"
        )
    upper = np.stack([clusters.sums(hit * (names == name)) for name in kept])
    lower = np.stack([clusters.sums((names == name).astype(np.float64)) for name in kept])
    errors = _standard_errors(upper, lower)
    critical = _critical_value(upper, lower, errors, confidence, seed)
    rows = [
        GroupAccuracy(
            name=name,
            accuracy=_interval(upper[i], lower[i], float(errors[i]), critical, confidence),
            n_prompts=int((lower[i] > 0).sum()),
        )
        for i, name in enumerate(kept)
    ]
    return _report(rows, too_few, critical)


def _report(rows: list[GroupAccuracy], too_few: dict[str, int], critical: float) -> GroupReport:
    worst = min(rows, key=lambda row: row.accuracy.value)
    best = max(rows, key=lambda row: row.accuracy.value)
    low = min(row.accuracy.low for row in rows)
    high = min(row.accuracy.high for row in rows)
    top_low = max(row.accuracy.low for row in rows)
    top_high = max(row.accuracy.high for row in rows)
    n = sum(row.accuracy.n for row in rows)
    method = f"max-t, {len(rows)} groups"
    share = worst.accuracy
    return GroupReport(
        groups=tuple(rows),
        worst=worst.name,
        worst_accuracy=Estimate(
            value=share.value, low=low, high=high, n=share.n, method=method, confidence=share.confidence
        ),
        difference=Estimate(
            value=best.accuracy.value - share.value,
            low=max(0.0, top_low - high),
            high=top_high - low,
            n=n,
            method=method,
            confidence=share.confidence,
        ),
        ratio=share.value / best.accuracy.value if best.accuracy.value > 0 else math.nan,
        too_few=too_few,
        critical_value=critical,
    )


def _standard_errors(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """Clustered standard error of each group's share, linearized, with the n / (n - 1) of its prompts."""
    share = upper.sum(axis=1) / lower.sum(axis=1)
    residual = upper - share[:, None] * lower
    count = (lower > 0).sum(axis=1)
    return np.asarray(np.sqrt((residual**2).sum(axis=1) * count / (count - 1)) / lower.sum(axis=1))


def _critical_value(
    upper: FloatArray, lower: FloatArray, errors: FloatArray, confidence: float, seed: int
) -> float:
    """Quantile of max |t| over groups; never below the two-sided normal one of a single group."""
    is_varying = errors > 0
    if not is_varying.any():
        return float(ndtri(0.5 + confidence ** (1.0 / len(errors)) / 2))
    share = upper.sum(axis=1) / lower.sum(axis=1)
    influence = (upper - share[:, None] * lower)[is_varying] / lower.sum(axis=1)[is_varying, None]
    generator = np.random.default_rng(seed)
    signs = generator.standard_normal(size=(RESAMPLES, upper.shape[1]))
    draws = signs @ influence.T
    return max_t_critical(draws, np.zeros(len(influence)), errors[is_varying], confidence=confidence)


def _interval(
    upper: FloatArray, lower: FloatArray, error: float, critical: float, confidence: float
) -> Estimate:
    share = float(upper.sum() / lower.sum())
    n_rows, n_prompts = int(lower.sum()), int((lower > 0).sum())
    spread = share * (1.0 - share)
    size = min(spread / error**2, float(n_rows)) if error > 0 else float(n_prompts)
    shrink = 1.0 + critical**2 / size
    center = (share + critical**2 / (2 * size)) / shrink
    half = critical / shrink * math.sqrt(spread / size + critical**2 / (4 * size**2))
    return Estimate(
        value=share,
        low=max(0.0, center - half),
        high=min(1.0, center + half),
        n=n_rows,
        method=f"wilson at max-t {critical:.2f}, {n_prompts} clusters",
        confidence=confidence,
    )
