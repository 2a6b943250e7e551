"""Attention over ragged segments: a token sees its ancestors in full and its own segment causally.

Registered with transformers under one name, so any decoder whose attention goes through
`AttentionInterface` can run a batch without padding; no model code is copied. A forward
without a layout under the same name is transformers' own SDPA, unchanged.
Sliding windows, soft-capped scores and dropout inside attention are not handled here:
`ragged.runs_ragged` keeps such batches away.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from accord.domain.errors import ModelError
from accord.models.flex import flex_rows, has_flex

RAGGED_ATTENTION = "accord_ragged"
"""Name under which the implementation is known to transformers."""


CHANGES_SCORES = ("softcap", "s_aux", "position_bias")
"""Arguments, beside dropout, that the parts do not honor; a guard behind the list of covered families."""


@dataclass(frozen=True)
class AttentionPart:
    """A rectangle of scores that one kernel call covers: some query rows against some key rows."""

    queries: slice
    keys: slice
    is_causal: bool
    """True for a segment against itself; False for descendants against an ancestor, seen in full."""


@dataclass(frozen=True)
class AttentionLayout:
    """The parts that together are the attention of a ragged batch.

    Each query row lies in exactly one causal part. Parts of the same row are put together by
    their log-sum-exp, so that an ancestor's keys are read once for all of its descendants.
    """

    parts: tuple[AttentionPart, ...]
    """Causal parts first."""
    masks: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """By device what `flex` made of this layout: every layer wants the same."""

    @classmethod
    def of(
        cls, starts: tuple[int, ...], lengths: tuple[int, ...], ancestors: tuple[tuple[int, ...], ...]
    ) -> "AttentionLayout":
        """Layout of segments lying end to end, given the earlier segments that each of them follows."""
        rows = [slice(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        parts = [AttentionPart(own, own, is_causal=True) for own in rows]
        followers: list[list[slice]] = [[] for _ in rows]
        for own, above in zip(rows, ancestors, strict=True):
            for ancestor in above:
                followers[ancestor].append(own)
        for own, runs in zip(rows, followers, strict=True):
            parts += [AttentionPart(run, own, is_causal=False) for run in _joined(runs)]
        return cls(tuple(parts))


def _joined(rows: list[slice]) -> Iterator[slice]:
    """Neighboring slices put together."""
    start = stop = 0
    for part in rows:
        if part.start != stop and stop > start:
            yield slice(start, stop)
        if part.start != stop:
            start = part.start
        stop = part.stop
    if stop > start:
        yield slice(start, stop)


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
    """What transformers calls in each layer: query [1, H, T, d], key and value [1, Hkv, T, d]."""
    if ragged_layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    unknown = [name for name in CHANGES_SCORES if kwargs.get(name) is not None]
    unknown += ["dropout"] if kwargs.get("dropout") else []
    if unknown:
        raise ModelError(f"{type(module).__name__} wants {', '.join(unknown)} in its scores; run it padded")
    return ragged_attention(query, key, value, ragged_layout, scale=scaling), None


def ragged_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: AttentionLayout, *, scale: float | None = None
) -> Tensor:
    """Exact attention of every row over the keys that the layout lets it see.

    query [1, H, T, d]; key and value [1, Hkv, T, d] with H a multiple of Hkv; returns [1, T, H, d]
    in the type of `value`. `scale` defaults to d ** -0.5. On a CPU the arithmetic is fp32 (fp64 for
    fp64 inputs) even under autocast: its bf16 kernel is slower there, its backward several times.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if has_flex(query):
        return flex_rows(query, key, value, layout, scale=scale)
    if query.device.type != "cpu":
        return masked_attention(query, key, value, layout, scale=scale)
    exact = torch.float64 if query.dtype == torch.float64 else torch.float32
    output: Tensor = _PartwiseAttention.apply(query.to(exact), key.to(exact), value.to(exact), layout, scale)
    return output.to(value.dtype)


