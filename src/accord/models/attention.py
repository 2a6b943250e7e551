"""Attention over ragged segments: every segment sees its ancestors in full and itself causally.

Registered with transformers under one name, so any decoder whose attention goes through
`AttentionInterface` can run a batch without padding; no model code is copied. A forward
without a ragged layout under the same name is transformers' own SDPA, unchanged.
Dropout inside attention, sliding windows and soft-capped scores are not handled here:
`ragged.hidden_states` sends such models to the padded forward.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

RAGGED_ATTENTION = "accord_ragged"
"""Name under which the implementation is known to transformers."""


@dataclass(frozen=True)
class AttentionLayout:
    """Where the segments of a ragged batch lie and what each of them sees."""

    lengths: tuple[int, ...]
    """Tokens of each segment; segments lie end to end in this order."""
    ancestors: tuple[tuple[int, ...], ...]
    """For each segment the segments before it on its path, root first; empty for a root."""


def register_ragged_attention() -> None:
    """Make `RAGGED_ATTENTION` known to transformers; calling it again changes nothing."""
    AttentionInterface.register(RAGGED_ATTENTION, ragged_attention_forward)
    AttentionMaskInterface.register(RAGGED_ATTENTION, sdpa_mask)


def ragged_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    ragged_layout: AttentionLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer: query [1, heads, T, d], key and value [1, kv heads, T, d]."""
    if ragged_layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return ragged_attention(query, key, value, ragged_layout, scale=scaling), None


def ragged_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: AttentionLayout, *, scale: float | None = None
) -> Tensor:
    """Exact attention of every token over its segment's ancestors and its own segment up to itself.

    query [1, H, T, d]; key and value [1, Hkv, T, d] with H a multiple of Hkv; returns [1, T, H, d].
    """
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    lengths = list(layout.lengths)
    queries, keys, values = query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2)
    outputs = []
    for segment, ancestors in enumerate(layout.ancestors):
        own_query = queries[segment]
        mask = None
        own_key, own_value = keys[segment], values[segment]
        if ancestors:
            path = (*ancestors, segment)
            own_key = torch.cat([keys[i] for i in path], dim=2)
            own_value = torch.cat([values[i] for i in path], dim=2)
            n_rows, n_columns = own_query.shape[2], own_key.shape[2]
            mask = torch.ones(n_rows, n_columns, dtype=torch.bool, device=query.device)
            mask = mask.tril(n_columns - n_rows)
        output = nn.functional.scaled_dot_product_attention(
            own_query, own_key, own_value, attn_mask=mask, is_causal=mask is None, scale=scale
        )
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, dim=1)
