"""A round's record and measurements as files, and in words."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from accord.domain.files import write_text_atomic
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.releasing import RoundRecord


def verdict_lines(record: RoundRecord) -> list[str]:
    """Each gate's verdict, and what became of the round."""
    lines = [f"{row['id']}: {row['verdict']} ({row['reason']})" for row in record.gates]
    ended = "released" if record.is_released else f"not released: {record.verdict}"
    return [*lines, f"round {record.number} {ended}"]


def write_json(path: Path, body: Any) -> None:
    """A body of plain values and records, whole or not at all."""
    write_text_atomic(path, json.dumps(body, indent=1, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    """Records as JSON; a number that is none is null."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    return {
        name: None if isinstance(one, float) and not math.isfinite(one) else one
        for name, one in asdict(value).items()
    }


def read_record(path: Path) -> RoundRecord:
    """A round's record from its file."""
    row = json.loads(path.read_text(encoding="utf-8"))
    return RoundRecord(**{**row, "gates": tuple(row["gates"])})


def write_measurements(path: Path, measurements: Sequence[Measurement]) -> None:
    """Measurements as `read_measurements` reads them."""
    rows = [{field.name: getattr(one, field.name) for field in fields(one)} for one in measurements]
    write_json(path, {"measurements": rows})


def read_measurements(path: Path) -> list[Measurement]:
    """What `write_measurements` wrote, number for number."""
    rows = json.loads(path.read_text(encoding="utf-8"))["measurements"]
    return [Measurement(**{**row, "estimate": _estimate(row["estimate"])}) for row in rows]


def _estimate(row: Mapping[str, Any]) -> Estimate:
    bounds = {name: math.nan if row[name] is None else row[name] for name in ("value", "low", "high")}
    return Estimate(**{**row, **bounds})
