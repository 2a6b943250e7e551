"""Answers in steps with a label on each, as TRL and process reward models keep them.

Leaves out annotations of whole answers beside the steps; those stay in `meta`.
"""

from typing import Any

from accord.domain import DataError, StepLabels
from accord.store.exchange.cells import (
    read_prompt,
    required,
    rest_of,
    shown,
    take_label,
    take_list,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format

STEPS = ("completions", "steps")
ANNOTATOR = ("annotator_id", "annotator", "worker", "judge")


def _read_row(cells: Cells, context: FileContext) -> list[StepLabels]:
    steps = take_list(cells, *STEPS)
    for step in steps:
        if not isinstance(step, str):
            raise DataError(f"a step must be text, got {shown(step)}")
    return [
        StepLabels(
            prompt=read_prompt(required(cells, "prompt"), context),
            steps=tuple(steps),
            labels=tuple(_read_label(label) for label in take_list(cells, "labels")),
            annotator_id=take_label(cells, *ANNOTATOR),
            meta=rest_of(cells, "prompt", "labels", *STEPS, *ANNOTATOR),
        )
    ]


def _read_label(value: Any) -> float | None:
    """True and false, a probability, or null for a step that nobody looked at."""
    if value is None:
        return None
    if not isinstance(value, bool | int | float):
        raise DataError(
            f"the label of a step must be true, false, a number in [0, 1] or null, got {shown(value)}"
        )
    return float(value)


def _write_row(record: StepLabels) -> dict[str, Any]:
    return {
        "prompt": write_prompt(record.prompt),
        "completions": list(record.steps),
        "labels": list(record.labels),
        "annotator_id": record.annotator_id,
    }


STEPWISE = Format(
    name="stepwise",
    kind=StepLabels,
    fields=("prompt", "|".join(STEPS), "labels"),
    summary="answers in steps: prompt, completions (the steps), labels true, false or null",
    read_row=_read_row,
    write_row=_write_row,
    fits=lambda cells: "ranks" not in cells and "scores" not in cells,
)
