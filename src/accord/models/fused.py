"""Decoder layers of the llama kind as two differentiable operations each, with hand-written backward passes.

The same function as transformers' own layer under the same precision, and the same modules and parameters;
what is saved is work between the products: a norm's output is rounded once for all projections that read it,
projections that read the same input are one product (and one product back), nothing is kept that one pass
makes again, and gradients of norms, rotary and SwiGLU take few passes over memory.
Leaves out adapters, dropout and sharded weights: `is_fusable` says so, and such layers run as they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from accord.models.attention import AttentionLayout, partwise_backward, partwise_forward

FUSABLE_FAMILIES = frozenset({"llama", "mistral", "qwen2"})
"""`config.model_type` of the decoders whose layers are exactly norm, attention, norm, SwiGLU."""


def is_fusable(body: Any) -> bool:
    """Whether `fused_layer` is exact for all layers of this body and quicker than the layers themselves."""
    config = body.config
    if config.model_type not in FUSABLE_FAMILIES or config.hidden_act != "silu":
        return False
    if any(weight.device.type != "cpu" or isinstance(weight, DTensor) for weight in body.parameters()):
        return False
    return all(type(linear) is nn.Linear for layer in body.layers for linear in _linears(layer))


def matmul_dtype(like: Tensor) -> torch.dtype:
    """The type in which products of `like` run: autocast's where it is on."""
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype


def fused_layer(layer: Any, stream: Tensor, rotary: tuple[Tensor, Tensor], layout: AttentionLayout) -> Tensor:
    """One decoder layer over a ragged batch: residual stream [T, D] in, the next one out.

    `rotary`: cos and sin [T, head size / 2], as made by `rotary_halves`.
    """
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    stream = _AttentionHalf.apply(
        stream,
        layer.input_layernorm.weight,
        attention.o_proj.weight,
        attention.o_proj.bias,
        _Shape(layer, layout, rotary, matmul_dtype(stream)),
        *(linear.weight for linear in projections),
        *(linear.bias for linear in projections),
    )
    result: Tensor = _MlpHalf.apply(
        stream,
        layer.post_attention_layernorm.weight,
        mlp.gate_proj.weight,
        mlp.gate_proj.bias,
        mlp.up_proj.weight,
        mlp.up_proj.bias,
        mlp.down_proj.weight,
        mlp.down_proj.bias,
        layer.post_attention_layernorm.variance_epsilon,
        matmul_dtype(stream),
    )
    return result


