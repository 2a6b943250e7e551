"""Cells of label files as ids, values and times: strict, with the line in every error.

Numbers written as text in CSV files become numbers where every cell of the column is one and
reads back as it was written, so that `7` in a CSV file and 7 in a JSON file are the same item;
`007` stays text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError, content_hash
from accord.store.column_files import Column
from accord.store.exchange.cells import CHOICES, NUMBERED_CHOICES, shown

LONGEST_CELL = 1_000
"""Characters of an id or a value. Longer ones are texts in the wrong column, and an array holds as much
room for each entry as its longest needs."""
MISSING_WORDS = frozenset({"nan", "<na>"})
"""What data frames write for a missing value; `none` and `n/a` may be answers."""
MILLISECONDS_FROM = 1e11
"""A time since the epoch above this is in milliseconds: as seconds it would lie after the year 5000."""


@dataclass(frozen=True)
class Place:
    """Where a column stands, for errors."""

    path: str
    name: str
    lines: Sequence[int]

    def error(self, row: int, reason: str) -> DataError:
        """The error for one cell: column, file and line."""
        return DataError(f"column {self.name!r} {reason}", path=self.path, line=int(self.lines[row]))


def read_ids(column: Column, place: Place, *, is_text_only: bool) -> Column:
    """Ids as an integer array or a list of texts; an empty cell, a fraction or a list raises."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return column
    cells = column.tolist() if isinstance(column, np.ndarray) else column
    kinds = set(map(type, cells))
    if kinds <= {int}:
        return _integers(cells)
    if not kinds <= {str}:
        cells = [_id_text(cell, row, place) for row, cell in enumerate(cells)]
        if kinds <= {int, float}:
            return _integers([int(text) for text in cells])
    distinct = _checked_texts(cells, place, "an id")
    if is_text_only and _are_whole(distinct):
        return _integers(list(map(int, cells)))
    return cells


def read_joined_ids(columns: Sequence[Column], places: Sequence[Place]) -> list[str]:
    """Ids made of several columns: `a|b|c`; a bar or backslash inside a part has a backslash before it."""
    parts = []
    for column, place in zip(columns, places, strict=True):
        ids = read_ids(column, place, is_text_only=False)
        texts = list(map(str, ids.tolist() if isinstance(ids, np.ndarray) else ids))
        if any("|" in text or "\\" in text for text in texts):
            texts = [text.replace("\\", "\\\\").replace("|", "\\|") for text in texts]
        parts.append(texts)
    return ["|".join(cells) for cells in zip(*parts, strict=True)]


def read_hashed_ids(columns: Sequence[Column]) -> list[str]:
    """Ids of items that are whole texts: the content hash of their columns."""
    known: dict[str, str] = {}
    ids = []
    for cells in zip(*columns, strict=True):
        key = repr(cells)
        if key not in known:
            known[key] = content_hash(list(cells))[:16]
        ids.append(known[key])
    return ids


def read_values(column: Column, place: Place, *, is_text_only: bool) -> Column:
    """Labels as a number array, or a list of class names and numbers; missing and NaN raise."""
    need = "a class name or a finite number"
    if isinstance(column, np.ndarray):
        return _finite(column, place)
    kinds = set(map(type, column))
    if kinds <= {int}:
        return _integers(column)
    if kinds <= {int, float}:
        return _finite(np.asarray(column, dtype=np.float64), place)
    if not kinds <= {str}:
        column = [_value(cell, row, place) for row, cell in enumerate(column)]
        _checked_texts([cell if isinstance(cell, str) else "0" for cell in column], place, need)
        return column
    distinct = _checked_texts(column, place, need)
    if is_text_only and _are_whole(distinct):
        return _integers(list(map(int, column)))
    if is_text_only and _are_numbers(distinct):
        return _finite(np.array(list(map(float, column)), dtype=np.float64), place)
    return column


def read_choices(column: Column, place: Place, *, is_numbered: bool = False) -> list[str]:
    """Outcomes of comparisons as left, right, tie and both_bad, whichever of their names the file uses."""
    names: dict[str, Any] = dict(NUMBERED_CHOICES if is_numbered else CHOICES)
    found: dict[Any, str] = {}
    choices = []
    for row, cell in enumerate(column.tolist() if isinstance(column, np.ndarray) else column):
        if isinstance(cell, list | dict) or cell not in found:
            choice = names.get(str(cell).strip().lower())
            if choice is None:
                need = "1, 2 or 0 for a tie" if is_numbered else "left, right, tie or both_bad"
                raise place.error(row, f"is {shown(cell)}, expected {need}")
            found[cell] = choice.value
        choices.append(found[cell])
    return choices


