"""Advantages from a value model: generalized advantage estimation over ragged completions.

Leaves out the value model and its loss.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def gae(
    rewards: Float[Tensor, " token"],
    values: Float[Tensor, " token"],
    lengths: Int[Tensor, " sequence"],
    *,
    discount: float = 1.0,
    decay: float = 0.95,
) -> Float[Tensor, " token"]:
    """Exponentially weighted sum of the errors of the value model that are still to come.

        A_t = delta_t + discount * decay * A_{t+1},  delta_t = r_t + discount * V_{t+1} - V_t

    Schulman et al. 2016 (1506.02438), eq. 16. `rewards` and `values` hold the tokens of one completion
    after the other, `lengths` how many each has; lengths sum to the number of tokens. After the last token
    value and advantage are 0: an episode ends with its completion, cut or not. A completion without tokens
    has no advantages. Nothing is differentiated.
    """
    rewards, values = rewards.detach(), values.detach()
    ends = lengths.cumsum(0)
    starts = ends - lengths
    advantages = torch.zeros_like(rewards)
    following_value, following = values.new_zeros(len(lengths)), rewards.new_zeros(len(lengths))
    for back in range(1, int(lengths.max()) + 1 if len(lengths) else 1):
        runs = ends - back >= starts
        at = (ends - back)[runs]
        delta = rewards[at] + discount * following_value[runs] - values[at]
        following[runs] = delta + discount * decay * following[runs]
        following_value[runs] = values[at]
        advantages[at] = following[runs]
    return advantages
