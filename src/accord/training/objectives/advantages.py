"""How much better a completion did than its group: baselines from the other samples of the same prompt.

Rewards come as [group, sample]. A mask is True where a completion COUNTS; one that does not gets
advantage 0 and is in nobody's baseline, whatever stands in its slot.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from accord.domain import DataError

ZERO_SPREAD = 1e-6
"""A group whose standard deviation is below this share of its largest absolute reward (at least 1)
differs by rounding only; dividing by it would blow rounding up to advantages of size 1."""


def rloo(
    rewards: Float[Tensor, "group sample"], *, mask: Bool[Tensor, "group sample"] | None = None
) -> Float[Tensor, "group sample"]:
    """Reward less the mean of the OTHER samples of the group, so that the baseline is unbiased.

        A_i = r_i - 1/(k-1) sum_{j != i} r_j

    Ahmadian et al. 2024 (2402.14740), eq. 8. k counts what the mask counts; a group
    with fewer than two that count has no baseline and gives zeros. Groups of one sample are refused.
    """
    mask = _mask_or_all(rewards, mask)
    counts = mask.sum(-1, keepdim=True)
    kept = torch.where(mask, rewards, 0.0)
    others = (kept.sum(-1, keepdim=True) - kept) / (counts - 1).clamp_min(1)
    return torch.where(mask & (counts > 1), kept - others, 0.0)


def group_normalized(
    rewards: Float[Tensor, "group sample"],
    *,
    mask: Bool[Tensor, "group sample"] | None = None,
    divides_by_std: bool = True,
) -> Float[Tensor, "group sample"]:
    """Reward less the mean of the WHOLE group, over the group's standard deviation.

        A_i = (r_i - mean(r)) / std(r),  std with k - 1 in the denominator

    Shao et al. 2024 (2402.03300), section 4.1. `divides_by_std=False` is Dr. GRPO (2503.20783),
    which is `rloo` times (k-1)/k. Departs in the guard: the paper's code adds 1e-4 to std, here a
    group without spread gives zeros and any other is divided by its own std.
    """
    mask = _mask_or_all(rewards, mask)
    counts = mask.sum(-1, keepdim=True)
    kept = torch.where(mask, rewards, 0.0)
    centered = torch.where(mask, kept - kept.sum(-1, keepdim=True) / counts.clamp_min(1), 0.0)
    if not divides_by_std:
        return torch.where(counts > 1, centered, 0.0)
    std = (centered.square().sum(-1, keepdim=True) / (counts - 1).clamp_min(1)).sqrt()
    has_spread = std > ZERO_SPREAD * kept.abs().amax(-1, keepdim=True).clamp_min(1.0)
    return torch.where(has_spread, centered / torch.where(has_spread, std, 1.0), 0.0)


def whiten(
    advantages: Float[Tensor, "*shape"],
    *,
    mask: Bool[Tensor, "*shape"] | None = None,
    keeps_mean: bool = False,
    is_unbiased: bool = False,
) -> Float[Tensor, "*shape"]:
    """Mean 0 and variance 1 over all that counts; `keeps_mean` only scales.

    The variance divides by n, as Stiennon et al.'s and Huang et al.'s (2403.17031) code does;
    `is_unbiased` divides by n - 1, as TRL does. Fewer than two that count, or no spread: only the
    mean is taken. Slots that do not count are 0.
    """
    counted = torch.ones_like(advantages, dtype=torch.bool) if mask is None else mask
    n = counted.sum()
    kept = torch.where(counted, advantages, 0.0)
    mean = kept.sum() / n.clamp_min(1)
    centered = torch.where(counted, kept - mean, 0.0)
    variance = centered.square().sum() / (n - int(is_unbiased)).clamp_min(1)
    has_spread = variance.sqrt() > ZERO_SPREAD * kept.abs().max().clamp_min(1.0)
    scaled = torch.where(has_spread, centered / torch.where(has_spread, variance, 1.0).sqrt(), centered)
    return torch.where(counted, scaled + mean * float(keeps_mean), 0.0)


def _mask_or_all(rewards: Tensor, mask: Tensor | None) -> Tensor:
    if rewards.ndim != 2 or rewards.shape[-1] < 2:
        raise DataError(
            f"rewards of shape {tuple(rewards.shape)} have no group to compare in; expected [group, sample] "
            f"with 2 or more samples a prompt. Raise group_size"
        )
    return torch.ones_like(rewards, dtype=torch.bool) if mask is None else mask
