"""Advantages from a value model, and the loss and the quality of that model, over ragged completions.

Leaves out the value model itself (`training/critic.py`). The value of a token is that of the text before
it, so the first token's is the value of the prompt.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from accord.domain import ConfigError


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


def token_rewards(
    scores: Float[Tensor, " sequence"], penalties: Float[Tensor, " token"], lengths: Int[Tensor, " sequence"]
) -> Float[Tensor, " token"]:
    """-penalty at each token, and the completion's score at its LAST token.

    The last token is EOS, or where the completion was cut. Ouyang et al. 2022 and Huang et al. 2024 (N+) put
    the score one place after EOS, discount it once more and train a value there; that is `gae` on
    completions one longer, with penalty 0 in the last place. Every completion has a token or more.
    """
    return (-penalties).index_add(0, lengths.cumsum(0) - 1, scores.to(penalties.dtype))


class ValueLoss(NamedTuple):
    """A loss share and where the clip took its gradient away."""

    loss: Float[Tensor, ""]
    is_clipped: Bool[Tensor, " token"]


def value_loss(
    values: Float[Tensor, " token"],
    old_values: Float[Tensor, " token"],
    returns: Float[Tensor, " token"],
    *,
    normalizer: int | float,
    clip: float | None = 0.2,
) -> ValueLoss:
    """Half the squared error of the values, the worse of the plain and the clipped one.

        loss = 1/2 sum_t max((V_t - R_t)^2, (V_t_old + clip(V_t - V_t_old, -c, c) - R_t)^2) / normalizer

    The code of Schulman et al. 2017 (not in the paper); c is in units of the reward. `normalizer` is the
    update's count of tokens. None leaves clipping out. `old_values` and `returns` have no gradient.
    """
    if clip is not None and not clip > 0:
        raise ConfigError("value loss", [f"clip is {clip}; expected above 0, or none for no clipping"])
    old_values, returns = old_values.detach(), returns.detach()
    plain = (values - returns).square()
    if clip is None:
        return ValueLoss(plain.sum() / (2 * normalizer), torch.zeros_like(plain, dtype=torch.bool))
    clipped = (old_values + (values - old_values).clamp(-clip, clip) - returns).square()
    return ValueLoss(torch.maximum(plain, clipped).sum() / (2 * normalizer), (clipped > plain).detach())


def explained_variance(values: Float[Tensor, " token"], returns: Float[Tensor, " token"]) -> float:
    """1 - var(R - V) / var(R): 1 is a perfect critic, 0 a constant, below 0 worse than a constant.

    Returns without spread have nothing to explain and give 0.
    """
    spread = float(returns.var(correction=0)) if len(returns) else 0.0
    return 1.0 - float((returns - values).var(correction=0)) / spread if spread > 0 else 0.0
