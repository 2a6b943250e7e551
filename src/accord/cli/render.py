"""Tables, JSON, notes: the only place that prints. Results go to stdout, everything else to stderr."""

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
"""Columns of a table that is written to a file or a pipe, where no terminal gives a width."""

console = Console(highlight=False, emoji=False)
"""Where results go."""

plain_console = Console(highlight=False, emoji=False, width=PLAIN_WIDTH)
"""The same, where no terminal gives a width."""

wide_console = Console(highlight=False, emoji=False, width=10_000)
"""The same, for lines that are not to be broken."""

error_console = Console(stderr=True, highlight=False, emoji=False)
"""Where notes, progress and errors go."""


def print_json(value: Any) -> None:
    """Print records, dataclasses, paths and times as indented JSON and nothing else."""
    sys.stdout.write(json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_text(text: str, *, style: str = "") -> None:
    """Print text as it stands: brackets in it are not markup, long lines are not broken."""
    console.print(Text(text, style=style), soft_wrap=True)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str | None = None,
    is_folded: bool = True,
) -> None:
    """Print rows under their column names; numbers are set to the right.

    The last column of words is folded to the width of the terminal, or, with `is_folded`
    False, each row keeps to one line, however long. Other columns always stay whole: ids
    are there to be copied, numbers to be read.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        is_whole = is_number or not is_folded or i < len(columns) - 1
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=is_whole)
    for row in rows:
        table.add_row(*(Text(format_cell(cell)) for cell in row))
    if is_folded:
        (console if console.is_terminal else plain_console).print(table)
    else:
        wide_console.print(table)


def progress_note(text: str) -> None:
    """Say on stderr what is going on."""
    error_console.print(Text(text), soft_wrap=True)


def error_note(message: str, *, word: str = "error") -> None:
    """Say on stderr what went wrong, or why nothing goes on: a word such as `error:` and the message."""
    error_console.print(Text.assemble((f"{word}: ", "bold red"), message), soft_wrap=True)


def format_cell(value: Any) -> str:
    """A table cell: floats to four significant digits or whole, times in minutes, None and NaN as a dash."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value)


def format_duration(duration: timedelta) -> str:
    """`1 h 02 min`, `3 min 07 s` or `12 s`."""
    seconds = round(duration.total_seconds())
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds} s"


def json_ready(value: Any) -> Any:
    """Dataclasses, mappings, paths, times and enums as what JSON knows.

    A number that is not finite is null, a duration is in seconds.
    """
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_ready(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
