"""Labels as arrays sorted by item: who gave which item which class, each pair of them once.

Items, annotators and classes are numbered in sorted order, so that nothing downstream can
depend on the order of the rows. Pairwise comparisons have `accord.quality.judgments`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from accord.domain import DataError, LabelColumns, Value

RepeatPolicy = Literal["first", "last", "error"]
SPARSEST = 4
"""Ids that span at most so many times the rows are numbered by a list of those that occur."""
REPEAT_POLICIES: tuple[RepeatPolicy, ...] = ("first", "last", "error")


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels in the order of items, then annotators. Built by `tabulate_labels`."""

    items: NDArray[Any]
    """[item] Ids in sorted order."""
    annotators: NDArray[Any]
    """[annotator] Ids in sorted order."""
    classes: tuple[Value, ...]
    """Distinct values in sorted order: numbers by size, names by text."""
    item_starts: NDArray[np.int64]
    """[item + 1] Labels of item i are those from item_starts[i] up to item_starts[i + 1]; none is empty."""
    item_index: NDArray[np.int32]
    """[label] Never falls."""
    annotator_index: NDArray[np.int32]
    """[label]"""
    class_index: NDArray[np.int32]
    """[label]"""
    rows: NDArray[np.int64]
    """[label] The row of the input each label stood in, from 0."""
    n_repeats: int
    """Rows left out because the same annotator had labeled the same item in another row."""

    @property
    def n_labels(self) -> int:
        """How many labels count."""
        return len(self.item_index)

    @property
    def n_items(self) -> int:
        """How many items have a label."""
        return len(self.items)

    @property
    def n_annotators(self) -> int:
        """How many annotators gave a label."""
        return len(self.annotators)

    @property
    def n_classes(self) -> int:
        """How many distinct values there are."""
        return len(self.classes)

    @property
    def labels_per_item(self) -> NDArray[np.int64]:
        """[item] At least 1 each."""
        return np.diff(self.item_starts)

    @property
    def counts(self) -> NDArray[np.int64]:
        """[item, class] How many annotators gave each class."""
        cells = self.item_index.astype(np.int64) * self.n_classes + self.class_index
        flat = np.bincount(cells, minlength=self.n_items * self.n_classes)
        return flat.reshape(self.n_items, self.n_classes)

    @property
    def is_numeric(self) -> bool:
        """True where every class is a number."""
        return all(isinstance(value, (int, float)) for value in self.classes)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """[label] The values as numbers; raises where the classes are names."""
        if not self.is_numeric:
            names = [value for value in self.classes if not isinstance(value, (int, float))]
            raise DataError(
                f"the values are names such as {names[0]!r}, expected numbers; "
                f"give numbers or use a nominal method"
            )
        return np.array(self.classes, dtype=np.float64)[self.class_index]

    def select(self, keep: NDArray[np.bool_]) -> "LabelTable":
        """The table of the labels where `keep` [label] is True.

        Items without a label are gone and renumbered; annotators and classes stay as they are.
        """
        items, item_index = np.unique(self.item_index[keep], return_inverse=True)
        return LabelTable(
            items=self.items[items],
            annotators=self.annotators,
            classes=self.classes,
            item_starts=_starts(item_index, len(items)),
            item_index=item_index.astype(np.int32),
            annotator_index=self.annotator_index[keep],
            class_index=self.class_index[keep],
            rows=self.rows[keep],
            n_repeats=self.n_repeats,
        )

    def draw(self, items: NDArray[np.int64]) -> tuple["LabelTable", NDArray[np.int64]]:
        """The table of these items, numbered anew, and its labels' places here; one drawn twice is two."""
        counts = self.labels_per_item[items]
        starts = np.concatenate([[0], np.cumsum(counts)])
        labels = np.arange(starts[-1]) + np.repeat(self.item_starts[items] - starts[:-1], counts)
        table = LabelTable(
            items=np.arange(len(items)),
            annotators=self.annotators,
            classes=self.classes,
            item_starts=starts,
            item_index=np.repeat(np.arange(len(items), dtype=np.int32), counts),
            annotator_index=self.annotator_index[labels],
            class_index=self.class_index[labels],
            rows=self.rows[labels],
            n_repeats=self.n_repeats,
        )
        return table, labels


def tabulate_labels(
    labels: LabelColumns,
    *,
    repeats: RepeatPolicy = "error",
    classes: Sequence[Value] | None = None,
) -> LabelTable:
    """Columns as a table.

    A second label of one annotator for one item is settled by `repeats`: the first row counts, the
    last counts, or `error` raises and names both places. `classes` names the classes in their order, some
    perhaps never given; without it they are the distinct values, sorted. Raises on an empty
    table, a missing value, or a value outside `classes`, with the place.
    """
    if repeats not in REPEAT_POLICIES:
        raise DataError(f"repeats is {repeats!r}; expected one of {', '.join(REPEAT_POLICIES)}")
    if not len(labels):
        raise DataError(f"{labels.source}: no labels; expected at least one row")
    items, item_index = _ids(labels, "item", labels.items)
    annotators, annotator_index = _ids(labels, "annotator", labels.annotators)
    names, class_index = _classes(labels, classes)
    order, is_repeat = _in_table_order(item_index, annotator_index, len(items), len(annotators))
    if repeats == "error" and is_repeat.any():
        at = int(np.argmax(is_repeat))
        first, second = int(order[at]), int(order[at + 1])
        raise DataError(
            f"{labels.place(second)}: annotator {labels.annotators[second]!r} labeled item "
            f"{labels.items[second]!r} before, in {labels.place(first)}; {int(is_repeat.sum())} rows repeat "
            f"a pair. Choose repeats='first' or repeats='last'"
        )
    edge = np.ones(1, dtype=bool)
    keep = np.concatenate([edge, ~is_repeat] if repeats != "last" else [~is_repeat, edge])
    order = order[keep]
    item_index = item_index[order]
    return LabelTable(
        items=items,
        annotators=annotators,
        classes=names,
        item_starts=_starts(item_index, len(items)),
        item_index=item_index.astype(np.int32),
        annotator_index=annotator_index[order].astype(np.int32),
        class_index=class_index[order].astype(np.int32),
        rows=order.astype(np.int64),
        n_repeats=int(is_repeat.sum()),
    )


