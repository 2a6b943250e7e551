"""Crowd labels and ratings of tasks whose texts are not in the file: the task id stands in for the text."""

from pathlib import Path
from typing import Any

from accord.domain import DataError, Prompt, Rating
from accord.store.exchange.cells import required, rest_of, take_label, take_number
from accord.store.exchange.format import Cells, FileContext, Format
from accord.store.rows import Row, iterate_rows

TASK_NOTE = "The texts are not in this file: the task id stands in for prompt and answer."


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _read_classes(path: Path) -> dict[str, int]:
    """The class names of the file in sorted order, numbered from 0; empty where labels are numbers."""
    labels = {str(row.cells.get("label")) for row in iterate_rows(path) if isinstance(row, Row)}
    names = sorted(label for label in labels if not _is_number(label))
    return {name: number for number, name in enumerate(names)}


def _read_label(cells: Cells, context: FileContext) -> list[Rating]:
    task, label = str(required(cells, "task")), required(cells, "label")
    if _is_number(label):
        value, meta = float(label), {}
    elif str(label) in context.joined:
        value, meta = float(context.joined[str(label)]), {"label": label}
    else:
        raise DataError(f"field 'label' must be a number or a class name, got {label!r}")
    return [
        Rating(
            prompt=Prompt.from_raw(task),
            completion=task,
            value=value,
            dimension="label",
            annotator_id=take_label(cells, "worker"),
            meta=meta,
        )
    ]


def _read_rating(cells: Cells, context: FileContext) -> list[Rating]:
    task = str(required(cells, "task"))
    return [
        Rating(
            prompt=Prompt.from_raw(task),
            completion=task,
            value=take_number(cells, "rating"),
            dimension=take_label(cells, "dimension", default="overall"),
            annotator_id=take_label(cells, "worker"),
            meta=rest_of(cells, "task", "rating", "dimension", "worker"),
        )
    ]


def _read_error_score(cells: Cells, context: FileContext) -> list[Rating]:
    used = ("doc", "seg", "system", "rater", "mqm")
    return [
        Rating(
            prompt=Prompt.from_raw(f"{required(cells, 'doc')}#{required(cells, 'seg')}"),
            completion=str(required(cells, "system")),
            value=take_number(cells, "mqm"),
            dimension="mqm",
            annotator_id=take_label(cells, "rater"),
            meta=rest_of(cells, *used),
        )
    ]


CROWD_LABELS = Format(
    name="crowd_labels",
    kind=Rating,
    fields=("task", "worker", "label"),
    summary="crowd labels: task, worker, label (numbers, or class names numbered in sorted order)",
    read_row=_read_label,
    prepare=_read_classes,
    has_texts=False,
    note=TASK_NOTE + " Class names are numbered from 0 in sorted order; the name is kept in meta.",
)

TASK_RATINGS = Format(
    name="task_ratings",
    kind=Rating,
    fields=("task", "worker", "rating"),
    summary="ratings of tasks: task, dimension, worker, rating",
    read_row=_read_rating,
    has_texts=False,
    note=TASK_NOTE,
)

MQM = Format(
    name="mqm",
    kind=Rating,
    fields=("system", "doc", "seg", "rater", "mqm"),
    summary="MQM error scores of translations: system, doc, seg, rater, mqm",
    read_row=_read_error_score,
    has_texts=False,
    note="The texts are not in this file: doc#seg stands in for the prompt, the system for the answer. "
    "An MQM score counts errors, so that higher is worse.",
)