class _PartwiseAttention(torch.autograd.Function):
    """torch's CPU flash kernel on each part.

    With out and lse of the whole row, the kernel's backward of a part gives exactly that part's
    share of the gradients: P = exp(S - lse), dS = P * (dP - rowsum(dO * O)).
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: AttentionLayout, scale: float
    ) -> Tensor:
        output, normalizer = partwise_forward(query, key, value, layout, scale)
        ctx.save_for_backward(query, key, value, output, normalizer)
        ctx.layout, ctx.scale = layout, scale
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, output, normalizer = ctx.saved_tensors
        gradients = (_empty_rows(query), _empty_rows(key), _empty_rows(value))
        inputs, by_head = (query, key, value), output.transpose(1, 2)
        partwise_backward(
            upstream.transpose(1, 2), inputs, by_head, normalizer, gradients, ctx.layout, ctx.scale
        )
        return *gradients, None, None


def partwise_forward(
    query: Tensor, key: Tensor, value: Tensor, layout: AttentionLayout, scale: float
) -> tuple[Tensor, Tensor]:
    """Output [1, T, H, d] and log-sum-exp of the scores [1, H, T] of fp32 or fp64 inputs on a CPU."""
    n_heads, n_rows, width = query.shape[1:]
    output = query.new_empty(1, n_rows, n_heads, width)
    by_head = output.transpose(1, 2)
    normalizer = query.new_empty(1, n_heads, n_rows)
    for part in layout.parts:
        result, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query[:, :, part.queries],
            key[:, :, part.keys],
            value[:, :, part.keys],
            0.0,
            part.is_causal,
            scale=scale,
        )
        rows, row_lse = by_head[:, :, part.queries], normalizer[:, :, part.queries]
        if part.is_causal:
            rows.copy_(result)
            row_lse.copy_(lse)
        else:
            total = torch.logaddexp(row_lse, lse)
            rows.mul_((row_lse - total).exp_().unsqueeze(-1))
            rows.addcmul_(result, (lse - total).exp_().unsqueeze(-1))
            row_lse.copy_(total)
    return output, normalizer


def partwise_backward(
    upstream: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor],
    output: Tensor,
    normalizer: Tensor,
    gradients: tuple[Tensor, Tensor, Tensor],
    layout: AttentionLayout,
    scale: float,
) -> None:
    """Write the gradients of query, key and value; all but `normalizer` are [1, heads, T, d]."""
    query, key, value = inputs
    for part in layout.parts:
        shares = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            upstream[:, :, part.queries],
            query[:, :, part.queries],
            key[:, :, part.keys],
            value[:, :, part.keys],
            output[:, :, part.queries],
            normalizer[:, :, part.queries],
            0.0,
            part.is_causal,
            scale=scale,
        )
        for gradient, share, rows in zip(
            gradients, shares, (part.queries, part.keys, part.keys), strict=True
        ):
            target = gradient[:, :, rows]
            if part.is_causal:
                target.copy_(share)
            else:
                target.add_(share)


def _empty_rows(like: Tensor) -> Tensor:
    """[1, heads, T, d] in memory as [1, T, heads, d], where the projections want it."""
    heads, rows, width = like.shape[1:]
    return like.new_empty(1, rows, heads, width).transpose(1, 2)


def masked_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: AttentionLayout, *, scale: float
) -> Tensor:
    """The same by one masked call over all pairs of rows, for devices without the partwise kernel."""
    n_rows = query.shape[2]
    is_seen = torch.zeros(n_rows, n_rows, dtype=torch.bool, device=query.device)
    for part in layout.parts:
        block = is_seen[part.queries, part.keys]
        block.copy_(torch.ones_like(block).tril() if part.is_causal else torch.ones_like(block))
    query, key = query.to(value.dtype), key.to(value.dtype)
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=is_seen, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
    )
    return output.transpose(1, 2)
