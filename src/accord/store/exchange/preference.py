"""TRL's preference rows: plain or conversational, with the prompt given or implied by a common beginning."""

from typing import Any

from accord.domain import DataError, Preference, Prompt, Provenance
from accord.store.exchange.cells import (
    conversational,
    read_completion,
    read_messages,
    read_prompt,
    required,
    rest_of,
    shared_length,
    single_answer,
    take_number,
    write_completion,
    write_prompt,
)
from accord.store.exchange.format import Cells, FileContext, Format

NUMBERS = {"p_chosen": 1.0, "weight": 1.0, "margin": 0.0}
"""Columns beside the texts, with the value that is left out. TRL knows `margin`; it ignores the others."""


def _read_row(cells: Cells, context: FileContext) -> list[Preference]:
    chosen = conversational(required(cells, "chosen"), context)
    rejected = conversational(required(cells, "rejected"), context)
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise DataError("chosen and rejected must both be text or both be message lists")
    prompt_cell = conversational(cells.get("prompt"), context)
    is_implied = prompt_cell is None or _repeats_prompt(prompt_cell, chosen)
    if is_implied:
        prompt, chosen_text, rejected_text = _split_common(chosen, rejected)
    else:
        prompt = read_prompt(prompt_cell, context)
        chosen_text = read_completion(chosen, context)
        rejected_text = read_completion(rejected, context)
    used = ("prompt", "chosen", "rejected", *NUMBERS)
    numbers = {name: take_number(cells, name, default=default) for name, default in NUMBERS.items()}
    return [
        Preference(
            prompt=prompt,
            chosen=chosen_text,
            rejected=rejected_text,
            **numbers,
            provenance=Provenance(source=context.name),
            meta=rest_of(cells, *used),
        )
    ]


def _repeats_prompt(prompt: Any, chosen: Any) -> bool:
    """True where the prompt stands as text but the answers are whole conversations (UltraFeedback)."""
    return isinstance(prompt, str) and isinstance(chosen, list) and len(chosen) > 1


def _split_common(chosen: Any, rejected: Any) -> tuple[Prompt, str, str]:
    """Prompt, chosen and rejected answer from two whole texts or conversations."""
    if chosen == rejected:
        raise DataError("chosen and rejected are identical, so no prompt can be told from the answers")
    if isinstance(chosen, str):
        return _split_common_text(chosen, rejected)
    first, second = read_messages(chosen), read_messages(rejected)
    shared = shared_length(first, second)
    if shared == 0:
        raise DataError("chosen and rejected share no first message, and there is no prompt field")
    prompt = Prompt(messages=first[:shared])
    return prompt, single_answer(first[shared:]), single_answer(second[shared:])


def _split_common_text(chosen: str, rejected: str) -> tuple[Prompt, str, str]:
    """Split after the common beginning; as in TRL, a space before the difference goes to the answers."""
    shared = shared_length(chosen, rejected)
    if shared and chosen[shared - 1] == " ":
        shared -= 1
    if shared == 0:
        raise DataError("chosen and rejected share no beginning, and there is no prompt field")
    return Prompt.from_raw(chosen[:shared]), chosen[shared:], rejected[shared:]


def _write_row(record: Preference) -> dict[str, Any]:
    row: dict[str, Any] = {
        "prompt": write_prompt(record.prompt),
        "chosen": write_completion(record.prompt, record.chosen),
        "rejected": write_completion(record.prompt, record.rejected),
    }
    for name, default in NUMBERS.items():
        value = float(getattr(record, name))
        if value != default:
            row[name] = value
    return row


PREFERENCE = Format(
    name="preference",
    kind=Preference,
    fields=("chosen", "rejected"),
    summary="TRL preference: chosen, rejected, prompt (given or implied), text or message lists",
    read_row=_read_row,
    write_row=_write_row,
)
