"""TRL's prompt-completion rows: demonstrations, plain or conversational."""

from typing import Any

from accord.domain import Demonstration
from accord.store.exchange.cells import (
    read_completion,
    read_prompt,
    required,
    rest_of,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format


def _read_row(cells: Cells, context: FileContext) -> list[Demonstration]:
    return [
        Demonstration(
            prompt=read_prompt(required(cells, "prompt"), context),
            completion=read_completion(required(cells, "completion"), context),
            meta=rest_of(cells, "prompt", "completion"),
        )
    ]


def _write_row(record: Demonstration) -> dict[str, Any]:
    return {
        "prompt": write_prompt(record.prompt),
        "completion": write_completion(record.prompt, record.completion),
    }


PROMPT_COMPLETION = Format(
    name="prompt_completion",
    kind=Demonstration,
    fields=("prompt", "completion"),
    summary="TRL prompt-completion: prompt, completion (text or message lists)",
    read_row=_read_row,
    write_row=_write_row,
)
