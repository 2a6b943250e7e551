"""Rows of a public data file, with the digest of what was read.

Leaves out what the columns mean (each suite's file) and downloading: files come by path.
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError

Row = Mapping[str, Any]
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a file held."""

    path: str
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    """Line each row ends on, from 1, for messages."""
    digest: str
    """SHA-256 of the file as it lies on disk."""


def read_source(path: str | Path) -> Source:
    """Read JSONL, JSON (a list), CSV or TSV, each also as .gz; raises DataError with file and line."""
    place = Path(path)
    try:
        content = place.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
    suffixes = [suffix.lower() for suffix in place.suffixes]
    try:
        plain = gzip.decompress(content) if suffixes[-1:] == [".gz"] else content
        text = plain.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(
            f"is not {'gzip of ' if '.gz' in suffixes else ''}UTF-8 text: {error}", path=str(path)
        ) from error
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    readers: Mapping[str, Callable[[str, str], list[tuple[int, Row]]]] = {
        ".jsonl": _json_lines,
        ".json": _json_list,
        ".csv": lambda text, path: _table(text, path, DELIMITERS[".csv"]),
        ".tsv": lambda text, path: _table(text, path, DELIMITERS[".tsv"]),
    }
    if kind not in readers:
        raise DataError(
            f"unknown file type {kind!r}; expected one of {', '.join(readers)} (also .gz)", path=str(path)
        )
    numbered = readers[kind](text, str(path))
    if not numbered:
        raise DataError("holds no rows", path=str(path))
    lines, rows = zip(*numbered, strict=True)
    return Source(path=str(path), rows=rows, lines=lines, digest=hashlib.sha256(content).hexdigest())


def require_fields(source: Source, fields: Sequence[str]) -> None:
    """Raise unless every row has every field."""
    for row, line in zip(source.rows, source.lines, strict=True):
        missing = [name for name in fields if row.get(name) is None]
        if missing:
            raise DataError(
                f"lacks {', '.join(missing)}; expected {', '.join(fields)}, found {', '.join(row)}",
                path=source.path,
                line=line,
            )


def _json_lines(text: str, path: str) -> list[tuple[int, Row]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append((number, _object(line, path, number)))
    return rows


def _json_list(text: str, path: str) -> list[tuple[int, Row]]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", path=path) from error
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError("expected a list of objects", path=path)
    return list(enumerate(values, start=1))


def _table(text: str, path: str, delimiter: str) -> list[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows: list[tuple[int, Row]] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    "has another number of cells than the header", path=path, line=reader.line_num
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise DataError(f"is no table: {error}", path=path, line=reader.line_num) from error
    return rows


def _object(line: str, path: str, number: int) -> Row:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", path=path, line=number) from error
    if not isinstance(value, dict):
        raise DataError(f"expected an object, got {type(value).__name__}", path=path, line=number)
    return value
