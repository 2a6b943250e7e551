"""Two models on the same items of a suite: paired differences of every number that is a mean over items.

A number is taken where scoring the items one by one and averaging gives it back, or where the suite gives it
as a function of weights (leans, balanced halves, slopes); others are left out by name. Leaves out asking.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.comparison.columns import INCUMBENT, difference_measurement
from accord.evaluation.intervals import bootstrap_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.suites.source import Row
from accord.evaluation.suites.suite import Statistic, Suite, SuiteRun

AGREES = 1e-9
"""How near the mean over items must come to the suite's own number."""
CLUSTERS = ("question_index", "topic", "occupation", "schema")
"""Columns that tell which items were made alike, the first that is there; resampled together."""


@dataclass(frozen=True, kw_only=True)
class PairedSuite:
    """Candidate and incumbent on one suite."""

    measurements: tuple[Measurement, ...]
    """The candidate's numbers, the incumbent's (slice "side=incumbent"), and the differences."""
    not_paired: tuple[str, ...]
    """Numbers that have no paired difference here."""


def pair_suites(suite: Suite, candidate: SuiteRun, incumbent: SuiteRun, *, seed: int = 0) -> PairedSuite:
    """Score both, and every difference over all items with its tests; other items raise `DataError`."""
    if candidate.suite != incumbent.suite or candidate.items != incumbent.items:
        raise DataError("the two runs are not of the same items of one suite; ask both models the same")
    own, other = suite.score(candidate, seed=seed), suite.score(incumbent, seed=seed)
    measured = [*own, *(replace(one, slice=_beside(one.slice)) for one in other)]
    levels = [{one.metric: one.estimate.value for one in side if one.slice == "all"} for side in (own, other)]
    rows = [_by_item(suite, side, tuple(levels[0])) for side in (candidate, incumbent)]
    ids = [_cluster(item, i) for i, item in enumerate(candidate.items)]
    joint = _joint(suite, candidate, incumbent, ids, seed)
    left_out = []
    for metric in levels[0]:
        columns = [np.array([row.get(metric, math.nan) for row in side]) for side in rows]
        is_there = np.isfinite(columns[0]) & np.isfinite(columns[1])
        if not is_there.any() or not all(
            math.isclose(float(column[is_there].mean()), side[metric], abs_tol=AGREES)
            for column, side in zip(columns, levels, strict=True)
        ):
            if (metric, "all") not in joint:
                left_out.append(metric)
            continue
        first, second = (column[is_there] for column in columns)
        is_share = bool(min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 1)
        measured.append(
            difference_measurement(
                metric,
                first,
                second,
                [one for one, kept in zip(ids, is_there, strict=True) if kept],
                is_share=is_share,
                seed=seed,
                facts={**candidate.facts, "incumbent": incumbent.facts.get("model")},
            )
        )
    known = {(one.metric, one.slice) for one in measured if one.versus == "incumbent"}
    measured += [one for key, one in joint.items() if key not in known]
    return PairedSuite(measurements=tuple(measured), not_paired=tuple(left_out))


def _joint(
    suite: Suite, candidate: SuiteRun, incumbent: SuiteRun, ids: Sequence[str], seed: int
) -> dict[tuple[str, str], Measurement]:
    """Differences of the suite's own statistics, the items of both resampled together."""
    own, other = suite.statistics(candidate), suite.statistics(incumbent)
    clusters = Clusters.of(ids, rows=len(ids))
    facts = {**candidate.facts, "incumbent": incumbent.facts.get("model")}
    found = {}
    for key in own:
        if key not in other:
            continue
        estimate = bootstrap_estimate(
            partial(_gap, own[key], other[key]), clusters, method="percentile", seed=seed
        )
        metric, slice_name = key
        found[key] = Measurement(
            metric=metric, slice=slice_name, versus="incumbent", estimate=estimate, facts=dict(facts)
        )
    return found


def _gap(first: Statistic, second: Statistic, weights: FloatArray) -> float:
    return first(weights) - second(weights)


def _by_item(suite: Suite, run: SuiteRun, metrics: tuple[str, ...]) -> list[dict[str, float]]:
    """[item] the suite's numbers on that item alone; what an item has no say in is not there."""
    rows = []
    for item, answer in zip(run.items, run.answers, strict=True):
        try:
            alone = suite.score(replace(run, items=(item,), answers=(answer,)))
        except (DataError, EvaluationError):
            alone = []
        rows.append(
            {
                one.metric: one.estimate.value
                for one in alone
                if one.slice == "all" and one.metric in metrics and math.isfinite(one.estimate.value)
            }
        )
    return rows


def _beside(slice_name: str) -> str:
    return INCUMBENT if slice_name == "all" else f"{slice_name},{INCUMBENT}"


def _cluster(item: Row, place: int) -> str:
    name = next((name for name in CLUSTERS if item.get(name) is not None), None)
    if name is None:
        return str(place)
    # Question templates are numbered anew in every category.
    return f"{item.get('category', '')}|{item[name]}" if name == "question_index" else str(item[name])
