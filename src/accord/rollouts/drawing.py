"""Drawing tokens: seeded uniforms, exact inverse-CDF draws, and the filters top-k, top-p and min-p.

One uniform number a token is enough. The usual multinomial draws an exponential number for
every entry of the vocabulary, which costs more than the rest of a decoding step on a CPU.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from accord.domain.messages import Prompt
from accord.domain.streams import Streams
from accord.rollouts.sampler import SamplingConfig

BLOCK = 256
"""Vocabulary entries summed together in the first level of the inverse CDF."""


@dataclass(frozen=True)
class Drawn:
    """One token for each row, with its log-prob under the distribution it was drawn from."""

    tokens: Int[Tensor, " row"]
    logprobs: Float[Tensor, " row"]


def row_uniforms(
    prompts: Sequence[Prompt], *, group: int, count: int, streams: Streams
) -> Float[Tensor, "row count"]:
    """Uniform numbers in [0, 1) for each completion, row `prompt * group + sample`, in float64.

    A row's numbers depend on the prompt, how often it came before, and the sample's number:
    not on what else is in the batch.
    """
    seen: Counter[str] = Counter()
    rows = []
    for prompt in prompts:
        stream = streams.child("prompt", prompt.id, seen[prompt.id])
        seen[prompt.id] += 1
        rows += [np.random.default_rng(stream.child(j).value).random(count) for j in range(group)]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, count, dtype=torch.float64)


def draw_tokens(
    logits: Float[Tensor, "row V"], uniforms: Float[Tensor, " row"], config: SamplingConfig
) -> Drawn:
    """One token a row by inverse CDF in vocabulary order; greedy at temperature 0.

    Log-probs are of the distribution drawn from: temperature and filters included, renormalized.
    Greedy rows get the log-prob at temperature 1. A token of probability 0 is never drawn.
    """
    scaled = logits.float()
    if config.scoring_temperature != 1.0:
        scaled = scaled / config.scoring_temperature
    scaled = filter_logits(scaled, config)
    # From here on in place: a fresh [row, V] tensor costs a CPU more in page faults than the arithmetic.
    weights = scaled.clone() if scaled is logits else scaled
    weights.sub_(weights.amax(-1, keepdim=True))
    if config.is_greedy:
        tokens = logits.argmax(-1)
        chosen = weights.gather(1, tokens[:, None]).squeeze(1)
        return Drawn(tokens=tokens, logprobs=chosen - weights.exp_().sum(-1).log())
    weights = _in_blocks(weights.exp_())
    block_sums = weights.sum(-1)
    tokens = _invert_cdf(weights, block_sums, uniforms.to(weights.device))
    chosen = weights.flatten(1).gather(1, tokens[:, None]).squeeze(1)
    return Drawn(tokens=tokens, logprobs=chosen.log() - block_sums.sum(-1).log())


def _in_blocks(weights: Float[Tensor, "row V"]) -> Float[Tensor, "row block width"]:
    """The same weights in blocks of `BLOCK`, the last one filled up with zeros."""
    missing = -weights.shape[-1] % BLOCK
    padded = torch.nn.functional.pad(weights, (0, missing)) if missing else weights
    return padded.view(len(weights), -1, BLOCK)


def filter_logits(scaled: Float[Tensor, "row V"], config: SamplingConfig) -> Float[Tensor, "row V"]:
    """Logits with -inf on tokens that top-k, top-p or min-p leave out, in this order; the likeliest stays."""
    if config.top_k and config.top_k < scaled.shape[-1]:
        threshold = scaled.topk(config.top_k, dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < threshold, -torch.inf)
    if config.top_p < 1.0:
        ordered, order = scaled.sort(dim=-1, descending=True, stable=True)
        probabilities = ordered.softmax(-1)
        mass_before = probabilities.cumsum(-1) - probabilities
        is_dropped = torch.zeros_like(scaled, dtype=torch.bool).scatter(1, order, mass_before >= config.top_p)
        scaled = scaled.masked_fill(is_dropped, -torch.inf)
    if config.min_p > 0.0:
        threshold = scaled.amax(-1, keepdim=True) + float(np.log(config.min_p))
        scaled = scaled.masked_fill(scaled < threshold, -torch.inf)
    return scaled


def _invert_cdf(
    weights: Float[Tensor, "row block width"],
    block_sums: Float[Tensor, "row block"],
    uniforms: Float[Tensor, " row"],
) -> Int[Tensor, " row"]:
    """First index whose running sum passes uniform * total: the block first, then the entry within it."""
    running_blocks = block_sums.double().cumsum(-1)
    target = _below(uniforms[:, None] * running_blocks[:, -1:], running_blocks[:, -1:])
    block = torch.searchsorted(running_blocks, target, right=True)
    before = torch.where(block > 0, running_blocks.gather(1, (block - 1).clamp_min(0)), 0.0)
    inside = weights[torch.arange(len(weights), device=weights.device), block.squeeze(1)]
    running = inside.double().cumsum(-1)
    entry = torch.searchsorted(running, _below(target - before, running[:, -1:]), right=True)
    return (block * BLOCK + entry).squeeze(1)


def _below(target: Float[Tensor, "row 1"], total: Float[Tensor, "row 1"]) -> Float[Tensor, "row 1"]:
    """Keep the target under the total, where rounding put it at the edge: an entry must pass it."""
    return torch.minimum(target, torch.nextafter(total, torch.zeros_like(total))).clamp_min(0.0)
