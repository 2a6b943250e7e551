"""What the native sampler asks of a model: prefill prompts once, then one token a row at a time.

Two implementations: `llama` (own fast path) and `cached` (any Hugging Face decoder).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Decoding(Protocol):
    """A batch in progress. Slots hold rows: at first slot `prompt * group + sample` that row."""

    @property
    def first_logits(self) -> Tensor:
        """[slot, V]: logits of each completion's first token."""
        ...

    def compact(self, is_alive: Sequence[bool]) -> list[int] | None:
        """Drop finished slots if that pays: the old slots that stay, in their new order, else None.

        A finished slot may stay where the layout needs it.
        """
        ...


class Decoder(Protocol):
    """A model made ready for decoding."""

    def begin(self, prompts: Sequence[Sequence[int]], *, group: int, max_tokens: int) -> Decoding:
        """Prefill each prompt once and open `group` slots for it."""
        ...

    def advance(self, parts: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        """Append one token to each slot (long [slot]) of each decoding; the next logits [slot, V]."""
        ...
