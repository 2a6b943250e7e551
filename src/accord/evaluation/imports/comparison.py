"""Two imported runs compared: for each metric and task the paired difference, its interval and its test.

Right or wrong on items of their own: Bonett and Price's interval (2012) and McNemar's test. Everything
else: bootstrap and sign flips of whole clusters. Holm over all rows shown. Leaves out matching.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.imports.matching import Matched
from accord.evaluation.imports.record import ImportedItem
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.multiplicity import holm
from accord.evaluation.paired import EXACT_BELOW, mcnemar, paired_share_interval, sign_flip
from accord.evaluation.planning import detectable_effect

Verdict = Literal["better", "worse", "undecided", "not measured"]


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """Candidate minus incumbent in one metric on one slice."""

    metric: str
    slice: str
    """"all", or "task=NAME" where there are several tasks."""
    is_higher_better: bool
    candidate: Estimate
    incumbent: Estimate
    difference: Estimate
    clusters: int
    missing: int
    """Pairs left out because one of both has no score."""
    test: str
    """Which test gave the p-value; empty where nothing was measured."""
    p_value: float
    """Two-sided; NaN where nothing was measured."""
    adjusted_p: float
    """Holm over all rows."""
    deviation: float | None
    """Of one pair's contribution; None where all differences are equal."""
    detectable: float | None
    """The difference that so many pairs find with a power of 80 % at the level, uncorrected."""
    verdict: Verdict
    """By the adjusted p-value."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    metric: str
    slice: str
    clusters: int = 0
    missing: int = 0
    test: str = ""
    p_value: float = math.nan
    deviation: float | None = None
    levels: tuple[Estimate, Estimate, Estimate]


def compare_runs(
    matched: Matched, *, metrics: Sequence[str] = (), alpha: float = 0.05, seed: int = 0
) -> tuple[MetricDifference, ...]:
    """One row a metric over all tasks, and with several tasks one more for each; sorted by name.

    Only metrics that both runs have; `metrics` picks some of them. A metric of which no pair has both
    scores is a row that says not measured.
    """
    shared = sorted(set(matched.candidate.metrics) & set(matched.incumbent.metrics))
    strays = [name for name in metrics if name not in shared]
    if strays or not shared:
        said = f"metric {strays[0]!r} is not in both" if strays else "they have no metric in common"
        both = [", ".join(run.metrics) or "no score at all" for run in (matched.candidate, matched.incumbent)]
        raise EvaluationError(f"{said}: {both[0]} and {both[1]}")
    if not 0 < alpha < 1:
        raise EvaluationError(f"alpha is {alpha}; expected a number between 0 and 1")
    tasks = sorted({one.task for one, _ in matched.pairs})
    rows = []
    for metric in metrics or shared:
        pairs = [pair for pair in matched.pairs if all(metric in item.scores for item in pair)]
        rows.append(_row(metric, "all", pairs, 1 - alpha, seed))
        for task in tasks if len(tasks) > 1 else ():
            own = [pair for pair in pairs if pair[0].task == task]
            if own:
                rows.append(_row(metric, f"task={task}", own, 1 - alpha, seed))
    tested = [row.p_value for row in rows if not math.isnan(row.p_value)]
    adjusted = iter(holm(tested).tolist())
    lower = matched.candidate.lower_is_better | matched.incumbent.lower_is_better
    return tuple(
        _judged(row, math.nan if math.isnan(row.p_value) else next(adjusted), row.metric not in lower, alpha)
        for row in rows
    )


def to_measurements(
    differences: Sequence[MetricDifference], matched: Matched, *, seed: int = 0
) -> list[Measurement]:
    """What gates read: the difference against the incumbent and the candidate's level, of each row."""
    facts = {
        "candidate": matched.candidate.name,
        "incumbent": matched.incumbent.name,
        "sources": {**matched.candidate.sources, **matched.incumbent.sources},
        "seed": seed,
    }
    found = []
    for row in differences:
        told = {
            **facts,
            "p_value": _finite(row.p_value),
            "holm_p": _finite(row.adjusted_p),
            "test": row.test,
            "missing": row.missing,
            "detectable_effect": row.detectable,
        }
        found.append(
            Measurement(
                metric=row.metric,
                slice=row.slice,
                versus="incumbent",
                estimate=row.difference,
                deviation=row.deviation,
                facts=told,
            )
        )
        found.append(Measurement(metric=row.metric, slice=row.slice, estimate=row.candidate, facts=facts))
    return found


