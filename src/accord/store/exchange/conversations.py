"""Conversational SFT rows: a `messages` list whose last assistant turn is the demonstration.

Earlier assistant turns are part of the prompt; they are not imitated.
"""

from typing import Any

from accord.domain import DataError, Demonstration, Prompt
from accord.store.exchange.cells import read_messages, rest_of, take_list, write_messages
from accord.store.exchange.format import Cells, FileContext, Format


def _read_row(cells: Cells, context: FileContext) -> list[Demonstration]:
    messages = read_messages(take_list(cells, "messages"))
    if len(messages) < 2 or messages[-1].role != "assistant":
        roles = ", ".join(message.role for message in messages) or "no messages"
        raise DataError(f"messages must be a prompt and then an assistant answer, got {roles}")
    return [
        Demonstration(
            prompt=Prompt(messages=messages[:-1]),
            completion=messages[-1].content,
            meta=rest_of(cells, "messages"),
        )
    ]


def _write_row(record: Demonstration) -> dict[str, Any]:
    if record.prompt.is_raw:
        raise DataError(
            "a plain-text prompt is no conversation; write prompt_completion, or read with as_chat"
        )
    answer = {"role": "assistant", "content": record.completion}
    return {"messages": [*write_messages(record.prompt.messages), answer]}


CONVERSATIONS = Format(
    name="messages",
    kind=Demonstration,
    fields=("messages",),
    summary="conversational SFT: messages, of which the last assistant turn is learned",
    read_row=_read_row,
    write_row=_write_row,
)
