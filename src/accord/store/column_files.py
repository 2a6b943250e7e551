"""Chosen columns of a data file as lists, without a record or a dictionary a row where that is slow.

For files of millions of short rows. A row that cannot be read raises with file and line:
columns of unequal meaning are worth nothing, so there is no way to skip rows here.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError
from accord.store.columnar import read_parquet_columns
from accord.store.rows import (
    GZIP_ERRORS,
    KNOWN_SUFFIXES,
    LARGEST_CELL,
    LINE_SUFFIXES,
    TABLE_SUFFIXES,
    BadRow,
    Row,
    checked_header,
    data_suffix,
    iterate_lines,
    iterate_rows,
    iterate_table,
    open_text,
)

NAME_ROWS = 100
"""Rows whose fields are looked at to learn the names of a file that has no header."""
BATCH_ROWS = 500
"""Short enough to stay in the cache and below what wakes the garbage collector; 20,000 takes three times as
long."""

Column = list[Any] | NDArray[Any]
Choose = Callable[[Sequence[str]], Sequence[str]]
"""Given the names of the columns in a file, those to read."""


@dataclass(frozen=True, eq=False)
class FileColumns:
    """What was read of one file."""

    columns: dict[str, Column]
    """By name; a cell that a row lacks is None. In CSV files every cell is text."""
    lines: Sequence[int]
    """Line of each row, or its number where the file has no lines; from 1."""
    is_text_only: bool
    """True where the file cannot tell a number from a text."""


def read_columns(path: Path, choose: Choose, *, format: str | None = None) -> FileColumns:
    """The columns of a file that `choose` picks from their names; no rows raise.

    The file type is told by the suffix unless `format` (jsonl, csv, tsv, json, parquet, arrow) names it.
    """
    suffix = data_suffix(path) if format is None else f".{format.lower().removeprefix('.')}"
    if suffix not in KNOWN_SUFFIXES:
        wanted = "the suffix" if format is None else "format"
        raise DataError(
            f"{wanted} {suffix.removeprefix('.') or path.suffix or '(none)'} is no known file type; expected "
            f"{', '.join(KNOWN_SUFFIXES)}, text files also with .gz. Name one with --format.",
            path=str(path),
        )
    if suffix == ".parquet":
        columns = read_parquet_columns(path, choose)
        count = len(next(iter(columns.values()), ()))
        found = FileColumns(columns, range(1, count + 1), False)
    elif suffix in TABLE_SUFFIXES:
        found = _read_table(path, choose, delimiter="\t" if suffix == ".tsv" else ",")
    else:
        found = _read_lines(path, choose) if suffix in LINE_SUFFIXES else _read_rows(path, choose)
    if not len(found.lines):
        raise DataError("the file holds no rows; expected at least one below the header", path=str(path))
    return found


def _read_table(path: Path, choose: Choose, *, delimiter: str) -> FileColumns:
    """CSV: the header, then chunks of rows turned into columns at once."""
    csv.field_size_limit(LARGEST_CELL)
    with open_text(path) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = checked_header(next((row for row in reader if row), []), "", path)
            if not header:
                raise DataError("the file is empty; expected a header line", path=str(path))
            names = list(choose(header))
            places = [header.index(name) for name in names]
            columns: list[list[Any]] = [[] for _ in names]
            lines: list[int] = []
            before = reader.line_num
            while chunk := list(islice(reader, BATCH_ROWS)):
                rows = [row for row in chunk if row]
                if set(map(len, rows)) - {len(header)}:
                    raise _table_error(path, delimiter)
                cells = list(zip(*rows, strict=True))
                for column, place in zip(columns, places, strict=True):
                    column.extend(cells[place] if cells else ())
                is_plain = reader.line_num - before == len(rows)
                lines += range(before + 1, reader.line_num + 1) if is_plain else _row_lines(chunk, before)
                before = reader.line_num
        except (csv.Error, UnicodeDecodeError, *GZIP_ERRORS) as error:
            raise _table_error(path, delimiter) from error
    return FileColumns(dict(zip(names, columns, strict=True)), lines, True)


def _row_lines(chunk: list[list[str]], before: int) -> list[int]:
    """The line on which each row of a chunk with blank lines or line breaks in cells ends."""
    lines, line = [], before
    for row in chunk:
        line += 1 + sum(cell.count("\n") for cell in row)
        if row:
            lines.append(line)
    return lines


def _read_lines(path: Path, choose: Choose) -> FileColumns:
    """JSON lines, by the scanner alone: half the time of `json.loads` on short rows, as strict."""
    scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    batches = _Batches(path, choose)
    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                text = line.strip()
                if not text:
                    continue
                cells, end = scan(text, 0)
                if end != len(text) or type(cells) is not dict:
                    raise _row_error(path)
                batches.add(cells, number)
    except (StopIteration, ValueError, RecursionError, *GZIP_ERRORS) as error:
        raise _row_error(path) from error
    return batches.finish()


def _read_rows(path: Path, choose: Choose) -> FileColumns:
    """Any other file, row by row."""
    batches = _Batches(path, choose)
    for row in iterate_rows(path):
        if isinstance(row, BadRow):
            raise DataError(row.reason, path=row.path, line=row.line)
        batches.add(row.cells, row.line)
    return batches.finish()


class _Batches:
    """Rows that are dictionaries, turned into columns some thousands at a time."""

    def __init__(self, path: Path, choose: Choose):
        self.path = path
        self.choose = choose
        self.lines: list[int] = []
        self.columns: dict[str, Column] | None = None
        self.rows: list[dict[str, Any]] = []

    def add(self, cells: dict[str, Any], line: int) -> None:
        self.rows.append(cells)
        self.lines.append(line)
        if len(self.rows) == BATCH_ROWS:
            self.empty()

    def empty(self) -> None:
        """Move the rows into the columns; the first time, learn the names."""
        if self.columns is None:
            seen = list(dict.fromkeys(name for cells in self.rows[:NAME_ROWS] for name in cells))
            self.columns = {name: [] for name in self.choose(seen)}
        for name, column in self.columns.items():
            cast(list[Any], column).extend([cells.get(name) for cells in self.rows])
        self.rows.clear()

    def finish(self) -> FileColumns:
        if not self.lines:
            raise DataError("the file is empty; expected one row a line", path=str(self.path))
        self.empty()
        return FileColumns(self.columns or {}, self.lines, False)


def _table_error(path: Path, delimiter: str) -> DataError:
    """What is wrong with a table that could not be read, found by reading it once more, line by line."""
    return _first_problem(path, iterate_table(path, delimiter=delimiter))


def _row_error(path: Path) -> DataError:
    """The same for JSON lines."""
    return _first_problem(path, iterate_lines(path))


def _first_problem(path: Path, rows: Iterator[Row | BadRow]) -> DataError:
    try:
        for row in rows:
            if isinstance(row, BadRow):
                return DataError(row.reason, path=row.path, line=row.line)
    except DataError as error:
        return error
    return DataError("the file changed while it was read; read it again", path=str(path))


def joined_columns(parts: Sequence[Column]) -> Column:
    """Columns of the same name from several files, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) and part.dtype.kind in "iuf" for part in parts):
        return np.concatenate(parts)
    return [cell for part in parts for cell in (part.tolist() if isinstance(part, np.ndarray) else part)]
