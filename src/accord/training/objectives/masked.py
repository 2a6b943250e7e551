"""Sums and means over the positions that count, and the token loss that is one of them.

A mask is True where a position COUNTS. What stands in a masked slot, NaN included,
changes neither value nor gradient of the slot's own tensor: slots are selected, not
multiplied by zero. This does not mend a NaN made further up, whose derivative is NaN.
"""

from jaxtyping import Bool, Float
from torch import Tensor, where

from accord.domain import DataError


def masked_sum(values: Float[Tensor, " slot"], mask: Bool[Tensor, " slot"]) -> Float[Tensor, ""]:
    """Sum of `values` where `mask`; an empty mask gives 0 with zero gradients."""
    return where(mask, values, 0.0).sum()


def masked_mean(
    values: Float[Tensor, " slot"], mask: Bool[Tensor, " slot"], *, normalizer: int | float | None = None
) -> Float[Tensor, ""]:
    """`masked_sum` over `normalizer`, or over the number of slots that count.

    Give `normalizer`, the count over the whole update, to get this part's share of
    the update's mean; an empty mask is then 0. Without it an empty mask raises.
    """
    if normalizer is None:
        normalizer = float(mask.sum())
    if normalizer <= 0:
        raise DataError(f"a mean over {normalizer:g} slots is not defined: the mask is empty everywhere")
    return masked_sum(values, mask) / normalizer


def completion_nll(
    logprobs: Float[Tensor, " token"],
    completion_mask: Bool[Tensor, " token"],
    *,
    normalizer: int | float | None = None,
) -> Float[Tensor, ""]:
    """Negative log-likelihood per completion token: what supervised fine-tuning lowers.

        loss = -sum_t mask_t * log pi(x_t | x_<t) / N

    N = completion tokens of the whole update (`normalizer`), EOS included, prompt not:
    every token counts the same, so a long answer counts more than a short one.
    """
    return masked_mean(-logprobs, completion_mask, normalizer=normalizer)
