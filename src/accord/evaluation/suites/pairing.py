"""Two models on the same items of a suite: paired differences of every number that is a mean over items.

A number is taken where scoring the items one by one and averaging gives it back; slopes, gaps and balanced
halves are not of that kind and are left out by name. Leaves out asking the models.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.comparison.columns import INCUMBENT, difference_measurement
from accord.evaluation.measurement import Measurement
from accord.evaluation.suites.source import Row
from accord.evaluation.suites.suite import Suite, SuiteRun

AGREES = 1e-9
"""How near the mean over items must come to the suite's own number."""
CLUSTERS = ("question_index", "topic", "occupation")
"""Columns that tell which items were made alike; resampled together."""


@dataclass(frozen=True, kw_only=True)
class PairedSuite:
    """Candidate and incumbent on one suite."""

    measurements: tuple[Measurement, ...]
    """The candidate's numbers, the incumbent's (slice "side=incumbent"), and the differences."""
    not_paired: tuple[str, ...]
    """Numbers that are no means over items, and so have no paired difference here."""


def pair_suites(suite: Suite, candidate: SuiteRun, incumbent: SuiteRun, *, seed: int = 0) -> PairedSuite:
    """Score both, and every difference over all items with its tests; other items raise `DataError`."""
    if candidate.suite != incumbent.suite or candidate.items != incumbent.items:
        raise DataError("the two runs are not of the same items of one suite; ask both models the same")
    own, other = suite.score(candidate, seed=seed), suite.score(incumbent, seed=seed)
    measured = [*own, *(replace(one, slice=_beside(one.slice)) for one in other)]
    levels = [{one.metric: one.estimate.value for one in side if one.slice == "all"} for side in (own, other)]
    rows = [_by_item(suite, side, tuple(levels[0])) for side in (candidate, incumbent)]
    ids = [_cluster(item, i) for i, item in enumerate(candidate.items)]
    left_out = []
    for metric in levels[0]:
        columns = [np.array([row.get(metric, math.nan) for row in side]) for side in rows]
        is_there = np.isfinite(columns[0]) & np.isfinite(columns[1])
        if not is_there.any() or not all(
            math.isclose(float(column[is_there].mean()), side[metric], abs_tol=AGREES)
            for column, side in zip(columns, levels, strict=True)
        ):
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
    return PairedSuite(measurements=tuple(measured), not_paired=tuple(left_out))


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
    found = [str(item.get(name)) for name in CLUSTERS if item.get(name) is not None]
    return "|".join(found) if found else str(place)
