"""Log-probabilities of chosen tokens from hidden states, without ever holding fp32 logits of all of them.

Works tile by tile over tokens with fp32 softmax statistics and an own backward. Leaves out
which tokens count and how they are averaged: that is for the objectives.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accord.domain.errors import ModelError

DEFAULT_TILE = 256
"""Tokens whose logits are made by one matrix product."""

CACHE_ROWS = 8
"""Rows that go through the softmax together, so that their fp32 values stay in the processor's cache."""

KEPT_BYTES = 512 * 2**20
"""Exponentials up to this size are kept for the gradient of the weight; above it they are made again."""


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


class _Statistics(NamedTuple):
    chosen: Tensor
    """[n] base-2 logit of the target, relative to the row's largest."""
    total: Tensor
    """[n] sum of the row's exponentials, relative to the largest; at least 1."""
    weighted: Tensor | None
    """[n] sum of exponential times relative logit, for the entropy."""


def _exponentiate(
    logits: Tensor, targets: Tensor, statistics: torch.dtype, with_entropy: bool
) -> _Statistics:
    """Replace base-2 logits [n, V] by 2 ** (logit - row maximum), in place; sums are taken unrounded."""
    chosen = torch.empty(len(targets), dtype=statistics, device=logits.device)
    total = torch.empty_like(chosen)
    weighted = torch.empty_like(chosen) if with_entropy else None
    step = CACHE_ROWS if logits.device.type == "cpu" else len(targets)
    for start in range(0, len(targets), max(step, 1)):
        rows = slice(start, start + step)
        block = logits[rows]
        relative = block - block.amax(-1, keepdim=True).to(statistics)
        chosen[rows] = relative.gather(1, targets[rows, None]).squeeze(1)
        exponentials = relative.exp2() if with_entropy else relative.exp2_()
        total[rows] = exponentials.sum(-1)
        if weighted is not None:
            weighted[rows] = relative.mul_(exponentials).sum(-1)
        block.copy_(exponentials)
    return _Statistics(chosen, total, weighted)


class _TokenLogprobs(torch.autograd.Function):
    """With x = hidden @ weight.T / temperature, e = exp(x - max) and p = e / sum(e):

        d logprob / d hidden = (weight[target] - e @ weight / sum(e)) / temperature
        d logprob / d weight = (onehot(target) - e / sum(e)) hidden / temperature

    The first does not depend on what comes from above but for a factor a row, so it is made in
    the forward and [n, D] kept. In the second the factors go to the hidden side, so no pass over
    [n, V] is left but the matrix product. Exponentials are taken to base 2, whose kernel is
    three times as fast; log2(e) / temperature is folded into the hidden states.
    """

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
        n_tokens, n_vocabulary = len(targets), len(weight)
        statistics = torch.float64 if dtype == torch.float64 else torch.float32
        scaled = (hidden.to(statistics) * (math.log2(math.e) / temperature)).to(dtype)
        low = weight.to(dtype)
        logprobs = torch.empty(n_tokens, dtype=statistics, device=hidden.device)
        totals, entropy = torch.empty_like(logprobs), torch.empty_like(logprobs)
        direction = torch.empty_like(hidden, dtype=statistics) if ctx.needs_input_grad[0] else None
        is_kept = ctx.needs_input_grad[1] and n_tokens * n_vocabulary * dtype.itemsize <= KEPT_BYTES
        kept = torch.empty(n_tokens, n_vocabulary, dtype=dtype, device=hidden.device) if is_kept else None
        for start in range(0, n_tokens, tile):
            rows = slice(start, start + tile)
            logits = torch.mm(scaled[rows], low.T, out=None if kept is None else kept[rows])
            chosen, total, weighted = _exponentiate(logits, targets[rows], statistics, with_entropy)
            logprobs[rows] = (chosen - total.log2()) * math.log(2)
            totals[rows] = total
            if weighted is not None:
                entropy[rows] = (total.log2() - weighted / total) * math.log(2)
            if direction is not None:
                expected = (logits @ low).to(statistics).div_(total[:, None])
                direction[rows] = weight[targets[rows]].to(statistics).sub_(expected).div_(temperature)
        ctx.save_for_backward(hidden, weight, targets, scaled, totals, direction, kept)
        ctx.temperature, ctx.tile = temperature, tile
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        hidden, weight, targets, scaled, totals, direction, kept = ctx.saved_tensors
        hidden_grad = None if direction is None else (direction * upstream[:, None]).to(hidden.dtype)
        if not ctx.needs_input_grad[1]:
            return hidden_grad, None, None, None, None, None, None
        pulled = hidden.to(totals.dtype) * (upstream / ctx.temperature)[:, None]
        pushed = (pulled / -totals[:, None]).to(scaled.dtype)
        if kept is not None:
            weight_grad = (kept.T @ pushed).to(weight.dtype)
        else:
            weight_grad = torch.zeros_like(weight)
            low = weight.to(scaled.dtype)
            for start in range(0, len(targets), ctx.tile):
                rows = slice(start, start + ctx.tile)
                logits = scaled[rows] @ low.T
                _exponentiate(logits, targets[rows], totals.dtype, with_entropy=False)
                weight_grad += logits.T @ pushed[rows]
        weight_grad.index_add_(0, targets, pulled.to(weight.dtype))
        return hidden_grad, weight_grad, None, None, None, None, None
