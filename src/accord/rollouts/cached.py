"""Decoding of any Hugging Face decoder through its own forward and cache: slower than `llama`, covers all.

Prompts run once each, left-padded, and their cache is repeated for the group. Precision is
the model's own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from accord.models.language_model import LanguageModel
from accord.rollouts.packing import fingerprint

COMPACT_BELOW = 0.75
"""Compact when at most this share of the slots is alive."""


class CachedDecoder:
    """A model decoded through transformers' forward; keeps nothing of its own."""

    def __init__(self, model: LanguageModel):
        self.model = model

    @property
    def version(self) -> str:
        """A fingerprint of the weights that decode now."""
        return fingerprint(self.model.network.state_dict(keep_vars=True).values())

    def refresh(self) -> None:
        """Nothing to take over: the module's weights are used where they are."""

    def begin(self, prompts: Sequence[Sequence[int]], *, group: int, max_tokens: int) -> "CachedDecoding":
        """Prefill each prompt once and open `group` slots for it."""
        return CachedDecoding(self.model, prompts, group=group)

    def advance(self, parts: "Sequence[tuple[CachedDecoding, Tensor]]") -> list[Tensor]:
        """Append one token to each slot of each part, one part after the other."""
        return [decoding.advance(tokens) for decoding, tokens in parts]


class CachedDecoding:
    """Slots are the rows of one padded batch."""

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]], *, group: int):
        self.network: Any = model.causal_lm
        longest = max(map(len, prompts))
        rows = [[0] * (longest - len(ids)) + list(ids) for ids in prompts]
        self.mask = torch.tensor(
            [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device
        )
        self.cache: Any = DynamicCache(config=self.network.config)
        positions = (self.mask.cumsum(-1) - 1).clamp_min(0)
        logits = self._forward(torch.tensor(rows, device=model.device), positions)
        self.cache.batch_repeat_interleave(group)
        self.mask = self.mask.repeat_interleave(group, 0)
        self.first_logits = logits.repeat_interleave(group, 0)

    def advance(self, tokens: Tensor) -> Tensor:
        """Append one token to each slot (long [slot]) and return the logits [slot, V] of the next."""
        positions = self.mask.sum(-1, keepdim=True)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        return self._forward(tokens[:, None], positions)

    def compact(self, is_alive: Sequence[bool]) -> list[int] | None:
        """Drop the finished slots when a quarter of them is finished."""
        kept = [slot for slot, alive in enumerate(is_alive) if alive]
        if not kept or len(kept) > COMPACT_BELOW * len(is_alive):
            return None
        index = torch.tensor(kept, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask = self.mask[index]
        return kept

    def _forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        output = self.network(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
