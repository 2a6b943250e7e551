"""TRL's unpaired preference rows, which KTO learns from: one answer marked good or bad."""

from typing import Any

from accord.domain import Verdict
from accord.store.exchange.cells import (
    read_completion,
    read_prompt,
    required,
    rest_of,
    take_flag,
    take_number,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format


def _read_row(cells: Cells, context: FileContext) -> list[Verdict]:
    return [
        Verdict(
            prompt=read_prompt(required(cells, "prompt"), context),
            completion=read_completion(required(cells, "completion"), context),
            is_desirable=take_flag(cells, "label"),
            weight=take_number(cells, "weight", default=1.0),
            meta=rest_of(cells, "prompt", "completion", "label", "weight"),
        )
    ]


def _write_row(record: Verdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "prompt": write_prompt(record.prompt),
        "completion": write_completion(record.prompt, record.completion),
        "label": record.is_desirable,
    }
    return row if record.weight == 1.0 else {**row, "weight": float(record.weight)}


UNPAIRED = Format(
    name="kto",
    kind=Verdict,
    fields=("prompt", "completion", "label"),
    summary="TRL unpaired preference (KTO): prompt, completion, label true or false",
    read_row=_read_row,
    write_row=_write_row,
)
