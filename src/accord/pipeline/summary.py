"""Logged rows of a run in a few numbers a metric; draws nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One metric over the steps of one stage."""

    stage: str
    """Folder of the stage below the run; empty for the run's own metrics."""
    kind: str
    """`step` for training, `eval` for held-out evaluation."""
    name: str
    count: int
    """Rows with a finite value."""
    first: float
    last: float
    low: float
    high: float
    last_step: int
    """Step of the last finite value."""


def summarize_metrics(rows: Iterable[Mapping[str, Any]]) -> list[MetricSummary]:
    """First, last, lowest and highest value of each metric, in order of first appearance.

    Rows as `Run.metrics` yields them. A value that was not finite (stored as null) is not counted;
    a metric that never was finite is left out.
    """
    series: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row["metrics"].items():
            if value is not None:
                key = (row.get("stage", ""), row.get("kind", "step"), name)
                series.setdefault(key, []).append((row["step"], value))
    return [
        MetricSummary(
            stage=stage,
            kind=kind,
            name=name,
            count=len(points),
            first=points[0][1],
            last=points[-1][1],
            low=min(value for _, value in points),
            high=max(value for _, value in points),
            last_step=points[-1][0],
        )
        for (stage, kind, name), points in series.items()
    ]
