"""Measurements as a JSON file: what every measuring command prints with --json, and what gates read.

    {"measurements": [{"metric": "win_rate", "slice": "all", "versus": "incumbent",
                       "estimate": {"value": 0.02, "low": -0.01, "high": 0.05, "n": 805}}],
     "not_measured": {"reward_accuracy_gap": "no pair names the group of its annotators"}}

A number that is null or missing is not measured; it never becomes a zero. `evidence` (parts of the report
that are no numbers) is read by `accord.evaluation.report.comparison.files`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

KNOWN = {"metric", "slice", "versus", "estimate", "deviation", "facts"}


@dataclass(frozen=True, kw_only=True)
class Results:
    """What one measuring command found."""

    measurements: tuple[Measurement, ...]
    not_measured: Mapping[str, str] = field(default_factory=dict)
    """Metric -> why there is no number."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Parts of the report, undecoded."""
    path: str = ""


def read_measurements(path: Path) -> list[Measurement]:
    """All measurements of a file; raises `DataError` naming the entry and its field."""
    return list(read_results(path).measurements)


def read_results(path: Path) -> Results:
    """Measurements, reasons and evidence of a file; raises `DataError` naming the entry and its field."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from error
    rows = data.get("measurements") if isinstance(data, Mapping) else None
    if not isinstance(rows, list):
        raise DataError('expected {"measurements": [...]}', path=str(path))
    parts = {name: data.get(name) or {} for name in ("not_measured", "evidence")}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise DataError(f"{name} is a {type(part).__name__}; expected an object", path=str(path))
    return Results(
        measurements=tuple(
            _measurement(row, f"measurements[{number}]", path) for number, row in enumerate(rows, start=1)
        ),
        not_measured={str(name): str(reason) for name, reason in parts["not_measured"].items()},
        evidence=parts["evidence"],
        path=str(path),
    )


def _measurement(row: Any, place: str, path: Path) -> Measurement:
    def refuse(text: str) -> DataError:
        return DataError(f"{place}: {text}", path=str(path))

    if not isinstance(row, Mapping):
        raise refuse(f"expected an object, got {type(row).__name__}")
    if strange := sorted(set(row) - KNOWN):
        raise refuse(f"{strange[0]!r} is not known; expected {', '.join(sorted(KNOWN))}")
    names = {"metric": row.get("metric"), "slice": row.get("slice", "all")}
    for name, value in names.items():
        if not isinstance(value, str) or not value:
            raise refuse(f"{name} is {value!r}; expected a text")
    versus = row.get("versus", "nothing")
    if versus not in ("nothing", "incumbent"):
        raise refuse(f"versus is {versus!r}; expected nothing or incumbent")
    found = row.get("estimate")
    if not isinstance(found, Mapping):
        raise refuse(f"estimate is {found!r}; expected an object with value, low, high and n")
    numbers = {name: _number(found.get(name)) for name in ("value", "low", "high")}
    count, confidence = found.get("n", 0), found.get("confidence", 0.95)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise refuse(f"n is {count!r}; expected a whole number")
    if not 0 < _number(confidence) < 1:
        raise refuse(f"confidence is {confidence!r}; expected a number between 0 and 1")
    if not (math.isnan(numbers["low"]) or numbers["low"] <= numbers["value"] <= numbers["high"]):
        raise refuse(f"value {numbers['value']} lies outside [{numbers['low']}, {numbers['high']}]")
    facts = row.get("facts", {})
    return Measurement(
        metric=names["metric"],
        slice=names["slice"],
        versus=versus,
        estimate=Estimate(
            **numbers, n=count, method=str(found.get("method", "")), confidence=float(confidence)
        ),
        facts=dict(facts) if isinstance(facts, Mapping) else {},
    )


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else math.nan
