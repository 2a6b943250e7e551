"""Writing records: JSONL, JSONL.gz, Parquet or CSV by suffix, whole or not at all."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from accord.domain import DataError
from accord.domain.files import atomic_path
from accord.store.columnar import write_parquet
from accord.store.exchange.format import Format, Record
from accord.store.exchange.registry import ACCORD, FORMATS, accord_format, format_named
from accord.store.rows import data_suffix

WRITTEN_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".csv.gz")
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
ASCII_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
"""For rows with half a surrogate pair, which UTF-8 cannot hold but a JSON escape can."""


def write_records(path: str | Path, records: Iterable[Record], *, format: str | None = None) -> int:
    """Write records of one kind; the number of rows written.

    Without `format`, rows are Accord's own and come back exactly as they were; other
    formats keep what they have fields for. JSONL is written as it is drawn, so that
    `records` may be a generator. Nothing is written when anything fails.
    """
    target = Path(path)
    suffix = data_suffix(target) + (".gz" if target.name.lower().endswith(".gz") else "")
    if suffix not in WRITTEN_SUFFIXES:
        raise DataError(
            f"cannot write files of type {''.join(target.suffixes) or '(no suffix)'}; "
            f"expected {', '.join(WRITTEN_SUFFIXES)}",
            path=str(path),
        )
    rows = _rows(records, format, str(path))
    with atomic_path(target) as temporary:
        if suffix == ".parquet":
            table = [_flat(row) for row in rows]
            write_parquet(temporary, table, target=str(path))
            return len(table)
        with _text_stream(temporary, is_gzip=suffix.endswith(".gz")) as stream:
            if suffix.startswith(".csv"):
                return _write_table(stream, rows, str(path))
            return _write_lines(stream, rows)


def writable_format(name: str | None, kind: type[Record]) -> Format:
    """The format to write one kind of record in; raises with the formats that can where this one cannot."""
    form = accord_format(kind) if name in (None, ACCORD) else format_named(str(name))
    if form.write_row is not None and form.kind is kind:
        return form
    fitting = [entry.name for entry in FORMATS if entry.write_row is not None and entry.kind is kind]
    fitting = [ACCORD, *(entry for entry in fitting if not entry.startswith(f"{ACCORD}_"))]
    problem = "is only read" if form.write_row is None else f"holds {form.kind.__name__.lower()} records"
    raise DataError(
        f"format {form.name!r} {problem}; "
        f"{kind.__name__.lower()} records can be written as {', '.join(fitting)}"
    )


def _rows(records: Iterable[Record], name: str | None, path: str) -> Iterator[dict[str, Any]]:
    form: Format | None = None
    for number, record in enumerate(records, start=1):
        if form is None:
            form = writable_format(name, type(record))
        if type(record) is not form.kind:
            raise DataError(
                f"a file holds one kind of record: record {number} is a {type(record).__name__}, "
                f"the ones before are {form.kind.__name__}",
                path=path,
            )
        assert form.write_row is not None
        try:
            yield form.write_row(record)
        except DataError as error:
            raise DataError(f"record {number}: {error.reason}", path=path) from error
    if form is None:
        raise DataError("there are no records to write; an empty file could not be read again", path=path)


@contextmanager
def _text_stream(path: Path, *, is_gzip: bool) -> Iterator[TextIO]:
    """UTF-8 with line ends as given; gzip without name and time, so that equal rows give equal files."""
    with path.open("wb") as raw:
        if not is_gzip:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as stream:
                yield stream
            return
        with (
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream,
        ):
            yield stream


def _write_lines(stream: TextIO, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    for row in rows:
        line = _json_text(row)
        count += 1
        stream.write(line + "\n")
    return count


def _write_table(stream: TextIO, rows: Iterator[dict[str, Any]], path: str) -> int:
    table = list(rows)
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(names)
    try:
        for row in table:
            writer.writerow([_text_cell(row.get(name)) for name in names])
    except UnicodeEncodeError as error:
        raise DataError(
            f"half a surrogate pair cannot stand in CSV ({error}); write .jsonl", path=path
        ) from error
    return len(table)


def _json_text(value: Any) -> str:
    try:
        text = ENCODER.encode(value)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return ASCII_ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"a value cannot be written as JSON: {error}; keep meta to JSON values") from error
    return text


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Objects as JSON text, since their fields differ from row to row; lists stay lists."""
    return {name: _json_text(value) if isinstance(value, Mapping) else value for name, value in row.items()}


def _text_cell(value: Any) -> Any:
    if isinstance(value, list | Mapping):
        return _json_text(value)
    return "" if value is None else value
