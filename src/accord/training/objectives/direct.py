"""Losses of direct preference optimization: from log-probs of two answers to a number a pair.

Each takes `PairLogprobs` and gives [pair] losses for a certain winner; `expected_losses` makes
them losses for a soft label. Reduction and weights are `weighted_mean`'s. Leaves out unpaired
labels (`kto`) and everything that runs a model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from accord.domain import DataError, TrainingError


@dataclass(frozen=True)
class PairLogprobs:
    """Log-probs of both answers of pairs, SUMMED over their tokens, EOS included; natural log, fp32."""

    chosen: Float[Tensor, " pair"]
    rejected: Float[Tensor, " pair"]
    reference_chosen: Float[Tensor, " pair"]
    """Under the reference; losses that need none do not read it."""
    reference_rejected: Float[Tensor, " pair"]
    chosen_tokens: Float[Tensor, " pair"]
    """At least 1."""
    rejected_tokens: Float[Tensor, " pair"]
    """At least 1."""

    @property
    def chosen_ratio(self) -> Float[Tensor, " pair"]:
        """log pi - log ref of the chosen answer."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_ratio(self) -> Float[Tensor, " pair"]:
        """log pi - log ref of the rejected answer."""
        return self.rejected - self.reference_rejected

    def swapped(self) -> "PairLogprobs":
        """The same pairs with the other side named chosen."""
        return PairLogprobs(
            chosen=self.rejected,
            rejected=self.chosen,
            reference_chosen=self.reference_rejected,
            reference_rejected=self.reference_chosen,
            chosen_tokens=self.rejected_tokens,
            rejected_tokens=self.chosen_tokens,
        )


PairLoss = Callable[[PairLogprobs], Tensor]


def dpo(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """softplus(-beta h), h = log ratio of chosen - log ratio of rejected (Rafailov et al. 2023, eq. 7)."""
    return softplus(-beta * (pairs.chosen_ratio - pairs.rejected_ratio))


def dpo_per_token(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """softplus(-beta h) with log ratios PER TOKEN: length-normalized DPO (Lambert et al. 2024).

    A token's share of a long answer counts less than of a short one, so beta wants to be
    larger than where log ratios are summed.
    """
    difference = pairs.chosen_ratio / pairs.chosen_tokens - pairs.rejected_ratio / pairs.rejected_tokens
    return softplus(-beta * difference)


def robust_dpo(pairs: PairLogprobs, *, beta: float, flip_share: float) -> Float[Tensor, " pair"]:
    """Unbiased under labels flipped with probability e: [(1 - e) l - e l'] / (1 - 2 e).

    l' is the loss of the swapped pair (Chowdhury et al. 2024, eq. 12). `flip_share` in [0, 1/2).
    """
    if not 0 <= flip_share < 0.5:
        raise TrainingError(f"flip_share is {flip_share}; expected 0 or more and below 0.5")
    kept, flipped = dpo(pairs, beta=beta), dpo(pairs.swapped(), beta=beta)
    return ((1 - flip_share) * kept - flip_share * flipped) / (1 - 2 * flip_share)


def ipo(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """(h - 1 / (2 beta))^2 on log ratios PER TOKEN (Azar et al. 2023, eq. 17).

    Departs from the paper in the average over tokens: with sums the target 1 / (2 beta) would ask
    long answers for a smaller change of each token than short ones.
    """
    difference = pairs.chosen_ratio / pairs.chosen_tokens - pairs.rejected_ratio / pairs.rejected_tokens
    return (difference - 1 / (2 * beta)).square()


def hinge(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """max(0, 1 - beta h): the calibration loss of Zhao et al. 2023 (SLiC-HF, eq. 1), against a reference."""
    return torch.relu(1 - beta * (pairs.chosen_ratio - pairs.rejected_ratio))


def simpo(pairs: PairLogprobs, *, beta: float, margin: float) -> Float[Tensor, " pair"]:
    """softplus(margin - beta (log pi per token, chosen - rejected)), no reference.

    Meng et al. 2024, eq. 6.
    """
    difference = pairs.chosen / pairs.chosen_tokens - pairs.rejected / pairs.rejected_tokens
    return softplus(margin - beta * difference)


def orpo(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """Likelihood of the chosen answer and beta times the log odds ratio (Hong et al. 2024, eqs. 6 and 7).

    -log pi_c + beta softplus(-(log odds_c - log odds_r)), log pi per token, no reference. Departs
    from the paper in the first term's average, which is a pair's own and not the batch's.
    """
    chosen, rejected = pairs.chosen / pairs.chosen_tokens, pairs.rejected / pairs.rejected_tokens
    return -chosen + beta * softplus(_log_odds(rejected) - _log_odds(chosen))


def apo_zero(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """Chosen up, rejected down: 1 - s(beta r_c) + s(beta r_r) (D'Oosterlinck et al. 2024, eq. 5)."""
    return torch.sigmoid(-beta * pairs.chosen_ratio) + torch.sigmoid(beta * pairs.rejected_ratio)


def apo_down(pairs: PairLogprobs, *, beta: float) -> Float[Tensor, " pair"]:
    """Both down, rejected more: s(beta r_c) + 1 - s(beta (r_c - r_r)) (D'Oosterlinck et al. 2024, eq. 6)."""
    difference = pairs.chosen_ratio - pairs.rejected_ratio
    return torch.sigmoid(beta * pairs.chosen_ratio) + torch.sigmoid(-beta * difference)


def expected_losses(
    loss: PairLoss, pairs: PairLogprobs, p_chosen: Float[Tensor, " pair"]
) -> Float[Tensor, " pair"]:
    """p loss(pairs) + (1 - p) loss(swapped): the expectation over who really won.

    For `dpo` with one p for all this is cDPO (Mitchell 2023). Certain labels cost no second evaluation.
    """
    if bool((p_chosen == 1).all()):
        return loss(pairs)
    return p_chosen * loss(pairs) + (1 - p_chosen) * loss(pairs.swapped())


def weighted_mean(
    losses: Float[Tensor, " row"], weights: Float[Tensor, " row"], *, normalizer: int | float | None = None
) -> Float[Tensor, ""]:
    """sum_i w_i loss_i / sum_i w_i; `normalizer` is the total weight of the whole update.

    A row of weight 0 counts for nothing, NaN included. Zero total weight raises.
    """
    if normalizer is None:
        normalizer = float(weights.sum())
    if normalizer <= 0:
        raise DataError(f"the weights of the rows sum to {normalizer:g}; at least one must be above 0")
    return (weights * torch.where(weights > 0, losses, 0.0)).sum() / normalizer


def _log_odds(logprobs: Tensor) -> Tensor:
    """log(p / (1 - p)) of log p <= 0, without cancellation near p = 1."""
    # expm1 keeps 1 - p exact for log p near 0; the clamp keeps log p = 0 finite.
    return logprobs - torch.log(-torch.expm1(logprobs.clamp_max(-1e-6)))
