"""Files of pairwise annotations against one baseline, as AlpacaEval keeps them, and their instructions.

Reads CSV, CSV.gz, JSON and JSON lines. Leaves out what is made of them.
"""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError

NO_NAME = ""


@dataclass(kw_only=True)
class Annotations:
    """One model's answers against the baseline's, [prompt] each."""

    rows: list[int] = field(default_factory=list)
    """Which instruction, from 0."""
    preferences: list[float] = field(default_factory=list)
    """Probability that the model's answer is better, in [0, 1]."""
    baseline_lengths: list[float] = field(default_factory=list)
    model_lengths: list[float] = field(default_factory=list)
    n_missing: int = 0
    """Rows without a preference; they count nowhere."""


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """What is known of each instruction, [instruction] each."""

    baseline_lengths: tuple[float, ...]
    difficulty: tuple[float, ...] | None
    """None where the file has none."""
    rewritten_lengths: tuple[tuple[float, ...], ...]
    """[rewriting][instruction] Lengths of rewritten baselines; empty where the file has none."""


TIE = 1.5


def read_annotations(path: Path) -> dict[str, Annotations]:
    """Model to its annotations, in the order of the file; a file without models has one without a name.

    `preference` is 1 where the baseline wins to 2 where the model does, 0 a tie as AlpacaEval first wrote it
    and still reads it, and missing where there is none. Lengths are `len_baseline` and `len_model`, or those
    of the texts `output_1` and `output_2`. `row` says which instruction it is; without it rows count from 0
    within each model. Raises `DataError`.
    """
    found: dict[str, Annotations] = {}
    seen: set[tuple[str, int]] = set()
    for line, row in _rows(path):
        model = str(row.get("model") or row.get("generator_2") or row.get("generator") or NO_NAME)
        one = found.setdefault(model, Annotations())
        number = int(_number(row, "row", path, line)) if row.get("row") not in (None, "") else None
        number = len(one.rows) + one.n_missing if number is None else number
        if number < 0:
            raise DataError(f"row is {number}; expected 0 or more", path=str(path), line=line)
        if (model, number) in seen:
            raise DataError(
                f"row {number} of model {model!r} is there twice; keep one", path=str(path), line=line
            )
        seen.add((model, number))
        if row.get("preference") in (None, ""):
            one.n_missing += 1
            continue
        preference = _number(row, "preference", path, line) or TIE
        if not 1 <= preference <= 2:
            raise DataError(
                f"preference is {preference}; expected 1 (baseline wins) to 2", path=str(path), line=line
            )
        one.rows.append(number)
        one.preferences.append(preference - 1)
        one.baseline_lengths.append(_length(row, "len_baseline", "output_1", path, line))
        one.model_lengths.append(_length(row, "len_model", "output_2", path, line))
    if found and not any(one.rows for one in found.values()):
        raise DataError("no row has a preference (1 the baseline wins to 2 the model does)", path=str(path))
    if not found:
        raise DataError("there is no annotation in it", path=str(path))
    return found


def read_instructions(path: Path) -> Instructions:
    """What a file tells of the instructions: `len_baseline`, `difficulty`, `len_gamed_*`."""
    rows = sorted(
        ((_number(row, "row", path, line) if row.get("row") not in (None, "") else at, line, row)
         for at, (line, row) in enumerate(_rows(path))),
        key=lambda one: one[0],
    )  # fmt: skip
    if not rows:
        raise DataError("there is no instruction in it", path=str(path))
    for place, (number, line, _) in enumerate(rows):
        if number != place:
            raise DataError(
                f"row {number:g} stands where {place} should; expected each row from 0 once",
                path=str(path),
                line=line,
            )
    names = list(rows[0][2])

    def column(name: str) -> tuple[float, ...]:
        return tuple(_number(row, name, path, line) for _, line, row in rows)

    return Instructions(
        baseline_lengths=column("len_baseline"),
        difficulty=column("difficulty") if "difficulty" in names else None,
        rewritten_lengths=tuple(column(name) for name in names if name.startswith("len_gamed_")),
    )


def _rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Line and row; a JSON array has no lines, its entries count from 1."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from error
    if text.lstrip()[:1] == "[":
        try:
            entries = list(enumerate(json.loads(text), start=1))
        except ValueError as error:
            raise DataError(f"is not JSON: {error}", path=str(path)) from error
    elif text.lstrip()[:1] == "{":
        entries = []
        for line, one in enumerate(text.splitlines(), start=1):
            try:
                entries += [(line, json.loads(one))] if one.strip() else []
            except ValueError as error:
                raise DataError(f"is not JSON: {error}", path=str(path), line=line) from error
    else:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            entries = [(reader.line_num, row) for row in reader]
        except csv.Error as error:
            raise DataError(f"is not CSV: {error}", path=str(path), line=reader.line_num) from error
    for line, row in entries:
        if not isinstance(row, dict):
            raise DataError(f"expected an object, got {type(row).__name__}", path=str(path), line=line)
    return entries


def _number(row: Mapping[str, Any], name: str, path: Path, line: int) -> float:
    if name not in row:
        names = ", ".join(map(str, row)) or "none"
        raise DataError(f"there is no {name!r}; the columns are {names}", path=str(path), line=line)
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{name} is {row[name]!r}; expected a number", path=str(path), line=line)
    return value


def _length(row: Mapping[str, Any], name: str, text_name: str, path: Path, line: int) -> float:
    text = row.get(text_name)
    if name not in row and isinstance(text, str):
        return float(len(text))
    return _number(row, name, path, line)