def _in_table_order(
    item_index: NDArray[Any], annotator_index: NDArray[Any], n_items: int, n_annotators: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row numbers [row] by item, annotator and row; and whether each but the first repeats the pair before.

    Turning a sparse matrix of one entry a column around is a counting sort, O(rows); then the few labels of
    each item are sorted among themselves, and the rows of a repeated pair.
    """
    n_rows = len(item_index)
    number = np.arange(n_rows + 1, dtype=np.int32 if n_rows < np.iinfo(np.int32).max else np.int64)
    items = item_index.astype(number.dtype)
    by_item = csc_array((number[:-1], items, number), shape=(n_items, n_rows)).tocsr()
    rows = csr_array(
        (by_item.data, annotator_index[by_item.data].astype(number.dtype), by_item.indptr),
        shape=(n_items, n_annotators),
    )
    rows.sort_indices()
    order = rows.data.astype(np.int64)
    is_repeat = (rows.indices[1:] == rows.indices[:-1]) & (item_index[order[1:]] == item_index[order[:-1]])
    if is_repeat.any():
        in_run = np.flatnonzero(np.append(is_repeat, False) | np.append(False, is_repeat))
        run = np.cumsum(~np.append(False, is_repeat))[in_run]
        order[in_run] = order[in_run][np.lexsort((order[in_run], run))]
    return order, is_repeat


def _number(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct values in order, and the number of each; whole numbers that lie close without sorting."""
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < SPARSEST * len(values) and high <= np.iinfo(np.int64).max:
            offset = values.astype(np.int64) - low
            is_seen = np.zeros(high - low + 1, dtype=bool)
            is_seen[offset] = True
            number = np.cumsum(is_seen, dtype=np.int64) - 1
            return (np.flatnonzero(is_seen) + low).astype(values.dtype), number[offset]
    distinct, index = np.unique(values, return_inverse=True)
    return distinct, index.astype(np.int64)


def _starts(item_index: NDArray[Any], n_items: int) -> NDArray[np.int64]:
    starts = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(np.bincount(item_index, minlength=n_items), out=starts[1:])
    return starts


def _ids(labels: LabelColumns, noun: str, column: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct ids in sorted order, and the number of each row's."""
    values = column if isinstance(column, np.ndarray) else np.asarray(column)
    if values.dtype.kind in "iu":
        return _number(values)
    for row, value in enumerate(column):
        if value is None or value == "" or value != value:
            raise DataError(f"{labels.place(row)}: {noun} is {value!r}, expected an id")
    found: dict[str, int] = {}
    index = np.fromiter(
        (found.setdefault(str(value), len(found)) for value in column), dtype=np.int64, count=len(column)
    )
    names = np.asarray(list(found))
    by_name = np.argsort(names, kind="stable")
    place = np.empty(len(names), dtype=np.int64)
    place[by_name] = np.arange(len(names))
    return names[by_name], place[index]


def _classes(
    labels: LabelColumns, wanted: Sequence[Value] | None
) -> tuple[tuple[Value, ...], NDArray[np.int64]]:
    """The classes in order, and the number of each row's."""
    values = labels.values
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and wanted is None:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{labels.place(row)}: value is {values[row]}, expected a finite number")
        distinct, index = _number(values)
        return tuple(distinct.tolist()), index
    found: dict[Value, int] = {}
    index = np.empty(len(labels), dtype=np.int64)
    for row, value in enumerate(values):
        value = value.item() if isinstance(value, np.generic) else value
        is_number = isinstance(value, (int, float))
        if not isinstance(value, (str, int, float)) or value == "" or (is_number and not np.isfinite(value)):
            raise DataError(
                f"{labels.place(row)}: value is {value!r}, expected a class name or a finite number"
            )
        index[row] = found.setdefault(value, len(found))
    if wanted is None:
        wanted = _in_order(found)
    place_of = {value: number for number, value in enumerate(wanted)}
    unknown = [value for value in found if value not in place_of]
    if unknown:
        row = int(np.argmax(index == found[unknown[0]]))
        raise DataError(
            f"{labels.place(row)}: value is {unknown[0]!r}, expected one of "
            f"{', '.join(repr(value) for value in wanted)}"
        )
    renumber = np.array([place_of[value] for value in found], dtype=np.int64)
    return tuple(wanted), renumber[index]


def _in_order(values: Sequence[Value] | dict[Value, int]) -> list[Value]:
    """Numbers by size; where one is a name, all by text."""
    try:
        return sorted(values)  # type: ignore[type-var]
    except TypeError:
        return sorted(values, key=str)
