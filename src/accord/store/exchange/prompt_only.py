"""TRL's prompt-only rows, plain or conversational."""

from dataclasses import replace
from typing import Any

from accord.domain import Prompt
from accord.store.exchange.cells import read_prompt, required, rest_of, write_prompt
from accord.store.exchange.format import Cells, FileContext, Format


def _read_row(cells: Cells, context: FileContext) -> list[Prompt]:
    return [replace(read_prompt(required(cells, "prompt"), context), meta=rest_of(cells, "prompt"))]


def _write_row(record: Prompt) -> dict[str, Any]:
    return {"prompt": write_prompt(record)}


PROMPT_ONLY = Format(
    name="prompt",
    kind=Prompt,
    fields=("prompt",),
    summary="TRL prompt-only: prompt (text or message list)",
    read_row=_read_row,
    write_row=_write_row,
)
