"""Policy-gradient losses: advantages times probability ratios, clipped, and summed by a stated rule.

Two levels: `sequence_policy_loss` treats the whole completion as one action (REINFORCE, RLOO, and
with the ratio's geometric mean GSPO), `token_policy_loss` each token (PPO, GRPO); `cispo_loss` clips
weights only. With old log-probs equal to the policy's own, detached, the ratio is exactly 1 and all are
REINFORCE.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from accord.domain import ConfigError

LOG_RATIO_LIMIT = 20.0
"""A log ratio is clamped to +-20 before exp: exp(20) is off-policy beyond use, and exp(89) is not fp32."""


class Aggregation(StrEnum):
    """How per-token terms become one loss. N sequences and T tokens are those of the WHOLE update."""

    SEQUENCE_MEAN_TOKEN_SUM = "sequence_mean_token_sum"
    """sum over tokens, mean over sequences: 1/N sum_i sum_t (REINFORCE, RLOO)."""
    SEQUENCE_MEAN_TOKEN_MEAN = "sequence_mean_token_mean"
    """mean over a sequence's own tokens, mean over sequences: 1/N sum_i 1/|i| sum_t (GRPO's paper)."""
    TOKEN_MEAN = "token_mean"
    """mean over all tokens: 1/T sum_i sum_t (DAPO)."""
    SEQUENCE_MEAN_TOKEN_CONSTANT = "sequence_mean_token_constant"
    """sum over tokens, divided by N and a constant such as max_tokens: 1/(N C) sum_i sum_t (Dr. GRPO)."""


@dataclass(frozen=True, kw_only=True)
class Normalizers:
    """Counts of the whole update, known before its first backward pass."""

    sequences: int
    """N: completions."""
    tokens: int
    """T: completion tokens, EOS included."""
    constant: int = 1
    """C: the length that sequence_mean_token_constant divides by."""


@dataclass(frozen=True)
class PolicyLoss:
    """A loss share and what is logged about it."""

    loss: Float[Tensor, ""]
    ratio: Float[Tensor, " action"]
    """pi / pi_old of each action, a sequence or a token; detached."""
    is_clipped: Bool[Tensor, " action"]
    """Where clipping took the gradient away."""


def sequence_policy_loss(
    logprobs: Float[Tensor, " token"],
    old_logprobs: Float[Tensor, " token"],
    advantages: Float[Tensor, " sequence"],
    sequence_index: Int[Tensor, " token"],
    *,
    normalizers: Normalizers,
    weights: Float[Tensor, " token"] | None = None,
    clip: float | None = 0.2,
    clip_high: float | None = None,
    is_length_normalized: bool = False,
) -> PolicyLoss:
    """The completion as one action, as RLOO has it (Ahmadian et al. 2024, eq. 6 and 8).

        loss = -1/N sum_i min(rho_i A_i, clip(rho_i, 1 - clip, 1 + clip_high) A_i)
        rho_i = exp(sum_t log pi(x_t) - log pi_old(x_t))

    At rho = 1 its gradient is REINFORCE's, -1/N sum_i A_i grad log pi(x_i). The ratio and its
    clip depart from the paper, where each batch serves one update; `clip=None` leaves clipping out.
    With `is_length_normalized` the log ratio is the mean over the completion's tokens: GSPO (Zheng et al.
    2025, 2507.18071, eq. 5 and 7), whose gradient at rho = 1 divides each completion's by its length.
    `weights` (0 or more) multiply A_i by their mean over the completion's tokens, where they are equal.
    """
    summed = torch.zeros_like(advantages, dtype=logprobs.dtype)
    log_ratio = summed.index_add(0, sequence_index, logprobs - old_logprobs)
    lengths = torch.bincount(sequence_index, minlength=len(advantages)).clamp_min(1)
    if is_length_normalized:
        log_ratio = log_ratio / lengths
    if weights is not None:
        advantages = advantages * summed.index_add(0, sequence_index, weights.to(summed.dtype)) / lengths
    surrogate, ratio, is_clipped = clipped_surrogate(log_ratio, advantages, clip=clip, clip_high=clip_high)
    return PolicyLoss(-surrogate.sum() / normalizers.sequences, ratio, is_clipped)


def token_policy_loss(
    logprobs: Float[Tensor, " token"],
    old_logprobs: Float[Tensor, " token"],
    advantages: Float[Tensor, " sequence"],
    sequence_index: Int[Tensor, " token"],
    *,
    normalizers: Normalizers,
    weights: Float[Tensor, " token"] | None = None,
    clip: float | None = 0.2,
    clip_high: float | None = None,
    aggregation: Aggregation = Aggregation.SEQUENCE_MEAN_TOKEN_MEAN,
) -> PolicyLoss:
    """Each token as an action with its completion's advantage (Schulman et al. 2017, eq. 7).

        loss = -aggregate_t w_t min(rho_t A_i, clip(rho_t, 1 - clip, 1 + clip_high) A_i)

    `clip_high` is `clip` unless given: larger lets unlikely tokens rise (DAPO, 2503.14476, eq. 10).
    `weights` w (0 or more, default 1) correct for a sampler that is not the learner (`correction`).
    """
    return ppo_loss(
        logprobs,
        old_logprobs,
        advantages[sequence_index],
        sequence_index,
        normalizers=normalizers,
        weights=weights,
        clip=clip,
        clip_high=clip_high,
        aggregation=aggregation,
    )


def ppo_loss(
    logprobs: Float[Tensor, " token"],
    old_logprobs: Float[Tensor, " token"],
    advantages: Float[Tensor, " token"],
    sequence_index: Int[Tensor, " token"],
    *,
    normalizers: Normalizers,
    weights: Float[Tensor, " token"] | None = None,
    clip: float | None = 0.2,
    clip_high: float | None = None,
    aggregation: Aggregation = Aggregation.TOKEN_MEAN,
) -> PolicyLoss:
    """`token_policy_loss` where each token has an advantage of its own (PPO, REINFORCE++)."""
    weighed = advantages if weights is None else advantages * weights
    surrogate, ratio, is_clipped = clipped_surrogate(
        logprobs - old_logprobs, weighed, clip=clip, clip_high=clip_high
    )
    loss = -aggregate(surrogate, sequence_index, normalizers=normalizers, how=aggregation)
    return PolicyLoss(loss, ratio, is_clipped)


def cispo_loss(
    logprobs: Float[Tensor, " token"],
    old_logprobs: Float[Tensor, " token"],
    advantages: Float[Tensor, " sequence"],
    sequence_index: Int[Tensor, " token"],
    *,
    normalizers: Normalizers,
    weights: Float[Tensor, " token"] | None = None,
    clip_high: float,
    aggregation: Aggregation = Aggregation.TOKEN_MEAN,
) -> PolicyLoss:
    """REINFORCE with clipped weights: no token loses its gradient (MiniMax-M1 2025, 2506.13585, eq. 4 and 5).

        loss = -aggregate_t sg(min(rho_t, 1 + clip_high)) A_i log pi(x_t)

    sg stops the gradient. Departs in having no lower bound, which the paper sets so low that it never binds.
    """
    _check_clip("clip_high", clip_high)
    ratio = (logprobs - old_logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp().detach()
    terms = ratio.clamp_max(1 + clip_high) * advantages[sequence_index] * logprobs
    if weights is not None:
        terms = terms * weights
    loss = -aggregate(terms, sequence_index, normalizers=normalizers, how=aggregation)
    return PolicyLoss(loss, ratio, ratio > 1 + clip_high)


def clipped_surrogate(
    log_ratio: Float[Tensor, " action"],
    advantages: Float[Tensor, " action"],
    *,
    clip: float | None,
    clip_high: float | None = None,
) -> tuple[Float[Tensor, " action"], Float[Tensor, " action"], Bool[Tensor, " action"]]:
    """min(rho A, clip(rho) A), the ratio, and where the clip binds: up for A > 0, down for A < 0."""
    for name, bound in (("clip", clip), ("clip_high", clip_high)):
        _check_clip(name, bound)
    ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    plain = ratio * advantages
    if clip is None:
        return plain, ratio.detach(), torch.zeros_like(ratio, dtype=torch.bool)
    clipped = ratio.clamp(1 - clip, 1 + (clip if clip_high is None else clip_high)) * advantages
    return torch.minimum(plain, clipped), ratio.detach(), (clipped < plain).detach()


def _check_clip(name: str, bound: float | None) -> None:
    if bound is not None and not bound > 0:
        raise ConfigError(
            "policy loss", [f"{name} is {bound}; expected a number above 0, or none for no clipping"]
        )


def aggregate(
    values: Float[Tensor, " token"],
    sequence_index: Int[Tensor, " token"],
    *,
    normalizers: Normalizers,
    how: Aggregation,
) -> Float[Tensor, ""]:
    """This part's share of the aggregate; shares of any split that keeps sequences whole sum to it."""
    match how:
        case Aggregation.SEQUENCE_MEAN_TOKEN_SUM:
            return values.sum() / normalizers.sequences
        case Aggregation.SEQUENCE_MEAN_TOKEN_MEAN:
            lengths = torch.bincount(sequence_index)
            return (values / lengths[sequence_index]).sum() / normalizers.sequences
        case Aggregation.TOKEN_MEAN:
            return values.sum() / normalizers.tokens
        case Aggregation.SEQUENCE_MEAN_TOKEN_CONSTANT:
            return values.sum() / (normalizers.sequences * normalizers.constant)
