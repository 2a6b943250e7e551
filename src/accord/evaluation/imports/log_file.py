"""One log file read within bounds: JSON, JSON lines, CSV (each also as .gz) or a zip's bytes.

Never unpickles and never unpacks to disk. Leaves out what the fields mean, and the inside of a
zip (`zip_file.py`).
"""

import csv
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.domain.errors import DataError

Kind = Literal["json", "rows", "zip"]
GZIP, ZIP, PICKLE = b"\x1f\x8b", b"PK\x03\x04", b"\x80"


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """How much is read before a file is refused."""

    file_bytes: int = 1 << 30
    """Of a file, as it lies on disk and unpacked: 1 GiB."""
    entry_bytes: int = 256 << 20
    """Of one entry of a zip, unpacked: 256 MiB."""
    total_bytes: int = 2 << 30
    """Of all entries of a zip that are read: 2 GiB."""
    entries: int = 1_000_000
    """Entries of a zip."""


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """What a file held, parsed but not understood."""

    path: str
    digest: str
    """SHA-256 of the file as it lies on disk."""
    kind: Kind
    content: bytes = b""
    """Of a zip; empty else."""
    value: Any = None
    """Of a JSON file; None else."""
    rows: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    """Line and object of JSON lines and CSV; empty else."""

    def refuse(self, reason: str, line: int | None = None) -> DataError:
        """An error that names this file."""
        return DataError(reason, path=self.path, line=line)

    def records(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Line and object of each row, or place (from 1) and object of a JSON list; empty for all else.

        An entry of the list that is no object raises: left out in silence it would be missed by nobody.
        """
        if self.kind != "json" or not isinstance(self.value, list):
            return list(self.rows)
        for place, one in enumerate(self.value, start=1):
            if not isinstance(one, Mapping):
                raise self.refuse(f"entry {place} is {one!r}; expected an object")
        return list(enumerate(self.value, start=1))

    def numbers(self, line: int, row: Mapping[str, Any], name: str) -> tuple[float, ...]:
        """A row's list of finite numbers, as JSON text where the file is CSV; empty where there is none."""
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            value = parse_json(value, self.path, line)
        if value in (None, ""):
            return ()
        if not isinstance(value, list) or not all(_is_finite(one) for one in value):
            raise self.refuse(f"{name} is {value!r}; expected a list of finite numbers", line)
        return tuple(float(one) for one in value)


def read_log(path: Path, limits: ReadLimits | None = None) -> LogFile:
    """Read and parse; raises `DataError` with file and line for what is too large, cut off or no text."""
    limits = limits or ReadLimits()
    content = _read(path, limits)
    digest = hashlib.sha256(content).hexdigest()
    if content[:2] == GZIP:
        content = _unpack(content, path, limits)
    if content[:4] == ZIP:
        return LogFile(path=str(path), digest=digest, kind="zip", content=content)
    if content[:1] == PICKLE:
        raise DataError("is a pickle, which could run code and is never read", path=str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is neither text in UTF-8 nor a zip: {error.reason} at byte {error.start}", path=str(path)
        ) from error
    if not text.strip():
        raise DataError("is empty", path=str(path))
    names = [suffix.lower() for suffix in path.suffixes]
    if ".csv" in names or ".jsonl" in names or _has_lines(text):
        rows = _table(text, path) if ".csv" in names else _lines(text, path)
        if not rows:
            raise DataError("holds no rows", path=str(path))
        return LogFile(path=str(path), digest=digest, kind="rows", rows=rows)
    return LogFile(path=str(path), digest=digest, kind="json", value=parse_json(text, str(path)))


def parse_json(text: str, path: str, line: int | None = None) -> Any:
    """A JSON value; raises `DataError` that tells text that ends too early from text that is wrong."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError("is nested too deeply to be a log", path=path, line=line) from error
    except ValueError as error:
        is_cut = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip())
        is_cut = is_cut or "Unterminated string" in str(error)
        what = "is cut off" if is_cut else "is not JSON"
        raise DataError(f"{what}: {error}", path=path, line=line) from error


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read(path: Path, limits: ReadLimits) -> bytes:
    try:
        if not path.is_file():
            reason = "is no file" if path.exists() else "is not there"
            raise DataError(reason, path=str(path))
        if path.stat().st_size > limits.file_bytes:
            raise DataError(_too_large(limits.file_bytes), path=str(path))
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=str(path)) from error


def _unpack(content: bytes, path: Path, limits: ReadLimits) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            plain = packed.read(limits.file_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"is broken or cut off gzip: {error}", path=str(path)) from error
    if len(plain) > limits.file_bytes:
        raise DataError(_too_large(limits.file_bytes), path=str(path))
    return plain


def _too_large(limit: int) -> str:
    return f"holds more than {limit:,} bytes and is refused; import it in parts"


def _has_lines(text: str) -> bool:
    """True where the first line is a whole object and more follow."""
    first, _, rest = text.lstrip().partition("\n")
    if not rest.strip() or not first.startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _lines(text: str, path: Path) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        value = parse_json(line, str(path), number)
        if not isinstance(value, dict):
            raise DataError(f"expected an object, got {type(value).__name__}", path=str(path), line=number)
        rows.append((number, value))
    return tuple(rows)


def _table(text: str, path: Path) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    "has another number of cells than the header", path=str(path), line=reader.line_num
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise DataError(f"is no CSV: {error}", path=str(path), line=reader.line_num) from error
    return tuple(rows)
