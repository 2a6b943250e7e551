"""From label files to a table ready for a method: repeats settled, gold matched, classes in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from accord.domain import Choice, DataError, LabelColumns, Value
from accord.quality import LabelTable, RepeatPolicy, tabulate_labels
from accord.store import ColumnMapping, read_gold, read_labels

Level = Literal["nominal", "ordinal", "interval", "ratio"]

MOST_CLASSES = 50
"""Classes that a JSON output lists; ratings have more, and nobody reads them."""
CHOICE_ORDER = (Choice.LEFT.value, Choice.TIE.value, Choice.RIGHT.value)
"""A tie, and both bad with it, lies between the sides."""
CHOICE_NUMBERS = {Choice.LEFT.value: -1, Choice.TIE.value: 0, Choice.BOTH_BAD.value: 0, Choice.RIGHT.value: 1}


@dataclass(frozen=True, eq=False)
class LabelSet:
    """What the files held."""

    columns: LabelColumns
    table: LabelTable
    repeats: RepeatPolicy
    gold: Mapping[Any, Value] | None = None
    """Known answers of items in the table, by their id there; None where no gold was given."""
    unlabeled_gold: int = 0
    """Gold items that nobody labeled; they are left out."""

    @property
    def facts(self) -> dict[str, Any]:
        """What every JSON output says of its input."""
        return {
            "source": self.columns.source,
            "n_labels": self.table.n_labels,
            "n_items": self.table.n_items,
            "n_annotators": self.table.n_annotators,
            "n_classes": self.table.n_classes,
            "classes": list(self.table.classes[:MOST_CLASSES]),
            "repeats": self.repeats,
            "n_repeats": self.table.n_repeats,
        }


def load_labels(
    paths: str | Path | Sequence[str | Path],
    *,
    mapping: ColumnMapping | None = None,
    format: str | None = None,
    repeats: RepeatPolicy = "first",
    gold_path: str | Path | None = None,
    dropped: Sequence[str] = (),
    level: Level = "nominal",
) -> LabelSet:
    """Read label files, and gold where it is given.

    `dropped` values are left out, such as ties. On a level above nominal, outcomes of comparisons are put in
    order: left, tie (both bad with it), right, as -1, 0 and 1 from interval on. Gold answers that nobody
    gave are classes too.
    """
    columns = _without(read_labels(paths, mapping=mapping, format=format), dropped)
    if level != "nominal":
        columns = _ordered_choices(columns, level)
    table = tabulate_labels(columns, repeats=repeats, classes=_ordinal_classes(columns, level))
    if gold_path is None:
        return LabelSet(columns, table, repeats)
    given = read_gold(gold_path, mapping=_gold_mapping(mapping))
    gold, unlabeled = match_gold(table, given, source=str(gold_path))
    extra = [value for value in dict.fromkeys(gold.values()) if value not in table.classes]
    if extra:
        classes = sorted([*table.classes, *extra], key=lambda value: (isinstance(value, str), value))
        table = tabulate_labels(columns, repeats=repeats, classes=classes)
    return LabelSet(columns, table, repeats, gold, unlabeled)


def match_gold(table: LabelTable, gold: Mapping[Any, Value], *, source: str) -> tuple[dict[Any, Value], int]:
    """Gold by the ids of the table, values as the table spells them; and how many items it lacks.

    7 and "7" are the same id and the same answer, since a CSV file cannot tell them apart. Gold of which no
    item was labeled raises.
    """
    items = {str(item): item for item in table.items.tolist()}
    spelled = {str(value): value for value in table.classes}
    matched = {
        items[str(item)]: _same_value(value, spelled) for item, value in gold.items() if str(item) in items
    }
    if gold and not matched:
        raise DataError(
            f"none of the {len(gold)} gold items, such as {next(iter(gold))!r}, was labeled; the labels have "
            f"items such as {table.items[0].item()!r}. Check that both files name the items alike.",
            path=source,
        )
    return matched, len(gold) - len(matched)


def item_clusters(labels: LabelSet, name: str) -> list[Any]:
    """The cluster of each item of the table, from a column of the file; two clusters of one item raise."""
    column = labels.columns.groups[name]
    clusters: list[Any] = [None] * labels.table.n_items
    for item, row in zip(labels.table.item_index.tolist(), labels.table.rows.tolist(), strict=True):
        if clusters[item] is not None and clusters[item] != column[row]:
            raise DataError(
                f"{labels.columns.place(row)}: item {labels.columns.items[row]!r} is in cluster "
                f"{column[row]!r} here and in {clusters[item]!r} before; expected one {name!r} an item"
            )
        clusters[item] = column[row]
    return clusters


def is_comparison(table: LabelTable) -> bool:
    """True where the labels say which of two sides is better."""
    return {"left", "right"} & set(table.classes) != set() and set(table.classes) <= set(CHOICE_NUMBERS)


def _same_value(value: Value, spelled: Mapping[str, Value]) -> Value:
    if str(value) in spelled:
        return spelled[str(value)]
    is_whole = isinstance(value, float) and value.is_integer()
    return spelled.get(str(int(value)), value) if is_whole else value


def _gold_mapping(mapping: ColumnMapping | None) -> ColumnMapping | None:
    """The item columns of the labels hold for gold too; its answer column is found by itself."""
    return None if mapping is None or not mapping.item else ColumnMapping(item=mapping.item)


def _without(columns: LabelColumns, dropped: Sequence[str]) -> LabelColumns:
    if not dropped:
        return columns
    values = _listed(columns.values)
    keep = [row for row, value in enumerate(values) if str(value) not in dropped]
    unknown = set(dropped) - {str(value) for value in values}
    if unknown:
        seen = ", ".join(sorted({str(value) for value in values})[:20])
        raise DataError(f"{columns.source}: no label is {sorted(unknown)[0]!r}; the file has {seen}")

    def kept(column: Sequence[Any] | None) -> Any:
        cells = None if column is None else _listed(column)
        return None if cells is None else [cells[row] for row in keep]

    return LabelColumns(
        items=kept(columns.items),
        annotators=kept(columns.annotators),
        values=[values[row] for row in keep],
        timestamps_ms=kept(columns.timestamps_ms),
        durations_ms=kept(columns.durations_ms),
        sessions=kept(columns.sessions),
        groups={name: kept(column) for name, column in columns.groups.items()},
        source=columns.source,
        lines=kept(columns.lines),
    )


def _ordered_choices(columns: LabelColumns, level: Level) -> LabelColumns:
    values = _listed(columns.values)
    if not set(values) <= set(CHOICE_NUMBERS):
        return columns
    if level == "ordinal":
        both_bad = Choice.BOTH_BAD.value
        return replace(columns, values=[CHOICE_ORDER[1] if value == both_bad else value for value in values])
    return replace(columns, values=[CHOICE_NUMBERS[value] for value in values])


def _ordinal_classes(columns: LabelColumns, level: Level) -> tuple[Value, ...] | None:
    is_choice = level == "ordinal" and set(_listed(columns.values)) <= set(CHOICE_ORDER)
    return cast(tuple[Value, ...], CHOICE_ORDER) if is_choice else None


def _listed(cells: Sequence[Any]) -> list[Any]:
    return cells.tolist() if isinstance(cells, np.ndarray) else list(cells)
