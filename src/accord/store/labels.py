"""Label files as columns: who gave which item which value, and the known answers of some items.

Reads what `accord.quality.tabulate_labels` takes. Texts of prompts and answers are left out:
judgments with their texts are read by `read_judgments`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from accord.domain import DataError, LabelColumns, Value
from accord.store.column_files import Column, FileColumns, joined_columns, read_columns
from accord.store.label_cells import (
    Place,
    read_attributes,
    read_choices,
    read_durations_ms,
    read_hashed_ids,
    read_ids,
    read_joined_ids,
    read_times_ms,
    read_values,
)
from accord.store.label_columns import ColumnMapping, ColumnRoles, find_gold_columns, find_label_columns
from accord.store.sources import find_sources

Paths = str | Path | Sequence[str | Path]


def read_labels(
    paths: Paths, *, mapping: ColumnMapping | None = None, format: str | None = None
) -> LabelColumns:
    """The labels of one file or several, file by file in order, one row a label.

    JSONL, CSV, TSV (each also with .gz), JSON, Parquet and Arrow. Columns are found by their names, or named
    by `mapping`; `format` names the file type where the suffix does not.

    Items made of several columns (doc, seg and system; task and dimension; question, turn and both
    models) are named `a|b|c`; a comparison that comes with its texts is named by their hash. A pair shown the
    other way round is then another item, and `left` is the side that stood left. Numbered annotator columns
    become one label each, empty cells of them none. A comparison without annotator is by the file's name.
    A time or duration that was found by name alone and does not parse is left out. Anything else that does
    not fit raises one DataError with file and line.
    """
    parts = [_read_file(path, mapping, format) for path in _files(paths)]
    if not parts:
        raise DataError("no file was named; expected at least one path")
    if len(parts) == 1:
        return parts[0]
    groups = {name for part in parts for name in part.groups}
    return LabelColumns(
        items=_joined([part.items for part in parts]),
        annotators=_joined([part.annotators for part in parts]),
        values=_joined([part.values for part in parts]),
        timestamps_ms=_joined_optional([part.timestamps_ms for part in parts]),
        durations_ms=_joined_optional([part.durations_ms for part in parts]),
        sessions=_joined_optional([part.sessions for part in parts]),
        groups={
            name: [cell for part in parts for cell in part.groups.get(name, [""] * len(part))]
            for name in sorted(groups)
        },
        source=", ".join(part.source for part in parts),
    )


def read_gold(
    path: str | Path, *, mapping: ColumnMapping | None = None, format: str | None = None
) -> dict[Any, Value]:
    """Known answers by item, in file order; items are named as `read_labels` names them.

    The answer stands in a column such as gold, truth or label, or the one `mapping.value` names. An item
    that comes twice with one answer counts once; with two answers it raises and names both lines.
    """
    gold: dict[Any, Value] = {}
    line_of: dict[Any, int] = {}
    for file in _files(path):
        found = _Part(file, mapping)
        columns = read_columns(file, found.choose_gold, format=format)
        items, values = found.items(columns), found.values(columns)
        for item, value, line in zip(_listed(items), _listed(values), columns.lines, strict=True):
            if item in gold and gold[item] != value:
                raise DataError(
                    f"item {item!r} has the gold answer {value!r} here and {gold[item]!r} in line "
                    f"{line_of[item]}; expected one answer an item. Remove the wrong one.",
                    path=str(file),
                    line=int(line),
                )
            gold.setdefault(item, value)
            line_of.setdefault(item, int(line))
    return gold


def _files(paths: Paths) -> list[Path]:
    """Every file behind the paths; a missing one raises with its nearest neighbor."""
    each = [paths] if isinstance(paths, str | Path) else list(paths)
    files = [source.path for path in each for source in find_sources(path)]
    for file in files:
        if not file.is_file():
            raise DataError("labels are read from files here; download the data set first", path=str(file))
    return files


def _read_file(path: Path, mapping: ColumnMapping | None, format: str | None) -> LabelColumns:
    part = _Part(path, mapping)
    columns = read_columns(path, part.choose_labels, format=format)
    if part.roles.wide:
        return part.melted(columns)
    roles = part.roles
    return LabelColumns(
        items=part.items(columns),
        annotators=part.annotators(columns),
        values=part.values(columns),
        timestamps_ms=part.optional(columns, roles.timestamp, part.mapping.timestamp, read_times_ms),
        durations_ms=part.optional(columns, roles.duration, part.mapping.duration, read_durations_ms),
        sessions=None if roles.session is None else read_attributes(columns.columns[roles.session]),
        groups={name: read_attributes(columns.columns[name]) for name in roles.groups},
        source=str(path),
        lines=columns.lines,
    )


class _Part:
    """One file on its way from columns to labels; its roles are known once its names are."""

    def __init__(self, path: Path, mapping: ColumnMapping | None):
        self.path = path
        self.mapping = mapping or ColumnMapping()
        self.roles: ColumnRoles

    def choose_labels(self, seen: Sequence[str]) -> Sequence[str]:
        self.roles = find_label_columns(seen, self.mapping, path=str(self.path))
        return self.roles.names

    def choose_gold(self, seen: Sequence[str]) -> Sequence[str]:
        self.roles = find_gold_columns(seen, self.mapping, path=str(self.path))
        return self.roles.names

    def place(self, name: str, columns: FileColumns) -> Place:
        return Place(str(self.path), name, columns.lines)

    def items(self, columns: FileColumns) -> Sequence[Any]:
        parts = [columns.columns[name] for name in self.roles.item]
        if self.roles.is_text_item:
            return read_hashed_ids(parts)
        places = [self.place(name, columns) for name in self.roles.item]
        if len(parts) == 1:
            return _sequence(read_ids(parts[0], places[0], is_text_only=columns.is_text_only))
        return read_joined_ids(parts, places)

    def annotators(self, columns: FileColumns) -> Sequence[Any]:
        name = self.roles.annotator
        if name is None:
            return [self.path.name.split(".")[0]] * len(columns.lines)
        cells, place = columns.columns[name], self.place(name, columns)
        return _sequence(read_ids(cells, place, is_text_only=columns.is_text_only))

    def values(self, columns: FileColumns) -> Sequence[Any]:
        name = str(self.roles.value)
        cells, place = columns.columns[name], self.place(name, columns)
        if self.roles.value_kind == "choice":
            return read_choices(cells, place)
        return _sequence(read_values(cells, place, is_text_only=columns.is_text_only))

    def optional(self, columns: FileColumns, name: str | None, wanted: str | None, read: Any) -> Any:
        """A column of times; one that only its name suggested is left out where it does not parse."""
        if name is None:
            return None
        try:
            return read(columns.columns[name], self.place(name, columns))
        except DataError:
            if wanted is not None:
                raise
            return None

    def melted(self, columns: FileColumns) -> LabelColumns:
        """One column an annotator as one row a label; an empty cell is no label."""
        items = _listed(self.items(columns))
        rows: list[int] = []
        annotators: list[str] = []
        values: list[Any] = []
        for name in self.roles.wide:
            cells = _listed(columns.columns[name])
            kept = [row for row, cell in enumerate(cells) if cell not in (None, "")]
            place = Place(str(self.path), name, [columns.lines[row] for row in kept])
            given: Column = [cells[row] for row in kept]
            if self.roles.value_kind == "numbered_choice":
                given = read_choices(given, place, is_numbered=True)
            else:
                given = read_values(given, place, is_text_only=columns.is_text_only)
            rows += kept
            annotators += [name] * len(kept)
            values += _listed(given)
        return LabelColumns(
            items=[items[row] for row in rows],
            annotators=annotators,
            values=values,
            source=str(self.path),
            lines=[columns.lines[row] for row in rows],
        )


def _joined(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    return _sequence(joined_columns([cast(Column, part) for part in parts]))


def _joined_optional(parts: Sequence[Sequence[Any] | None]) -> Sequence[Any] | None:
    """A column that every file has; None where one lacks it."""
    present = [part for part in parts if part is not None]
    return _joined(present) if len(present) == len(parts) else None


def _sequence(column: Column) -> Sequence[Any]:
    """An array is all that `LabelColumns` asks of a sequence, which numpy does not declare."""
    return cast(Sequence[Any], column)


def _listed(cells: Sequence[Any] | Column) -> list[Any]:
    return cells.tolist() if isinstance(cells, np.ndarray) else list(cells)
