"""Several reward models together: whether their disagreement tells when they are wrong, and combined rewards.

Leaves out training the members; it takes their rewards.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, finite_array, share_array
from accord.evaluation.intervals import Estimate, bootstrap_estimate, clustered_share

Rule = Literal["mean", "worst_case", "variance_penalty"]

COVERAGES = tuple(round(0.1 * i, 1) for i in range(1, 11))


@dataclass(frozen=True, kw_only=True)
class RiskPoint:
    """Error rate on the pairs the ensemble is surest of."""

    coverage: float
    risk: Estimate


@dataclass(frozen=True, kw_only=True)
class EnsembleHealth:
    """What the disagreement of reward models is worth."""

    accuracy: Estimate
    """Of the mean margin, on pairs with a preferred side; a mean margin of 0 counts one half."""
    member_accuracy: tuple[float, ...]
    variance_auroc: Estimate
    """Chance that a wrongly decided pair has a higher variance of the margin over members than a rightly
    decided one; 0.5 is worthless. NaN when all pairs are right or all wrong."""
    margin_auroc: Estimate
    """The same with a small |mean margin| as the warning: what one model gives for free."""
    risk_coverage: tuple[RiskPoint, ...]
    """By keeping the pairs of lowest variance."""
    area_under_risk: float
    """Mean risk over all coverages 1/n .. 1."""
    excess_area: float
    """That, less the area of an oracle that drops the wrong pairs first; 0 is the best."""
    n: int


def measure_ensemble(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> EnsembleHealth:
    """Health of an ensemble from margins of shape [member, pair], chosen minus rejected.

    Needs two members or more on comparable scales. Pairs whose label prefers neither side are
    left out; none left raises. Intervals are clustered by prompt.
    """
    table = member_rewards(margins)
    label = share_array(p_chosen, name="p_chosen", length=table.shape[1])
    is_decided = label != 0.5
    if not is_decided.any():
        raise EvaluationError(f"no pair has a preferred side ({len(label)} pairs); nothing can be wrong")
    clusters = Clusters.of(prompt_ids, rows=len(label)).select(is_decided)
    signed = table[:, is_decided] * np.sign(label[is_decided] - 0.5)
    mean, variance = signed.mean(axis=0), signed.var(axis=0, ddof=1)
    hits = 0.5 + 0.5 * np.sign(mean)
    errors = 1.0 - hits

    def area(warning: FloatArray) -> Estimate:
        return bootstrap_estimate(
            lambda weights: weighted_auroc(warning, errors, weights),
            clusters,
            method="percentile",
            seed=seed,
        )

    order = np.lexsort((np.arange(len(variance)), variance))
    points = []
    for coverage in COVERAGES:
        is_kept = np.zeros(len(order), dtype=bool)
        is_kept[order[: max(1, round(coverage * len(order)))]] = True
        risk = clustered_share(errors[is_kept], clusters.select(is_kept), seed=seed)
        points.append(RiskPoint(coverage=coverage, risk=risk))
    under = area_under_risk(variance, errors)
    return EnsembleHealth(
        accuracy=clustered_share(hits, clusters, seed=seed),
        member_accuracy=tuple(float((0.5 + 0.5 * np.sign(row)).mean()) for row in signed),
        variance_auroc=area(variance),
        margin_auroc=area(-np.abs(mean)),
        risk_coverage=tuple(points),
        area_under_risk=under,
        excess_area=under - area_under_risk(errors, errors),
        n=len(hits),
    )


def weighted_auroc(scores: FloatArray, positives: FloatArray, weights: FloatArray | None = None) -> float:
    """P(score of a positive > score of a negative), equal scores counting one half.

    `positives` lie in [0, 1]; a row counts as positive with that weight and as negative with
    the rest. NaN when either class has no weight.
    """
    weight = np.ones_like(scores) if weights is None else weights
    _, codes = np.unique(scores, return_inverse=True)
    positive = np.bincount(codes, weights=weight * positives)
    negative = np.bincount(codes, weights=weight * (1.0 - positives))
    total = float(positive.sum() * negative.sum())
    if total <= 0:
        return math.nan
    below = np.cumsum(negative) - 0.5 * negative
    return float(positive @ below) / total


def area_under_risk(uncertainty: ArrayLike, errors: ArrayLike) -> float:
    """Mean error rate over the k surest pairs, k = 1 .. n; pairs of equal uncertainty share their errors."""
    level = finite_array(uncertainty, name="uncertainty")
    error = share_array(errors, name="errors", length=len(level))
    if not len(error):
        raise EvaluationError("there are no pairs (n = 0)")
    codes = rankdata(level, method="dense").astype(np.int64) - 1
    shared = np.bincount(codes, weights=error) / np.bincount(codes)
    ordered = np.sort(codes)
    return float((np.cumsum(shared[ordered]) / np.arange(1, len(error) + 1)).mean())


def combine_rewards(rewards: ArrayLike, rule: Rule, *, penalty: float = 1.0) -> FloatArray:
    """One reward per row from rewards of shape [member, row] (Coste et al. 2023).

    "mean"; "worst_case": the lowest member; "variance_penalty": mean - penalty * variance
    (divided by the number of members). Members must share a scale: standardize each on the
    start's answers first. None of these removes an error that all members share.
    """
    table = member_rewards(rewards)
    if rule == "worst_case":
        return np.asarray(table.min(axis=0))
    mean = table.mean(axis=0)
    return np.asarray(mean if rule == "mean" else mean - penalty * table.var(axis=0))


def member_rewards(values: ArrayLike) -> FloatArray:
    """Checked float64 table [member, row] with two members or more and one row or more."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise EvaluationError(
            f"an ensemble needs rewards of shape [member, row] with two members and one row or more, "
            f"got shape {table.shape}"
        )
    for i, row in enumerate(table):
        finite_array(row, name=f"rewards of member {i}")
    return table
