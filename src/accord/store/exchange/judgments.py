"""Raw judgments: one row an annotator and a pair of answers."""

from typing import Any

from accord.domain import Comparison, DataError, Judgment, Source
from accord.store.exchange.cells import (
    read_completion,
    read_prompt,
    required,
    rest_of,
    take_choice,
    take_label,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format

LEFT = ("left", "response_a", "answer_a", "completion_a", "output_1", "response1")
RIGHT = ("right", "response_b", "answer_b", "completion_b", "output_2", "response2")
CHOICE = ("choice", "winner", "preference")
ANNOTATOR = ("annotator_id", "annotator", "worker_id", "worker", "judge", "rater")
USED = ("prompt", "source", *LEFT, *RIGHT, *CHOICE, *ANNOTATOR)


def _read_row(cells: Cells, context: FileContext) -> list[Judgment]:
    comparison = Comparison(
        prompt=read_prompt(required(cells, "prompt"), context),
        left=read_completion(required(cells, *LEFT), context),
        right=read_completion(required(cells, *RIGHT), context),
    )
    annotator_id = take_label(cells, *ANNOTATOR)
    if not annotator_id:
        raise DataError(f"a judgment needs its annotator in one of the fields {', '.join(ANNOTATOR)}")
    source = take_label(cells, "source", default="human")
    if source not in list(Source):
        raise DataError(f"field 'source' must be one of {', '.join(Source)}, got {source!r}")
    return [
        Judgment(
            comparison=comparison,
            annotator_id=annotator_id,
            choice=take_choice(cells, *CHOICE),
            source=Source(source),
            meta=rest_of(cells, *USED),
        )
    ]


def _write_row(record: Judgment) -> dict[str, Any]:
    comparison = record.comparison
    return {
        "prompt": write_prompt(comparison.prompt),
        "left": write_completion(comparison.prompt, comparison.left),
        "right": write_completion(comparison.prompt, comparison.right),
        "choice": record.choice.value,
        "annotator_id": record.annotator_id,
        "source": record.source.value,
    }


JUDGMENTS = Format(
    name="judgments",
    kind=Judgment,
    fields=("prompt", "|".join(LEFT), "|".join(RIGHT), "|".join(CHOICE), "|".join(ANNOTATOR)),
    summary="raw judgments: prompt, left, right, choice (left, right, tie, both_bad), annotator_id",
    read_row=_read_row,
    write_row=_write_row,
)
