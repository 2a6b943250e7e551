"""Rows out of one file, whatever its type, in order and one at a time. Knows nothing of records.

A row that cannot be read is a `BadRow`, for the caller to judge. Damage after which
the next row cannot be found (a broken gzip stream) raises DataError.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO, cast

from accord.domain import DataError
from accord.store.columnar import iterate_arrow, iterate_parquet

LINE_SUFFIXES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
COLUMN_SUFFIXES = (".parquet", ".arrow")
KNOWN_SUFFIXES = (*LINE_SUFFIXES, ".json", *TABLE_SUFFIXES, *COLUMN_SUFFIXES)
GZIP_MAGIC = b"\x1f\x8b"
GZIP_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)
LARGEST_CELL = 2**31 - 1
"""The csv module stops at 128 KiB a cell unless told otherwise; long dialogues are longer."""


class Row(NamedTuple):
    """One row and where it stands."""

    line: int
    """Line number in text files, row number in columnar ones; from 1."""
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used, and why."""

    path: str
    line: int
    reason: str


def data_suffix(path: Path) -> str:
    """The suffix that says how a file is written, without `.gz`; empty when it is none we know."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in KNOWN_SUFFIXES if name.endswith(suffix)), "")


def iterate_rows(path: Path) -> Iterator[Row | BadRow]:
    """Every row of the file in order; raises DataError on an unknown type or a damaged file."""
    suffix = data_suffix(path)
    if suffix in COLUMN_SUFFIXES:
        reader = iterate_parquet if suffix == ".parquet" else iterate_arrow
        return (Row(i, cells) for i, cells in enumerate(reader(path), start=1))
    if suffix in TABLE_SUFFIXES:
        return iterate_table(path, delimiter="\t" if suffix == ".tsv" else ",")
    if suffix == ".json":
        return _iterate_array(path)
    if suffix in LINE_SUFFIXES:
        return iterate_lines(path)
    raise DataError(
        f"the file type {''.join(path.suffixes) or '(no suffix)'} is not known; "
        f"expected {', '.join(KNOWN_SUFFIXES)}, text files also with .gz",
        path=str(path),
    )


def companion_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file that another file refers to; a row that cannot be read raises."""
    for row in iterate_rows(path):
        if isinstance(row, BadRow):
            raise DataError(row.reason, path=row.path, line=row.line)
        yield row.cells


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their line end; gzip is told by its first bytes, not by the name."""
    number = 0
    try:
        with _open_bytes(path) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except GZIP_ERRORS as error:
        raise DataError(
            f"the gzip stream breaks off or is damaged here ({error}); fetch or compress the file again",
            path=str(path),
            line=number + 1,
        ) from error


def _open_bytes(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == GZIP_MAGIC
    if path.name.lower().endswith(".gz") and not is_gzip and path.stat().st_size > 0:
        raise DataError(
            "the name says gzip, but the content is not; rename it or compress it", path=str(path)
        )
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzip else path.open("rb")


def open_text(path: Path) -> TextIO:
    """The file as UTF-8 text, lines as they stand; damage raises in the words of gzip and the codec."""
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="\n")


def iterate_lines(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a file of JSON lines; blank lines are passed over."""
    for number, raw in _raw_lines(path):
        try:
            line = raw.decode("utf-8")
            if not line or line.isspace():
                continue
            cells = json.loads(line)
        except UnicodeDecodeError as error:
            yield BadRow(str(path), number, _utf8_reason(error))
        except json.JSONDecodeError as error:
            column = min(error.pos, len(line.rstrip("\r\n"))) + 1  # what is cut off is missed behind the line
            yield BadRow(str(path), number, f"not valid JSON: {error.msg} at column {column}")
        except RecursionError:
            yield BadRow(str(path), number, "not usable JSON: nested too deeply")
        else:
            if type(cells) is dict:
                yield Row(number, cells)
            else:
                yield BadRow(str(path), number, f"a row must be a JSON object, got {type(cells).__name__}")


def _iterate_array(path: Path) -> Iterator[Row | BadRow]:
    content = b"".join(line for _, line in _raw_lines(path))
    if not content.strip():
        return
    try:
        rows = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(_utf8_reason(error), path=str(path), line=line) from error
    except json.JSONDecodeError as error:
        reason = f"not valid JSON: {error.msg} at column {error.colno}"
        raise DataError(reason, path=str(path), line=error.lineno) from error
    if not isinstance(rows, list):
        raise DataError(f"a .json file must hold a list of rows, got {type(rows).__name__}", path=str(path))
    for number, cells in enumerate(rows, start=1):
        if isinstance(cells, dict):
            yield Row(number, cells)
        else:
            yield BadRow(str(path), number, f"a row must be a JSON object, got {type(cells).__name__}")


class _DecodedLines:
    """Text lines for the csv reader; remembers a line that was not UTF-8 instead of stopping at it."""

    def __init__(self, path: Path):
        self.lines = _raw_lines(path)
        self.problem = ""

    def __iter__(self) -> Iterator[str]:
        for _, raw in self.lines:
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                self.problem = _utf8_reason(error)
                yield raw.decode("utf-8", "replace")


def iterate_table(path: Path, *, delimiter: str) -> Iterator[Row | BadRow]:
    """The rows of a table with a header; every cell is text."""
    csv.field_size_limit(LARGEST_CELL)
    lines = _DecodedLines(path)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for values in reader:
            if not values:
                continue
            problem, lines.problem = lines.problem, ""
            if header is None:
                header = checked_header(values, problem, path)
            elif problem:
                yield BadRow(str(path), reader.line_num, problem)
            elif len(values) != len(header):
                reason = f"the row has {len(values)} cells, the header has {len(header)}"
                yield BadRow(str(path), reader.line_num, reason)
            else:
                yield Row(reader.line_num, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        reason = f"not valid CSV from here on: {error}; look for a quote that is not closed"
        raise DataError(reason, path=str(path), line=reader.line_num) from error


def checked_header(names: list[str], problem: str, path: Path) -> list[str]:
    """The header as it is; raises where it repeats a name or could not be decoded."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        problem = f"the header repeats {', '.join(map(repr, repeated))}"
    if problem:
        raise DataError(problem, path=str(path), line=1)
    return names


def _utf8_reason(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"not valid UTF-8: byte 0x{byte:02x} at position {error.start}; convert the file to UTF-8"
