"""Slots of a llama-family batch in progress: their keys and values, and attention of one token a slot.

A prompt's keys and values are stored once for all slots of its group; new ones go to preallocated memory.
Keys lie as [d, column], so that scores of many columns are one pass. Attention is fp32 in every precision,
as it is for the learner under autocast up to attention's own rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from accord.rollouts.compiled import LANES, DecodeKernel, describe_slots

FIRST_COLUMNS = 32
"""Room for new tokens at first; doubled when it is full."""

COMPACT_BELOW = 0.75
"""Compact when at most this share of the slots would remain: below it the copy pays for itself."""


class LlamaSlots:
    """Slots form a grid [prompt, width]: a prompt's slots attend to the one copy of its keys and values.

    `shape` is the decoder: it has the numbers of layers and heads, and computes the products.
    """

    def __init__(self, shape: Any, lengths: Sequence[int], *, group: int, max_tokens: int):
        self.shape = shape
        self.n_prompts, self.width = len(lengths), group
        self.max_tokens, self.n_new = max_tokens, 0
        self.columns = min(FIRST_COLUMNS, _rounded(max_tokens))
        device = shape.device
        self.lengths = torch.tensor(lengths, device=device)
        self.cos, self.sin = shape.rotary_tables(max(lengths) + max_tokens)
        longest, grid = _rounded(max(lengths)), (len(shape.layers), self.n_prompts, shape.n_kv_heads)
        is_absent = torch.arange(longest, device=device) >= self.lengths[:, None]
        bias = torch.zeros(is_absent.shape, device=device).masked_fill(is_absent, -torch.inf)
        self.bias = bias.repeat_interleave(shape.n_kv_heads, 0)[:, None]
        empty = self.cos.new_zeros
        self.prefix_keys = empty(*grid, shape.head_size, longest)
        self.prefix_values = empty(*grid, longest, shape.head_size)
        self.own_keys = empty(*grid, group, shape.head_size, self.columns)
        self.own_values = empty(*grid, group, self.columns, shape.head_size)
        self.first_logits = empty(0)
        self._described: Any = None

    @property
    def n_slots(self) -> int:
        """Slots in the grid."""
        return self.n_prompts * self.width

    def advance(self, tokens: Tensor) -> Tensor:
        """Append one token to each slot (long [slot]) and return the logits [slot, V] of the next."""
        (logits,) = self.shape.advance([(self, tokens)])
        return logits  # type: ignore[no-any-return]

    def begin_step(self) -> tuple[Tensor, Tensor]:
        """Make room for one token more; cos and sin [slot, d] of its positions."""
        if self.n_new == self.max_tokens:  # the kernel would write beyond its memory
            raise IndexError(f"slots opened for {self.max_tokens} tokens have them; open them for more")
        if self.n_new == self.columns:
            self._grow()
        self._described = None
        positions = self.lengths.repeat_interleave(self.width) + self.n_new
        return self.cos[positions], self.sin[positions]

    def store_prefix(self, layer: int, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Keys and values [token, kv head, d] of each prompt."""
        for prompt, (key, value) in enumerate(zip(keys, values, strict=True)):
            self.prefix_keys[layer, prompt, :, :, : len(key)] = key.permute(1, 2, 0)
            self.prefix_values[layer, prompt, :, : len(value)] = value.transpose(0, 1)

    def attend_compiled(
        self, kernel: DecodeKernel, layer: int, joint: Tensor, cos: Tensor, sin: Tensor, mixed: Tensor
    ) -> None:
        """The same as `attend` in one call; fills `mixed` in the products' precision."""
        shape = self.shape
        if self._described is None:
            self._described = describe_slots(
                [
                    self.n_prompts,
                    self.width,
                    shape.n_kv_heads,
                    shape.n_shared,
                    self.bias.shape[-1],
                    self.columns,
                    self.n_new,
                ],
                [self.lengths, self.prefix_keys, self.prefix_values, self.own_keys, self.own_values],
            )
        kernel.attend(self._described, layer, joint, cos, sin, shape.scale, mixed)

    def attend(self, layer: int, joint: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mixed values [slot, head * d] of products [slot, (heads + 2 kv heads) * d]; stores keys, values."""
        shape = self.shape
        size, n_keys = shape.head_size, shape.n_kv_heads
        queries, keys, values = shape.split_heads(joint, cos[:, None], sin[:, None])
        own_keys, own_values = self.own_keys[layer], self.own_values[layer]
        grid = (self.n_prompts, self.width, n_keys, size)
        own_keys[..., self.n_new] = keys.view(grid).transpose(1, 2)
        own_values[..., self.n_new, :] = values.view(grid).transpose(1, 2)
        # [prompt, kv head, slot, query]: all that read one prompt's key head are rows of one product,
        # and all that read one slot's own keys as well, without another copy.
        grouped = (queries * shape.scale).view(self.n_prompts, self.width, n_keys, -1).transpose(1, 2)
        of_group, of_slot = (-1, self.width * shape.n_shared, size), (-1, shape.n_shared, size)
        grouped, longest, n_own = grouped.reshape(of_group), self.bias.shape[-1], self.n_new + 1
        prefix = torch.baddbmm(self.bias, grouped, self.prefix_keys[layer].flatten(0, 1))
        own = torch.bmm(grouped.view(of_slot), own_keys.flatten(0, 2)[..., :n_own])
        weights = torch.cat([prefix.view(-1, longest), own.view(-1, n_own)], -1).softmax(-1)
        of_prefix = weights.view(*of_group[:2], longest + n_own)[..., :longest]
        of_own = weights.view(*of_slot[:2], longest + n_own)[..., longest:]
        mixed = torch.bmm(of_prefix, self.prefix_values[layer].flatten(0, 1)).view(of_slot)
        mixed = torch.baddbmm(mixed, of_own, own_values.flatten(0, 2)[:, :n_own])
        mixed = mixed.view(self.n_prompts, n_keys, self.width, -1).transpose(1, 2)
        return mixed.reshape(self.n_slots, -1)

    def compact(self, is_alive: Sequence[bool]) -> list[int] | None:
        """Shrink the grid to the prompts with a live slot and the widest of them, if that drops enough."""
        alive = [
            [slot for slot in range(row * self.width, (row + 1) * self.width) if is_alive[slot]]
            for row in range(self.n_prompts)
        ]
        rows = [row for row, slots in enumerate(alive) if slots]
        width = max(map(len, alive), default=0)
        if not rows or len(rows) * width > COMPACT_BELOW * self.n_slots:
            return None
        kept: list[int] = []
        for row in rows:
            dead = [slot for slot in range(row * self.width, (row + 1) * self.width) if not is_alive[slot]]
            kept += (alive[row] + dead)[:width]
        self._keep(rows, kept, width)
        return kept

    def _keep(self, rows: list[int], slots: list[int], width: int) -> None:
        device = self.lengths.device
        row_index = torch.tensor(rows, device=device)
        within = torch.tensor(slots, device=device).view(len(rows), width) % self.width
        heads = torch.arange(self.shape.n_kv_heads, device=device)
        n_heads = len(heads)
        self.bias = self.bias[(row_index[:, None] * n_heads + heads).flatten()]
        self.prefix_keys, self.prefix_values = (
            self.prefix_keys[:, row_index],
            self.prefix_values[:, row_index],
        )
        index = (slice(None), row_index[:, None, None], heads[None, :, None], within[:, None, :])
        self.own_keys, self.own_values = self.own_keys[index], self.own_values[index]
        self.lengths = self.lengths[row_index]
        self.n_prompts, self.width = len(rows), width

    def _grow(self) -> None:
        more = min(self.columns, _rounded(self.max_tokens) - self.columns)
        for name, axis in (("own_keys", -1), ("own_values", -2)):
            store: Tensor = getattr(self, name)
            room = list(store.shape)
            room[axis] = more
            setattr(self, name, torch.cat([store, store.new_zeros(room)], axis))
        self.columns += more


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries [token, head, d] of the last tokens of keys and values [all, kv head, d]; [token, head * d]."""
    n_queries, n_keys = len(queries), len(keys)
    if not n_queries:
        return queries.flatten(1)
    is_seen = None
    if n_queries < n_keys:
        is_seen = torch.ones(n_queries, n_keys, dtype=torch.bool, device=keys.device).tril(n_keys - n_queries)
    mixed = nn.functional.scaled_dot_product_attention(
        queries.transpose(0, 1)[None],
        keys.transpose(0, 1)[None],
        values.transpose(0, 1)[None],
        attn_mask=is_seen,
        is_causal=is_seen is None,
        enable_gqa=True,
    )
    return mixed[0].transpose(0, 1).flatten(1)


def _rounded(count: int) -> int:
    """Up to a whole number of the kernel's lanes."""
    return -(-count // LANES) * LANES
