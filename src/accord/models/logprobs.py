"""Log-probabilities of chosen tokens from hidden states, without ever holding all logits.

Works tile by tile over tokens with fp32 softmax statistics and an own backward. Leaves out
which tokens count and how they are averaged: that is for the objectives.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accord.domain.errors import ModelError

DEFAULT_TILE = 512
"""Tokens whose logits exist at one time."""


@dataclass(frozen=True)
class TokenLogprobs:
    """What the model's distribution says about n chosen tokens."""

    logprobs: Tensor
    """[n] fp32, natural logs; differentiable."""
    entropy: Tensor | None
    """[n] fp32, nats; a measurement that carries no gradient. None unless asked for."""


def token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    tile: int = DEFAULT_TILE,
    with_entropy: bool = False,
) -> TokenLogprobs:
    """log softmax(hidden @ weight.T / temperature)[targets], row by row.

    hidden [n, D], weight [V, D], targets [n]. The matrix products run in bf16 under bf16
    autocast or with bf16 inputs, else in fp32; the softmax statistics are fp32 in any case.
    """
    if hidden.shape[0] != targets.shape[0]:
        raise ModelError(f"{hidden.shape[0]} hidden states for {targets.shape[0]} targets; expected one each")
    if temperature <= 0:
        raise ModelError(f"temperature is {temperature}; expected a number above 0")
    logprobs, entropy = _TokenLogprobs.apply(
        hidden, weight, targets, temperature, tile, with_entropy, _matmul_dtype(hidden)
    )
    return TokenLogprobs(logprobs=logprobs, entropy=entropy if with_entropy else None)


def sequence_sum(values: Tensor, sequence_index: Tensor, count: int) -> Tensor:
    """Sum of `values` [n] over each of `count` sequences; a sequence without tokens gives 0."""
    return torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, sequence_index, values)


def _matmul_dtype(hidden: Tensor) -> torch.dtype:
    device_type = hidden.device.type
    if torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return hidden.dtype


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        temperature: float,
        tile: int,
        with_entropy: bool,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        weight_low, hidden_low = weight.detach().to(dtype), hidden.detach().to(dtype)
        statistics = torch.float64 if dtype == torch.float64 else torch.float32
        logprobs = torch.empty(len(targets), dtype=statistics, device=hidden.device)
        normalizers = torch.empty_like(logprobs)
        entropy = torch.empty_like(logprobs) if with_entropy else logprobs.new_empty(0)
        for start in range(0, len(targets), tile):
            rows = slice(start, start + tile)
            logits = (hidden_low[rows] @ weight_low.T).to(statistics).div_(temperature)
            normalizers[rows] = logits.logsumexp(-1)
            chosen = logits.gather(1, targets[rows, None]).squeeze(1)
            logprobs[rows] = chosen - normalizers[rows]
            if with_entropy:
                expected = (logits.softmax(-1) * logits).sum(-1)
                entropy[rows] = normalizers[rows] - expected
        ctx.save_for_backward(hidden, weight, targets, normalizers)
        ctx.temperature, ctx.tile, ctx.dtype = temperature, tile, dtype
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        hidden, weight, targets, normalizers = ctx.saved_tensors
        weight_low, hidden_low = weight.to(ctx.dtype), hidden.to(ctx.dtype)
        hidden_grad = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        weight_grad = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for start in range(0, len(targets), ctx.tile):
            rows = slice(start, start + ctx.tile)
            logits = (hidden_low[rows] @ weight_low.T).to(normalizers.dtype).div_(ctx.temperature)
            coefficient = (upstream[rows] / ctx.temperature)[:, None]
            logits_grad = logits.sub_(normalizers[rows, None]).exp_().mul_(-coefficient)
            logits_grad.scatter_add_(1, targets[rows, None], coefficient)
            logits_grad = logits_grad.to(ctx.dtype)
            if hidden_grad is not None:
                hidden_grad[rows] = (logits_grad @ weight_low).to(hidden.dtype)
            if weight_grad is not None:
                weight_grad += logits_grad.T @ hidden_low[rows]
        return hidden_grad, weight_grad, None, None, None, None, None