def read_times_ms(column: Column, place: Place) -> NDArray[np.float64]:
    """Milliseconds since the epoch from numbers or ISO 8601 texts; NaN where the cell is empty.

    Numbers are milliseconds above 1e11 and seconds below. A text without a zone is in UTC.
    """
    cells = column.tolist() if isinstance(column, np.ndarray) else column
    times = np.array([_time(cell, row, place) for row, cell in enumerate(cells)], dtype=np.float64)
    return np.where(times > MILLISECONDS_FROM, times, times * 1000.0)


def read_durations_ms(column: Column, place: Place) -> NDArray[np.float64]:
    """Milliseconds: as they are where the column is `ms` or ends in `_ms`, otherwise from seconds."""
    cells = column.tolist() if isinstance(column, np.ndarray) else column
    numbers = np.array([_number(cell, row, place) for row, cell in enumerate(cells)], dtype=np.float64)
    name = place.name.lower()
    return numbers if name == "ms" or name.endswith("_ms") else numbers * 1000.0


def read_attributes(column: Column) -> list[Any]:
    """Attributes of annotators as they are; a missing one is an empty text."""
    cells = column.tolist() if isinstance(column, np.ndarray) else column
    return ["" if cell is None or cell != cell else cell for cell in cells]


def _checked_texts(cells: Sequence[str], place: Place, need: str) -> set[str]:
    """The distinct texts; a missing or overlong one raises with its line."""
    distinct = set(cells)
    wrong = {text for text in distinct if len(text) > LONGEST_CELL or _is_missing(text)}
    if wrong:
        row = next(row for row, cell in enumerate(cells) if cell in wrong)
        raise place.error(row, _text_problem(cells[row], need))
    return distinct


def _is_missing(text: str) -> bool:
    word = text.strip().lower()
    return not word or word in MISSING_WORDS


def _text_problem(text: str, need: str) -> str:
    if len(text) <= LONGEST_CELL:
        return f"is {text!r}, expected {need}"
    return (
        f"holds {len(text):,} characters, beginning {text[:40]!r}; expected {need} of at most "
        f"{LONGEST_CELL:,} characters. Name another column for it"
    )


def _are_whole(texts: set[str]) -> bool:
    """True where each text is a whole number that reads back as it was written."""
    try:
        return all(str(int(text)) == text for text in texts)
    except ValueError:
        return False


def _are_numbers(texts: set[str]) -> bool:
    """True where each text is a number, infinite ones too."""
    return all(map(_is_number, texts))


def _integers(numbers: Sequence[int]) -> Column:
    try:
        return np.asarray(numbers, dtype=np.int64)
    except OverflowError:  # an id above 2^63 is only ever a name
        return [str(number) for number in numbers]


def _finite(numbers: NDArray[Any], place: Place) -> NDArray[Any]:
    is_finite = np.isfinite(numbers)
    if not is_finite.all():
        row = int(np.argmin(is_finite))
        raise place.error(row, f"is {float(numbers[row])}, expected a class name or a finite number")
    return numbers


def _id_text(cell: Any, row: int, place: Place) -> str:
    is_whole = isinstance(cell, float) and math.isfinite(cell) and cell == int(cell)
    if is_whole:
        return str(int(cell))
    is_id = isinstance(cell, str | int) and not isinstance(cell, bool) and cell != ""
    if not is_id or _is_missing(str(cell)):
        raise place.error(row, f"is {shown(cell)}, expected an id: a text or a whole number")
    return str(cell)


def _value(cell: Any, row: int, place: Place) -> Any:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    is_missing = cell is None or cell == "" or (isinstance(cell, float) and not math.isfinite(cell))
    if is_missing or not isinstance(cell, str | int | float):
        raise place.error(row, f"is {shown(cell)}, expected a class name or a finite number")
    return cell


def _number(cell: Any, row: int, place: Place) -> float:
    if cell is None or cell == "":
        return math.nan
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError) as error:
        raise place.error(row, f"is {shown(cell)}, expected a number") from error
    if math.isinf(number):
        raise place.error(row, f"is {shown(cell)}, expected a finite number")
    return number


def _time(cell: Any, row: int, place: Place) -> float:
    if isinstance(cell, datetime):
        moment = cell
    elif isinstance(cell, str) and not _is_number(cell):
        if not cell.strip():
            return math.nan
        try:
            moment = datetime.fromisoformat(cell.strip())
        except ValueError as error:
            raise place.error(row, f"is {shown(cell)}, expected ISO 8601 or time since the epoch") from error
    else:
        return _number(cell, row, place)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000.0


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
