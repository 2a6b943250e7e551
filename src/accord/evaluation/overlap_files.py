"""Texts of any file of rows, for the search of evaluation prompts in training data. Leaves out the search."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accord.evaluation.imports.log_file import LogFile, read_log

PROMPTS = ("prompt", "question", "Question", "context", "statement", "sentence", "sent_more", "instruction")
"""Columns that hold what is asked, the first that a row has."""


def read_prompt_texts(path: Path) -> tuple[list[str], str]:
    """The prompt of each row that has one, and the file's SHA-256; a file without any raises `DataError`."""
    log = read_log(path)
    found = []
    for row in _rows(log):
        name = next((name for name in PROMPTS if row.get(name)), None)
        if name is not None:
            found.append(" ".join(_texts(row[name])))
    if not found:
        raise log.refuse(f"no row has a prompt; expected one of the columns {', '.join(PROMPTS)}")
    return found, log.digest


def read_all_texts(path: Path) -> tuple[list[str], str]:
    """Every text of every row, joined row by row, and the file's SHA-256."""
    rows, digest = read_rows(path)
    return [row_text(row) for row in rows], digest


def read_rows(path: Path) -> tuple[list[Mapping[str, Any]], str]:
    """Every row of a file, and the file's SHA-256."""
    log = read_log(path)
    return _rows(log), log.digest


def row_text(row: Mapping[str, Any]) -> str:
    """Every text of a row, however deep, joined by spaces."""
    return " ".join(_texts(row))


def _rows(log: LogFile) -> list[Mapping[str, Any]]:
    if log.rows:
        return [row for _, row in log.rows]
    value = log.value if isinstance(log.value, list) else [log.value]
    return [row for row in value if isinstance(row, Mapping)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
