"""A batch in progress that rows join and leave: who joined later shares the matrix products of who runs.

Rows that begin together form a wave, which has its own prefilled prompts and positions; each step draws one
token for every row of every wave and runs them through the model at once. Leaves out who may join when:
`native` and `engine` decide that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from accord.rollouts.decoding import Decoder, Decoding


class Running(Protocol):
    """A row, as far as the batch looks at it."""

    @property
    def is_alive(self) -> bool:
        """Whether it wants another token."""
        ...


Row = TypeVar("Row", bound=Running)
Draw = Callable[[Sequence[Row], Tensor], Sequence[int]]
"""Takes rows and logits [row, V]; notes a token for each row that is alive, and returns one for every row."""


@dataclass
class _Wave(Generic[Row]):
    decoding: Decoding
    rows: list[Row]
    logits: Tensor

    @property
    def is_alive(self) -> bool:
        return any(row.is_alive for row in self.rows)


class RunningBatch(Generic[Row]):
    """Rows in progress on one model."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self._waves: list[_Wave[Row]] = []

    @property
    def rows(self) -> list[Row]:
        """Those that are alive."""
        return [row for wave in self._waves for row in wave.rows if row.is_alive]

    @property
    def n_alive(self) -> int:
        """How many rows want another token."""
        return sum(row.is_alive for wave in self._waves for row in wave.rows)

    def join(self, prompts: Sequence[Sequence[int]], rows: Sequence[Row], *, max_tokens: int) -> None:
        """Prefill the prompts and let their rows in, as many for each prompt, in the prompts' order."""
        decoding = self.decoder.begin(prompts, group=len(rows) // len(prompts), max_tokens=max_tokens)
        self._waves.append(_Wave(decoding, list(rows), decoding.first_logits))

    def step(self, draw: Draw[Row]) -> None:
        """A token for each row; whoever then wants another one runs on, the others leave."""
        parts: list[tuple[Decoding, Tensor]] = []
        self._waves = [wave for wave in self._waves if wave.is_alive]
        waves = []
        for wave in self._waves:
            tokens = draw(wave.rows, wave.logits)
            if not wave.is_alive:
                continue
            kept = wave.decoding.compact([row.is_alive for row in wave.rows])
            if kept is not None:
                wave.rows, tokens = [wave.rows[i] for i in kept], [tokens[i] for i in kept]
            waves.append(wave)
            parts.append((wave.decoding, torch.tensor(tokens, device=wave.logits.device)))
        self._waves = waves
        if parts:
            for wave, logits in zip(waves, self.decoder.advance(parts), strict=True):
                wave.logits = logits
