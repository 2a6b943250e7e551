"""Fast decoding for the llama family, on the weights of the Hugging Face module itself.

What is different from a plain forward: projections that read the same input are one product,
a prompt is run once and its keys and values are stored once for all completions of its group,
new keys and values go to preallocated memory, and residual stream, norms, rotary and attention
are fp32 in every precision, as they are for the learner under autocast up to attention's own
rounding. Leaves out sliding windows and dynamic rotary scaling; `covers` says so.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from accord.models.language_model import LanguageModel
from accord.models.ragged import shared_prefix
from accord.rollouts.packing import (
    PackedLinear,
    adapter_state,
    bias_of,
    fingerprint,
    is_mergeable,
    merged_weight,
)

COVERED_FAMILIES = frozenset({"llama", "mistral", "qwen2"})
"""`config.model_type` of the models this computes exactly; each has its own test."""

STATIC_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary types whose angles depend on the position alone, not on the length of the sequence."""

FIRST_COLUMNS = 64
"""Room for new tokens at first; doubled when it is full."""

COMPACT_BELOW = 0.75
"""Compact when at most this share of the slots would remain: below it the copy pays for itself."""


def covers(model: LanguageModel) -> bool:
    """Whether the fast path computes this model exactly."""
    config = model.causal_lm.config
    rotary = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in COVERED_FAMILIES
        and config.hidden_act == "silu"
        and getattr(config, "sliding_window", None) is None
        and rotary.get("rope_type", "default") in STATIC_ROTARY
        and all(is_mergeable(linear) for layer in _layers(model) for linear in _linears(layer))
    )


@dataclass(frozen=True)
class PackedLayer:
    """One decoder layer with its weights as decoding wants them."""

    version: str
    input_norm: Tensor
    qkv: PackedLinear
    output: PackedLinear
    mlp_norm: Tensor
    gate: PackedLinear
    up: PackedLinear
    down: PackedLinear


