"""Anthropic's HH rows: `chosen` and `rejected` are whole dialogues of Human and Assistant turns.

The prompt is what both dialogues share up to an assistant turn. Where they part
earlier than at the last answer, the answers keep their later turns as text.
"""

import re
from typing import Any

from accord.domain import DataError, Message, Preference, Prompt, Provenance
from accord.store.exchange.cells import rest_of, shared_length, take_text
from accord.store.exchange.format import Cells, FileContext, Format

TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}
SPEAKERS = {role: speaker for speaker, role in ROLES.items()}
ANSWER_STARTS = "\n\nAssistant:"


def _read_row(cells: Cells, context: FileContext) -> list[Preference]:
    chosen, rejected = take_text(cells, "chosen"), take_text(cells, "rejected")
    head = cells.get("prompt")
    if isinstance(head, str) and head.strip():
        head = head.removesuffix(ANSWER_STARTS) + ANSWER_STARTS
        chosen, rejected = head + chosen.removeprefix(head), head + rejected.removeprefix(head)
    if chosen == rejected:
        raise DataError("chosen and rejected are identical, so no prompt can be told from the answers")
    end = _shared_prompt_end(chosen, rejected)
    return [
        Preference(
            prompt=Prompt(messages=read_turns(chosen[:end])),
            chosen=chosen[end + len(ANSWER_STARTS) :].strip(),
            rejected=rejected[end + len(ANSWER_STARTS) :].strip(),
            provenance=Provenance(source=context.name),
            meta=rest_of(cells, "prompt", "chosen", "rejected"),
        )
    ]


def _shared_prompt_end(chosen: str, rejected: str) -> int:
    """Where the last assistant turn that both dialogues begin together starts."""
    shared = chosen[: shared_length(chosen, rejected)]
    last_answer = min(chosen.rfind(ANSWER_STARTS), rejected.rfind(ANSWER_STARTS))
    end = shared.rfind(ANSWER_STARTS, 0, last_answer + len(ANSWER_STARTS))
    if end <= 0:
        raise DataError("chosen and rejected share no beginning that leads up to an assistant turn")
    return end


def read_turns(transcript: str) -> tuple[Message, ...]:
    """The turns of a dialogue; text before the first speaker raises."""
    head, *parts = TURN.split(transcript)
    if head.strip() or not parts:
        raise DataError(
            f"a transcript must begin with 'Human:' after two line breaks, got {transcript[:40]!r}"
        )
    return tuple(Message(ROLES[parts[i]], parts[i + 1].strip()) for i in range(0, len(parts), 2))


def write_turns(messages: tuple[Message, ...]) -> str:
    """A dialogue in HH style; a system message has no place there and raises."""
    if any(message.role not in SPEAKERS for message in messages):
        raise DataError("HH transcripts know only user and assistant turns; this prompt has another role")
    return "".join(f"\n\n{SPEAKERS[message.role]}: {message.content}" for message in messages)


def _is_transcript(cells: Cells) -> bool:
    whole = cells.get("prompt") or cells.get("chosen")
    return isinstance(whole, str) and whole.startswith("\n\nHuman:") and isinstance(cells["rejected"], str)


def _write_row(record: Preference) -> dict[str, Any]:
    if record.prompt.is_raw:
        raise DataError("a plain-text prompt is no dialogue; write preference, or read with as_chat")
    head = write_turns(record.prompt.messages) + ANSWER_STARTS
    return {"chosen": f"{head} {record.chosen}", "rejected": f"{head} {record.rejected}"}


TRANSCRIPTS = Format(
    name="hh",
    kind=Preference,
    fields=("chosen", "rejected"),
    summary="HH transcripts: chosen and rejected as whole Human/Assistant dialogues",
    read_row=_read_row,
    write_row=_write_row,
    fits=_is_transcript,
    priority=2,
)
