"""Parquet and Arrow files through pyarrow, which is imported only when such a file is met."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError, MissingExtra

BATCH_ROWS = 4096


def _arrow(what: str) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra(what, "parquet") from error
    return pyarrow


def iterate_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, read batch by batch."""
    arrow = _arrow(f"reading the Parquet file {path}")
    try:
        with arrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield from batch.to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file: {error}", path=str(path)) from error


def iterate_arrow(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow file as `datasets` saves it (stream format), or in Arrow's file format."""
    arrow = _arrow(f"reading the Arrow file {path}")
    try:
        with arrow.memory_map(str(path)) as source:
            for batch in _arrow_batches(arrow, source):
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield from batch.slice(start, BATCH_ROWS).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Arrow file: {error}", path=str(path)) from error


def _arrow_batches(arrow: Any, source: Any) -> Iterator[Any]:
    is_file_format = source.read(6) == b"ARROW1"
    source.seek(0)
    if is_file_format:
        file = arrow.ipc.open_file(source)
        yield from (file.get_batch(i) for i in range(file.num_record_batches))
    else:
        yield from arrow.ipc.open_stream(source)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], *, target: str) -> None:
    """Write rows as one table; a field that a row lacks is null there.

    A column of mixed types (plain text beside message lists) has no Arrow type and
    raises DataError; `target` is the name the error shows.
    """
    arrow = _arrow(f"writing the Parquet file {target}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        try:
            columns[name] = arrow.array([row.get(name) for row in rows])
        except (arrow.ArrowException, UnicodeEncodeError) as error:
            raise DataError(
                f"field {name!r} cannot be one Parquet column ({error}); write .jsonl instead", path=target
            ) from error
    arrow.parquet.write_table(arrow.table(columns), path)


def read_parquet_columns(
    path: Path, choose: Callable[[Sequence[str]], Sequence[str]]
) -> dict[str, list[Any] | NDArray[Any]]:
    """The columns of a Parquet file that `choose` picks: numbers without gaps as arrays, else lists."""
    arrow = _arrow(f"reading the Parquet file {path}")
    try:
        with arrow.parquet.ParquetFile(path) as file:
            names = list(choose(file.schema_arrow.names))
            table = file.read(columns=names)
            return {name: _plain_column(arrow, table.column(name)) for name in names}
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file: {error}", path=str(path)) from error


def _plain_column(arrow: Any, column: Any) -> list[Any] | NDArray[Any]:
    kind = column.type
    is_number = arrow.types.is_integer(kind) or arrow.types.is_floating(kind)
    if is_number and column.null_count == 0:
        return np.asarray(column.to_numpy())
    return list(column.to_pylist())