class LlamaDecoder:
    """A llama-family model made ready for decoding; only layers whose weights changed are packed again."""

    def __init__(self, model: LanguageModel, *, dtype: torch.dtype):
        self.model = model
        self.dtype = dtype
        config = model.causal_lm.config
        self.n_heads: int = config.num_attention_heads
        self.n_kv_heads: int = config.num_key_value_heads
        self.n_shared: int = self.n_heads // self.n_kv_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // self.n_heads
        self.eps: float = config.rms_norm_eps
        self.layers: list[PackedLayer] = []
        self.head_version = ""
        self.refresh()

    @property
    def version(self) -> str:
        """A fingerprint of the weights that decode now."""
        return fingerprint([], state=" ".join([self.head_version, *(layer.version for layer in self.layers)]))

    def refresh(self) -> None:
        """Take over the model's weights as they are now."""
        layers = []
        for index, module in enumerate(_layers(self.model)):
            version = fingerprint(_weights(module), state=_adapters(module))
            is_current = index < len(self.layers) and self.layers[index].version == version
            layers.append(self.layers[index] if is_current else self._pack(module, version))
        self.layers = layers
        body: Any = self.model.body
        version = fingerprint([self.model.head_weight, body.embed_tokens.weight, body.norm.weight])
        if version != self.head_version:
            head = self.model.causal_lm.get_output_embeddings()
            self.head = PackedLinear([head.weight], [head.bias], dtype=self.dtype)
            self.head_version = version
        self.embedding: Tensor = body.embed_tokens.weight.detach()
        self.norm: Tensor = body.norm.weight.detach().float()

    def begin(self, prompts: Sequence[Sequence[int]], *, group: int, max_tokens: int) -> "LlamaDecoding":
        """Prefill each prompt once and open `group` slots for it."""
        return LlamaDecoding(self, prompts, group=group, max_tokens=max_tokens)

    def normalize(self, stream: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm in fp32, then the precision of the products."""
        return nn.functional.rms_norm(stream, stream.shape[-1:], weight, self.eps).to(self.dtype)

    def rotary_tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """cos and sin [positions, head_size] in fp32; the sine's first half is negated, see `_rotate`."""
        rotary: Any = self.model.body.rotary_emb  # type: ignore[union-attr]
        device = self.embedding.device
        cos, sin = rotary(torch.zeros(1, device=device), torch.arange(positions, device=device)[None])
        sin = sin[0].float()
        half = self.head_size // 2
        return cos[0].float(), torch.cat([-sin[:, :half], sin[:, half:]], -1)

    def _pack(self, module: Any, version: str) -> PackedLayer:
        attention, mlp = module.self_attn, module.mlp
        return PackedLayer(
            version=version,
            input_norm=module.input_layernorm.weight.detach().float(),
            qkv=self._fuse(attention.q_proj, attention.k_proj, attention.v_proj),
            output=self._fuse(attention.o_proj),
            mlp_norm=module.post_attention_layernorm.weight.detach().float(),
            gate=self._fuse(mlp.gate_proj),
            up=self._fuse(mlp.up_proj),
            down=self._fuse(mlp.down_proj),
        )

    def _fuse(self, *linears: nn.Module) -> PackedLinear:
        return PackedLinear(
            [merged_weight(one) for one in linears], [bias_of(one) for one in linears], dtype=self.dtype
        )


class LlamaDecoding:
    """Slots form a grid [prompt, width]: a prompt's slots attend to the one copy of its keys and values."""

    def __init__(
        self, decoder: LlamaDecoder, prompts: Sequence[Sequence[int]], *, group: int, max_tokens: int
    ):
        self.decoder = decoder
        self.n_prompts, self.width = len(prompts), group
        self.max_tokens, self.n_new, self.columns = max_tokens, 0, min(FIRST_COLUMNS, max_tokens)
        self.lengths = torch.tensor([len(ids) for ids in prompts], device=decoder.embedding.device)
        self.cos, self.sin = decoder.rotary_tables(int(self.lengths.max()) + max_tokens)
        longest = int(self.lengths.max())
        is_absent = torch.arange(longest, device=self.lengths.device) >= self.lengths[:, None]
        bias = torch.zeros(is_absent.shape, device=is_absent.device).masked_fill(is_absent, -torch.inf)
        self.bias = bias.repeat_interleave(decoder.n_kv_heads, 0)[:, None]
        self.prefix_keys: list[Tensor] = []
        self.prefix_values: list[Tensor] = []
        self.own_keys: list[Tensor] = []
        self.own_values: list[Tensor] = []
        self.first_logits = self._prefill(prompts).repeat_interleave(group, 0)

    @property
    def n_slots(self) -> int:
        """Slots in the grid."""
        return self.n_prompts * self.width

    def advance(self, tokens: Tensor) -> Tensor:
        """Append one token to each slot (long [slot]) and return the logits [slot, V] of the next."""
        if self.n_new == self.columns:
            self._grow()
        decoder = self.decoder
        positions = self.lengths.repeat_interleave(self.width) + self.n_new
        scale = decoder.head_size**-0.5
        n_queries, n_keys = decoder.n_heads, decoder.n_kv_heads
        # Queries take the attention scale with their rotation, once a step and not once a layer.
        per_head = torch.ones(1, n_queries + n_keys, 1, device=tokens.device)
        per_head[:, :n_queries] = scale
        cos, sin = self.cos[positions, None] * per_head, self.sin[positions, None] * per_head
        stream = nn.functional.embedding(tokens, decoder.embedding).float()
        for index, layer in enumerate(decoder.layers):
            queries, keys, values = self._project(layer, stream, cos, sin)
            for part, store in ((keys, self.own_keys), (values, self.own_values)):
                by_slot = store[index].view(self.n_prompts, n_keys, self.width, self.columns, -1)
                by_slot[:, :, :, self.n_new] = part.view(self.n_prompts, self.width, n_keys, -1).transpose(
                    1, 2
                )
            mixed = self._attend(index, queries)
            stream = self._finish(layer, stream, mixed)
        self.n_new += 1
        return self._logits(stream)

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
        self._keep(rows, kept)
        self.width = width
        return kept

    def _keep(self, rows: list[int], slots: list[int]) -> None:
        device = self.lengths.device
        row_index = torch.tensor(rows, device=device)
        slot_index = torch.tensor(slots, device=device).view(len(rows), 1, -1)
        heads = torch.arange(self.decoder.n_kv_heads, device=device)
        row_heads = row_index[:, None] * len(heads) + heads
        # Own keys and values lie as [prompt, kv head, slot of the prompt].
        own_index = (row_heads[:, :, None] * self.width + slot_index % self.width).flatten()
        self.prefix_keys = [part[row_heads.flatten()] for part in self.prefix_keys]
        self.prefix_values = [part[row_heads.flatten()] for part in self.prefix_values]
        self.own_keys = [part[own_index] for part in self.own_keys]
        self.own_values = [part[own_index] for part in self.own_values]
        self.lengths, self.bias = self.lengths[row_index], self.bias[row_heads.flatten()]
        self.n_prompts = len(rows)

    def _grow(self) -> None:
        more = min(self.columns, self.max_tokens - self.columns)
        for store in (self.own_keys, self.own_values):
            for index, part in enumerate(store):
                store[index] = torch.cat([part, part.new_empty(len(part), more, part.shape[-1])], 1)
        self.columns += more

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Run all prompts end to end, keep their keys and values; the logits [prompt, V] after each.

        What all prompts begin with runs once, as a piece of its own before them.
        """
        decoder = self.decoder
        device = self.lengths.device
        n_shared = len(shared_prefix(prompts))
        pieces = [list(ids[n_shared:]) for ids in prompts]
        tokens = torch.tensor([*prompts[0][:n_shared], *itertools.chain(*pieces)], device=device)
        lengths = [n_shared, *map(len, pieces)]
        own_positions = [torch.arange(len(ids), device=device) + n_shared for ids in pieces]
        positions = torch.cat([torch.arange(n_shared, device=device), *own_positions])
        cos, sin = self.cos[positions, None], self.sin[positions, None]
        stream = nn.functional.embedding(tokens, decoder.embedding).float()
        for layer in decoder.layers:
            queries, keys, values = self._project(layer, stream, cos, sin)
            shared_keys, *own_keys = keys.split(lengths)
            shared_values, *own_values = values.split(lengths)
            whole_keys = [torch.cat([shared_keys, own]) for own in own_keys]
            whole_values = [torch.cat([shared_values, own]) for own in own_values]
            self._store_prefix(whole_keys, whole_values)
            parts = zip(
                queries.split(lengths),
                [shared_keys, *whole_keys],
                [shared_values, *whole_values],
                strict=True,
            )
            mixed = torch.cat([_causal_attention(*part) for part in parts])
            stream = self._finish(layer, stream, mixed)
        ends = torch.tensor(lengths, device=device).cumsum(0)[1:] - 1
        return self._logits(stream[ends])

    def _store_prefix(self, keys: list[Tensor], values: list[Tensor]) -> None:
        """[token, kv head, d] of each prompt to [prompt * kv head, longest, d] blocks, zero where absent."""
        n_keys, size = self.decoder.n_kv_heads, self.decoder.head_size
        for parts, store in ((keys, self.prefix_keys), (values, self.prefix_values)):
            padded = nn.utils.rnn.pad_sequence(parts, batch_first=True)
            store.append(padded.transpose(1, 2).contiguous().view(-1, padded.shape[1], size))
        for store in (self.own_keys, self.own_values):
            store.append(keys[0].new_empty(self.n_slots * n_keys, self.columns, size))

    def _project(
        self, layer: PackedLayer, stream: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [row, head, d], rotated keys and plain values [row, kv head, d], all fp32."""
        decoder = self.decoder
        joint = (
            layer.qkv(decoder.normalize(stream, layer.input_norm))
            .float()
            .view(len(stream), -1, decoder.head_size)
        )
        turning = joint[:, : decoder.n_heads + decoder.n_kv_heads]
        rotated = _rotate(turning, cos, sin)
        return (
            rotated[:, : decoder.n_heads],
            rotated[:, decoder.n_heads :],
            joint[:, decoder.n_heads + decoder.n_kv_heads :],
        )

    def _attend(self, index: int, queries: Tensor) -> Tensor:
        """Scaled queries [slot, head, d] over their prompt's columns and their own; [slot, head * d]."""
        size, shared, longest = self.decoder.head_size, self.decoder.n_shared, self.bias.shape[-1]
        n_columns = longest + self.n_new + 1
        # [prompt, kv head, slot, query]: all that read one prompt's key head are rows of one product,
        # and all that read one slot's own keys as well, without another copy.
        grouped = (
            queries.view(self.n_prompts, self.width, -1, shared * size).transpose(1, 2).reshape(-1, size)
        )
        of_group, of_slot = (-1, self.width * shared, size), (-1, shared, size)
        prefix = torch.baddbmm(self.bias, grouped.view(of_group), self.prefix_keys[index].transpose(1, 2))
        own_keys = self.own_keys[index][:, : self.n_new + 1]
        own = torch.bmm(grouped.view(of_slot), own_keys.transpose(1, 2))
        weights = torch.cat([prefix.view(-1, longest), own.view(-1, self.n_new + 1)], -1).softmax(-1)
        of_prefix = weights.view(-1, self.width * shared, n_columns)[..., :longest]
        of_own = weights.view(-1, shared, n_columns)[..., longest:]
        mixed = torch.bmm(of_prefix, self.prefix_values[index]).view(of_slot)
        mixed = torch.baddbmm(mixed, of_own, self.own_values[index][:, : self.n_new + 1])
        mixed = mixed.view(self.n_prompts, -1, self.width, shared * size).transpose(1, 2)
        return mixed.reshape(self.n_slots, -1)

    def _finish(self, layer: PackedLayer, stream: Tensor, mixed: Tensor) -> Tensor:
        decoder = self.decoder
        stream = stream + layer.output(mixed.to(decoder.dtype))
        normed = decoder.normalize(stream, layer.mlp_norm)
        return stream.add_(layer.down(layer.up.times(normed, layer.gate.silu(normed))))

    def _logits(self, stream: Tensor) -> Tensor:
        return self.decoder.head(self.decoder.normalize(stream, self.decoder.norm))


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + rotate_half(x) sin. Rolling by half a head puts the halves in place; the sine has the sign."""
    return torch.addcmul(heads * cos, torch.roll(heads, heads.shape[-1] // 2, -1), sin)


def _causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
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


def _layers(model: LanguageModel) -> Sequence[Any]:
    return model.body.layers  # type: ignore[union-attr, return-value]


def _linears(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [
        attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj,
        mlp.gate_proj, mlp.up_proj, mlp.down_proj,
    ]  # fmt: skip


def _weights(layer: Any) -> list[Tensor]:
    norms = [layer.input_layernorm.weight, layer.post_attention_layernorm.weight]
    return [*norms, *(parameter for linear in _linears(layer) for parameter in linear.parameters())]


def _adapters(layer: Any) -> str:
    return ";".join(adapter_state(linear) for linear in _linears(layer))
