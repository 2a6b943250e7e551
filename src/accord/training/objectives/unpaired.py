"""The loss of answers judged one by one: KTO, and the reference point it measures gains from.

Leaves out everything that runs a model, and which prompts and answers are mismatched.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from accord.domain import TrainingError


def reference_point(mismatched_log_ratios: Float[Tensor, " row"]) -> Float[Tensor, ""]:
    """max(0, mean of log pi - log ref of answers to OTHER prompts), without gradient; no rows give 0.

    Ethayarajh et al. 2024 (2402.01306): a biased estimate of KL(pi || ref), read off
    answers that do not belong to their prompts. The mean is over the rows of the WHOLE update, so it
    does not depend on micro-batches.
    """
    if not len(mismatched_log_ratios):
        return mismatched_log_ratios.new_zeros(())
    return mismatched_log_ratios.detach().mean().clamp_min(0.0)


def kto(
    log_ratios: Float[Tensor, " row"],
    p_desirable: Float[Tensor, " row"],
    *,
    reference: Float[Tensor, ""],
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " row"]:
    """Loss of each row: how far its gain over the reference point is from the gain one wants.

        p a s(-beta (r - z)) + (1 - p) b s(beta (r - z)),  s the logistic function

    r is log pi - log ref SUMMED over the answer's tokens, EOS included, z `reference`, a and b the two
    weights; Ethayarajh et al. 2024 for p = 1 (desirable) and p = 0. Departs in the soft label
    `p_desirable` in [0, 1]: the expectation over what the answer really is. Reduce by `weighted_mean`.
    """
    for name, weight in (("desirable_weight", desirable_weight), ("undesirable_weight", undesirable_weight)):
        if weight < 0:
            raise TrainingError(f"{name} is {weight}; expected 0 or more")
    gains = beta * (log_ratios - reference)
    wanted = desirable_weight * torch.sigmoid(-gains)
    unwanted = undesirable_weight * torch.sigmoid(gains)
    return p_desirable * wanted + (1 - p_desirable) * unwanted
