"""Fast decoding for the llama family, on the weights of the Hugging Face module itself.

What is different from a plain forward: projections that read the same input are one product,
a prompt is run once and its keys and values are stored once for all completions of its group (`slots`),
batches that began at different times share the products, and residual stream, norms, rotary and
attention are fp32 in every precision, as they are for the learner under autocast up to attention's
own rounding. Leaves out sliding windows and dynamic rotary scaling; `covers` says so.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from accord.models.language_model import LanguageModel
from accord.models.ragged import shared_prefix
from accord.rollouts.compiled import load_kernel
from accord.rollouts.packing import (
    PackedLinear,
    adapter_state,
    bias_of,
    fingerprint,
    is_mergeable,
    merged_weight,
)
from accord.rollouts.slots import LlamaSlots, causal_attention

COVERED_FAMILIES = frozenset({"llama", "mistral", "qwen2"})
"""`config.model_type` of the models this computes exactly; each has its own test."""

STATIC_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary types whose angles depend on the position alone, not on the length of the sequence."""


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

    def __init__(self, model: LanguageModel, *, dtype: torch.dtype, is_compiled: bool = True):
        """`is_compiled`: use the kernel of `compiled` where it can be built."""
        self.model = model
        self.dtype = dtype
        config = model.causal_lm.config
        self.n_heads: int = config.num_attention_heads
        self.n_kv_heads: int = config.num_key_value_heads
        self.n_shared: int = self.n_heads // self.n_kv_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // self.n_heads
        self.scale: float = self.head_size**-0.5
        self.eps: float = config.rms_norm_eps
        self.layers: list[PackedLayer | None] = []
        self.head: PackedLinear | None = None
        self.head_version = ""
        self.refresh()
        is_cpu = self.embedding.device.type == "cpu"
        width = self.embedding.shape[1]
        self.kernel = load_kernel(self.head_size, width, dtype) if is_compiled and is_cpu else None

    @property
    def version(self) -> str:
        """A fingerprint of the weights that decode now."""
        layers = [layer.version for layer in self._packed()]
        return fingerprint([], state=" ".join([self.head_version, *layers]))

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.embedding.device

    def refresh(self) -> None:
        """Take over the model's weights as they are now."""
        modules = _layers(self.model)
        held = self.layers or [None] * len(modules)
        for index, module in enumerate(modules):
            version = fingerprint(_weights(module), state=_adapters(module))
            layer = held[index]
            if layer is None or layer.version != version:
                held[index] = self._pack(module, version)
        self.layers = held
        body: Any = self.model.body
        version = fingerprint([self.model.head_weight, body.embed_tokens.weight, body.norm.weight])
        if version != self.head_version:
            head = self.model.causal_lm.get_output_embeddings()
            self.head = PackedLinear([head.weight], [head.bias], dtype=self.dtype)
            self.head_version = version
        self.embedding: Tensor = body.embed_tokens.weight.detach()
        self.norm: Tensor = body.norm.weight.detach().float().contiguous()

    def release(self) -> None:
        """Let go of what is packed of weights that learn; `refresh` packs them again."""
        for index, module in enumerate(_layers(self.model)):
            if any(weight.requires_grad for weight in _weights(module)):
                self.layers[index] = None
        if self.model.head_weight.requires_grad:
            self.head, self.head_version = None, ""

    def begin(self, prompts: Sequence[Sequence[int]], *, group: int, max_tokens: int) -> LlamaSlots:
        """Prefill each prompt once and open `group` slots for it."""
        slots = LlamaSlots(self, [len(ids) for ids in prompts], group=group, max_tokens=max_tokens)
        slots.first_logits = self._prefill(slots, prompts).repeat_interleave(group, 0)
        return slots

    def advance(self, parts: Sequence[tuple[LlamaSlots, Tensor]]) -> list[Tensor]:
        """Append one token to each slot of each part; products run over all parts at once."""
        angles = [slots.begin_step() for slots, _ in parts]
        cos, sin = (torch.cat(each) for each in zip(*angles, strict=True))
        sizes = [slots.n_slots for slots, _ in parts]
        tokens = torch.cat([part for _, part in parts])
        stream = nn.functional.embedding(tokens, self.embedding).float()
        added = None
        for index, layer in enumerate(self._packed()):
            joint = layer.qkv(self.add_norm(stream, added, layer.input_norm))
            mixed = self._attend(index, [slots for slots, _ in parts], joint, cos, sin)
            added = self._finish(layer, stream, mixed)
        for slots, _ in parts:
            slots.n_new += 1
        return list(self._logits(self.add_norm(stream, added, self.norm)).split(sizes))

    def add_norm(self, stream: Tensor, added: Tensor | None, weight: Tensor) -> Tensor:
        """Adds to the stream in place; its RMSNorm in fp32, then in the precision of the products."""
        if self.kernel is not None:
            return self.kernel.add_norm(stream, added, weight, self.eps)
        if added is not None:
            stream.add_(added)
        return nn.functional.rms_norm(stream, stream.shape[-1:], weight, self.eps).to(self.dtype)

    def rotary_tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """cos and sin [positions, head_size] in fp32; the sine's first half is negated, see `_rotate`."""
        rotary: Any = self.model.body.rotary_emb  # type: ignore[union-attr]
        device = self.embedding.device
        cos, sin = rotary(torch.zeros(1, device=device), torch.arange(positions, device=device)[None])
        sin = sin[0].float()
        half = self.head_size // 2
        return cos[0].float(), torch.cat([-sin[:, :half], sin[:, half:]], -1)

    def split_heads(self, joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [row, head, d], rotated keys and plain values [row, kv head, d], all fp32."""
        by_head = joint.float().view(len(joint), -1, self.head_size)
        turning, values = by_head.split([self.n_heads + self.n_kv_heads, self.n_kv_heads], 1)
        queries, keys = _rotate(turning, cos, sin).split([self.n_heads, self.n_kv_heads], 1)
        return queries, keys, values

    def _prefill(self, slots: LlamaSlots, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Run all prompts end to end, keep their keys and values; the logits [prompt, V] after each.

        What all prompts begin with runs once, as a piece of its own before them.
        """
        device = self.device
        n_shared = len(shared_prefix(prompts))
        pieces = [list(ids[n_shared:]) for ids in prompts]
        tokens = torch.tensor([*prompts[0][:n_shared], *itertools.chain(*pieces)], device=device)
        lengths = [n_shared, *map(len, pieces)]
        own_positions = [torch.arange(len(ids), device=device) + n_shared for ids in pieces]
        positions = torch.cat([torch.arange(n_shared, device=device), *own_positions])
        cos, sin = slots.cos[positions, None], slots.sin[positions, None]
        stream = nn.functional.embedding(tokens, self.embedding).float()
        added = None
        for index, layer in enumerate(self._packed()):
            joint = layer.qkv(self.add_norm(stream, added, layer.input_norm))
            queries, keys, values = self.split_heads(joint, cos, sin)
            shared_keys, *own_keys = keys.split(lengths)
            shared_values, *own_values = values.split(lengths)
            whole_keys = [torch.cat([shared_keys, own]) for own in own_keys]
            whole_values = [torch.cat([shared_values, own]) for own in own_values]
            slots.store_prefix(index, whole_keys, whole_values)
            parts = zip(
                queries.split(lengths),
                [shared_keys, *whole_keys],
                [shared_values, *whole_values],
                strict=True,
            )
            mixed = torch.cat([causal_attention(*part) for part in parts])
            added = self._finish(layer, stream, mixed.to(self.dtype))
        normed = self.add_norm(stream, added, self.norm)
        ends = torch.tensor(lengths, device=device).cumsum(0)[1:] - 1
        return self._logits(normed[ends])

    def _attend(
        self, index: int, parts: Sequence[LlamaSlots], joint: Tensor, cos: Tensor, sin: Tensor
    ) -> Tensor:
        """Mixed values [row, head * d] of all parts, in the precision of the products."""
        sizes = [slots.n_slots for slots in parts]
        rows = (joint.split(sizes), cos.split(sizes), sin.split(sizes))
        if self.kernel is None:
            own = [slots.attend(index, *each) for slots, *each in zip(parts, *rows, strict=True)]
            return torch.cat(own).to(self.dtype)
        mixed = joint.new_empty(len(joint), self.n_heads * self.head_size)
        for slots, products, cosines, sines, room in zip(parts, *rows, mixed.split(sizes), strict=True):
            slots.attend_compiled(self.kernel, index, products, cosines, sines, room)
        return mixed

    def _finish(self, layer: PackedLayer, stream: Tensor, mixed: Tensor) -> Tensor:
        """What the layer still adds to the stream after attention, which is added here."""
        normed = self.add_norm(stream, layer.output(mixed), layer.mlp_norm)
        return layer.down(layer.up.times(normed, layer.gate.silu(normed)))

    def _packed(self) -> list[PackedLayer]:
        """All layers; none is missing between `refresh` and `release`."""
        layers = [layer for layer in self.layers if layer is not None]
        assert len(layers) == len(self.layers)
        return layers

    def _logits(self, normed: Tensor) -> Tensor:
        assert self.head is not None
        return self.head(normed)

    def _pack(self, module: Any, version: str) -> PackedLayer:
        attention, mlp = module.self_attn, module.mlp
        return PackedLayer(
            version=version,
            input_norm=module.input_layernorm.weight.detach().float().contiguous(),
            qkv=self._fuse(attention.q_proj, attention.k_proj, attention.v_proj),
            output=self._fuse(attention.o_proj),
            mlp_norm=module.post_attention_layernorm.weight.detach().float().contiguous(),
            gate=self._fuse(mlp.gate_proj),
            up=self._fuse(mlp.up_proj),
            down=self._fuse(mlp.down_proj),
        )

    def _fuse(self, *linears: nn.Module) -> PackedLinear:
        return PackedLinear(
            [merged_weight(one) for one in linears], [bias_of(one) for one in linears], dtype=self.dtype
        )


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + rotate_half(x) sin. Rolling by half a head puts the halves in place; the sine has the sign."""
    return torch.addcmul(heads * cos, torch.roll(heads, heads.shape[-1] // 2, -1), sin)


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