def rotary_halves(body: Any, position_ids: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin [T, head size / 2]; transformers gives each angle twice."""
    cos, sin = body.rotary_emb(like[None], position_ids[None])
    half = cos.shape[-1] // 2
    return cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()


class _Shape:
    """What the attention half needs beside tensors that learn."""

    def __init__(
        self, layer: Any, layout: AttentionLayout, rotary: tuple[Tensor, Tensor], dtype: torch.dtype
    ):
        attention = layer.self_attn
        self.layout, self.dtype = layout, dtype
        self.eps: float = layer.input_layernorm.variance_epsilon
        self.scale: float = attention.scaling
        self.size: int = attention.head_dim
        self.n_queries: int = attention.q_proj.out_features // self.size
        self.n_keys: int = attention.k_proj.out_features // self.size
        self.cos, self.sin = (angles[:, None] for angles in rotary)

    def heads(self, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [1, heads, T, d] of [T, all heads, d], without a copy."""
        counts = [self.n_queries, self.n_keys, self.n_keys]
        queries, keys, values = (part.transpose(0, 1)[None] for part in joint.split(counts, 1))
        return queries, keys, values


class _AttentionHalf(torch.autograd.Function):
    """stream + o_proj(attention(rotary(qkv(norm(stream)))))."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        norm: Tensor,
        out_weight: Tensor,
        out_bias: Tensor | None,
        shape: _Shape,
        *projections: Tensor | None,
    ) -> Tensor:
        weights, biases = projections[:3], projections[3:]
        normed, inverse = _normalize(stream, norm, shape.eps, shape.dtype)
        lows = _lower([weight for weight in weights if weight is not None], shape.dtype)
        products = _project(normed, lows, _stack_biases(weights, biases, shape.dtype))
        joint = products[0] if len(products) == 1 else torch.cat(products, 1)
        joint = joint.view(len(stream), -1, shape.size)
        joint = joint.to(_exact(shape.dtype))
        _rotate(joint[:, : shape.n_queries + shape.n_keys], shape.cos, shape.sin)
        mixed, lse = partwise_forward(*shape.heads(joint), shape.layout, shape.scale)
        rounded = mixed.view(len(stream), -1).to(shape.dtype)
        low = out_weight.to(shape.dtype)
        ctx.shape, ctx.has_bias = shape, [bias is not None for bias in biases]
        ctx.sizes = [0 if weight is None else len(weight) for weight in weights]
        ctx.save_for_backward(stream, norm, inverse, normed, joint, mixed, lse, rounded, low, *lows)
        return stream + _linear(rounded, low, None if out_bias is None else out_bias.to(shape.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        stream, norm, inverse, normed, joint, mixed, lse, rounded, low, *lows = ctx.saved_tensors
        shape, needs = ctx.shape, ctx.needs_input_grad
        pushed = upstream.to(shape.dtype)
        out_weight = (pushed.T @ rounded).to(upstream.dtype) if needs[2] else None
        out_bias = upstream.sum(0) if needs[3] else None
        if not any([needs[0], needs[1], *needs[5:]]):
            return None, None, out_weight, out_bias, None, *[None] * 6
        above = (pushed @ low).view(len(stream), -1, shape.size).to(joint.dtype)
        gradient = torch.empty_like(joint)
        partwise_backward(
            above.transpose(0, 1)[None],
            shape.heads(joint),
            mixed.transpose(1, 2),
            lse,
            shape.heads(gradient),
            shape.layout,
            shape.scale,
        )
        _rotate(gradient[:, : shape.n_queries + shape.n_keys], shape.cos, -shape.sin)
        pulled = gradient.view(len(stream), -1).to(shape.dtype)
        weights = _split_gradient(pulled, normed, ctx.sizes, needs[5:8], upstream.dtype)
        biases = _split_bias(gradient.view(len(stream), -1), ctx.sizes, needs[8:11])
        stream_grad, norm_grad = _norm_backward(
            _pull(pulled, lows), upstream, stream, norm, inverse, needs=needs[:2]
        )
        return stream_grad, norm_grad, out_weight, out_bias, None, *weights, *biases


class _MlpHalf(torch.autograd.Function):
    """stream + down(silu(gate(norm(stream))) * up(norm(stream)))."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        norm: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor | None,
        up_weight: Tensor,
        up_bias: Tensor | None,
        down_weight: Tensor,
        down_bias: Tensor | None,
        eps: float,
        dtype: torch.dtype,
    ) -> Tensor:
        normed, inverse = _normalize(stream, norm, eps, dtype)
        lows, low = _lower([gate_weight, up_weight], dtype), down_weight.to(dtype)
        bias = _stack_biases([gate_weight, up_weight], [gate_bias, up_bias], dtype)
        parts = lows if len(lows) == 2 else list(lows[0].split([len(gate_weight), len(up_weight)]))
        gate, up = _project(normed, parts, bias)
        hidden = nn.functional.silu(gate).mul_(up)
        ctx.dtype = dtype
        ctx.save_for_backward(stream, norm, inverse, normed, gate, up, low, *lows)
        return stream + _linear(hidden, low, None if down_bias is None else down_bias.to(dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        stream, norm, inverse, normed, gate, up, low, *lows = ctx.saved_tensors
        needs, width = ctx.needs_input_grad, gate.shape[1]
        pushed = upstream.to(ctx.dtype)
        active = nn.functional.silu(gate)
        down_weight = (pushed.T @ (active * up)).to(upstream.dtype) if needs[6] else None
        down_bias = upstream.sum(0) if needs[7] else None
        if not any(needs[:6]):
            return None, None, None, None, None, None, down_weight, down_bias, None, None
        above = pushed @ low
        pulled = above.new_empty(len(stream), 2 * width)
        torch.mul(above, active, out=pulled[:, width:])
        torch.ops.aten.silu_backward(above.mul_(up), gate, grad_input=pulled[:, :width])
        sizes = [width, width]
        gate_weight, up_weight = _split_gradient(pulled, normed, sizes, (needs[2], needs[4]), upstream.dtype)
        gate_bias, up_bias = _split_bias(pulled, sizes, (needs[3], needs[5]), upstream.dtype)
        stream_grad, norm_grad = _norm_backward(
            _pull(pulled, lows), upstream, stream, norm, inverse, needs=needs[:2]
        )
        return (
            stream_grad, norm_grad, gate_weight, gate_bias, up_weight, up_bias, down_weight, down_bias,
            None, None,
        )  # fmt: skip


def _exact(dtype: torch.dtype) -> torch.dtype:
    """The type of rotary and attention: fp32, or fp64 where the products are."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _normalize(stream: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """RMSNorm [T, D] rounded to `dtype`, and the inverse root mean square [T, 1] of each row."""
    mean_square = torch.linalg.vector_norm(stream, dim=-1, keepdim=True).square_().div_(stream.shape[-1])
    inverse = mean_square.add_(eps).rsqrt_()
    return (stream * inverse).mul_(weight).to(dtype), inverse


def _norm_backward(
    gradient: Tensor,
    upstream: Tensor,
    stream: Tensor,
    weight: Tensor,
    inverse: Tensor,
    *,
    needs: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None]:
    """With y = x r w, r = (mean x^2 + eps)^-1/2 and g above y, beside `upstream` through the residual:

    dx = upstream + r (g w) - x r * r * mean(g w x r),  dw = sum over rows of g x r
    """
    scaled = stream * inverse
    gradient = gradient.to(stream.dtype)
    products = gradient * scaled
    norm_grad = products.sum(0) if needs[1] else None
    if not needs[0]:
        return None, norm_grad
    pulled = (products @ weight)[:, None].mul_(inverse).div_(-stream.shape[-1])
    stream_grad = torch.addcmul(upstream, gradient.mul_(weight), inverse)
    return stream_grad.addcmul_(scaled, pulled), norm_grad


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """x cos + rotate_half(x) sin in place on [T, heads, d]; with -sin its transpose."""
    first, second = heads.chunk(2, -1)
    turned = first * sin
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).add_(turned)


def _linear(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)


def _lower(weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The weights [out_i, in] themselves where they have the type of the products, else one stacked copy."""
    if all(weight.dtype == dtype for weight in weights):
        return list(weights)
    stacked = weights[0].new_empty(sum(map(len, weights)), weights[0].shape[1], dtype=dtype)
    for part, weight in zip(stacked.split([len(weight) for weight in weights]), weights, strict=True):
        part.copy_(weight)
    return [stacked]


def _project(rows: Tensor, weights: Sequence[Tensor], bias: Tensor | None) -> list[Tensor]:
    """One product for each of the weights; `bias` is of all of them."""
    sizes = [len(weight) for weight in weights]
    biases = [None] * len(sizes) if bias is None else bias.split(sizes)
    return [_linear(rows, weight, part) for weight, part in zip(weights, biases, strict=True)]


def _pull(pulled: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The gradient of the rows that all of the weights read, from that of their products side by side."""
    first, *others = zip(pulled.split([len(weight) for weight in weights], 1), weights, strict=True)
    total = first[0] @ first[1]
    for part, weight in others:
        total.addmm_(part, weight)
    return total


def _stack_biases(
    weights: Sequence[Tensor | None], biases: Sequence[Tensor | None], dtype: torch.dtype
) -> Tensor | None:
    if all(bias is None for bias in biases):
        return None
    parts = [
        weight.new_zeros(len(weight)) if bias is None else bias
        for weight, bias in zip(weights, biases, strict=True)
        if weight is not None
    ]
    return torch.cat(parts).to(dtype)


def _split_gradient(
    pulled: Tensor, rows: Tensor, sizes: Sequence[int], needs: Sequence[bool], dtype: torch.dtype
) -> list[Tensor | None]:
    """Gradients [out_i, in] of stacked weights by one product; None where none is needed."""
    if not any(needs):
        return [None] * len(sizes)
    whole = (pulled.T @ rows).to(dtype)
    return [part if need else None for part, need in zip(whole.split(list(sizes)), needs, strict=True)]


def _split_bias(
    pulled: Tensor, sizes: Sequence[int], needs: Sequence[bool], dtype: torch.dtype | None = None
) -> list[Tensor | None]:
    if not any(needs):
        return [None] * len(sizes)
    whole = pulled.sum(0, dtype=dtype)
    return [part if need else None for part, need in zip(whole.split(list(sizes)), needs, strict=True)]


def _linears(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [
        attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj,
        mlp.gate_proj, mlp.up_proj, mlp.down_proj,
    ]  # fmt: skip
