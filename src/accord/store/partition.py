"""Train and test sides of any records that have prompts, so that no prompt is on both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accord.domain import Prompt, Split, split_by_prompt
from accord.store.conversion import prompt_of
from accord.store.exchange.format import Record


@dataclass(frozen=True, slots=True)
class _WithPrompt:
    """A record beside its prompt: judgments, and prompts themselves, have no `prompt` of their own."""

    prompt: Prompt
    record: Record


def split_records(records: Sequence[Record], *, test_share: float = 0.1, seed: int = 0) -> Split[Any]:
    """`split_by_prompt` for every kind of record with a prompt.

    A prompt goes to the same side in every file that is split with the same seed and share.
    """
    held = [_WithPrompt(prompt_of(record), record) for record in records]
    split = split_by_prompt(held, test_share=test_share, seed=seed)
    return Split[Any](
        train=[entry.record for entry in split.train], test=[entry.record for entry in split.test]
    )
