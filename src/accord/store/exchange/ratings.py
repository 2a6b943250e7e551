"""Ratings: a number an annotator gave an answer, on one scoring dimension."""

from typing import Any

from accord.domain import Rating
from accord.store.exchange.cells import (
    read_completion,
    read_prompt,
    required,
    rest_of,
    take_label,
    take_number,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format

VALUE = ("rating", "score", "value")
ANNOTATOR = ("annotator_id", "annotator", "worker", "judge", "rater")


def _read_row(cells: Cells, context: FileContext) -> list[Rating]:
    return [
        Rating(
            prompt=read_prompt(required(cells, "prompt"), context),
            completion=read_completion(required(cells, "completion"), context),
            value=take_number(cells, *VALUE),
            dimension=take_label(cells, "dimension", default="overall"),
            annotator_id=take_label(cells, *ANNOTATOR),
            meta=rest_of(cells, "prompt", "completion", "dimension", *VALUE, *ANNOTATOR),
        )
    ]


def _write_row(record: Rating) -> dict[str, Any]:
    return {
        "prompt": write_prompt(record.prompt),
        "completion": write_completion(record.prompt, record.completion),
        "rating": float(record.value),
        "dimension": record.dimension,
        "annotator_id": record.annotator_id,
    }


RATINGS = Format(
    name="ratings",
    kind=Rating,
    fields=("prompt", "completion", "|".join(VALUE)),
    summary="ratings: prompt, completion, rating, dimension, annotator_id",
    read_row=_read_row,
    write_row=_write_row,
)