def _row(
    metric: str,
    name: str,
    pairs: Sequence[tuple[ImportedItem, ImportedItem]],
    confidence: float,
    seed: int,
) -> _Row:
    scores = np.array([[one.scores[metric], two.scores[metric]] for one, two in pairs]).reshape(-1, 2)
    is_there = np.isfinite(scores).all(axis=1)
    missing = int((~is_there).sum())
    if not is_there.any():
        nothing = Estimate(value=math.nan, n=0, method="not measured", confidence=confidence)
        return _Row(metric=metric, slice=name, missing=missing, levels=(nothing, nothing, nothing))
    candidate, incumbent = scores[is_there].T
    labels = [f"{one.task}\n{one.cluster}" for (one, _), kept in zip(pairs, is_there, strict=True) if kept]
    clusters = Clusters.of(labels, rows=len(labels))
    is_binary = bool(np.isin(scores[is_there], (0.0, 1.0)).all())
    difference, test, p_value = _difference(
        candidate, incumbent, labels, clusters, is_binary, confidence, seed
    )
    levels = tuple(
        (share_estimate if is_binary else mean_estimate)(values, labels, confidence=confidence, seed=seed)
        for values in (candidate, incumbent)
    )
    return _Row(
        metric=metric,
        slice=name,
        clusters=clusters.count,
        missing=missing,
        test=test,
        p_value=p_value,
        deviation=clustered_deviation(candidate - incumbent, clusters),
        levels=(levels[0], levels[1], difference),
    )


def _difference(
    candidate: FloatArray,
    incumbent: FloatArray,
    labels: Sequence[str],
    clusters: Clusters,
    is_binary: bool,
    confidence: float,
    seed: int,
) -> tuple[Estimate, str, float]:
    gain = candidate - incumbent
    if is_binary and clusters.is_single:
        found = mcnemar(candidate, incumbent)
        is_exact = found.only_candidate + found.only_incumbent < EXACT_BELOW
        name = "mcnemar exact" if is_exact else "mcnemar mid-p"
        return paired_share_interval(candidate, incumbent, confidence=confidence), name, found.p_value
    difference = mean_estimate(gain, labels, confidence=confidence, seed=seed)
    if np.ptp(gain) == 0:
        # Resampling equal differences would claim certainty.
        difference = Estimate(
            value=float(gain[0]), n=len(gain), method="no interval: equal differences", confidence=confidence
        )
    return difference, "sign flips", sign_flip(gain, labels, seed=seed)


def clustered_deviation(gain: FloatArray, clusters: Clusters) -> float | None:
    """sqrt(n) times the cluster-robust standard error of the mean; None for one cluster or no spread.

    SE^2 = G / (G - 1) * sum over clusters of (sum of gain - rows * mean)^2 / n^2 (Miller 2024, eq. 4).
    """
    if clusters.count < 2:
        return None
    centered = clusters.sums(gain - gain.mean())
    error = math.sqrt(clusters.count / (clusters.count - 1) * float(centered @ centered)) / len(gain)
    return error * math.sqrt(len(gain)) or None


def _judged(row: _Row, adjusted: float, is_higher_better: bool, alpha: float) -> MetricDifference:
    candidate, incumbent, difference = row.levels
    detectable = None
    if row.deviation is not None:
        detectable = detectable_effect(row.deviation, difference.n, alpha=alpha)
    verdict: Verdict = "undecided"
    if math.isnan(adjusted):
        verdict = "not measured"
    elif adjusted < alpha:
        verdict = "better" if (difference.value > 0) == is_higher_better else "worse"
    return MetricDifference(
        metric=row.metric,
        slice=row.slice,
        is_higher_better=is_higher_better,
        candidate=candidate,
        incumbent=incumbent,
        difference=difference,
        clusters=row.clusters,
        missing=row.missing,
        test=row.test,
        p_value=row.p_value,
        adjusted_p=adjusted,
        deviation=row.deviation,
        detectable=detectable,
        verdict=verdict,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
