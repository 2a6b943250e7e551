"""The loss of a reward model on pairs: Bradley-Terry with soft labels, weights, margins and centering."""

from jaxtyping import Float
from torch import Tensor, where
from torch.nn.functional import softplus

from accord.domain import DataError


def preference_loss(
    chosen_rewards: Float[Tensor, " pair"],
    rejected_rewards: Float[Tensor, " pair"],
    *,
    weights: Float[Tensor, " pair"],
    p_chosen: Float[Tensor, " pair"] | None = None,
    margins: Float[Tensor, " pair"] | None = None,
    centering: int | float = 0.0,
    normalizer: int | float | None = None,
) -> Float[Tensor, ""]:
    """Weighted Bradley-Terry negative log-likelihood, mean over total weight.

        d_i  = chosen_i - rejected_i
        loss = sum_i w_i * [p_i softplus(m_i - d_i) + (1 - p_i) softplus(m_i + d_i)
                            + c (chosen_i + rejected_i)^2] / sum_i w_i

    With p = 1 and m = c = 0 this is Stiennon et al. 2020, eq. 1; departures:

    - `weights`: a pair counts as much as its weight says. Weight 0 counts for nothing,
      whatever its rewards are, NaN included.
    - `p_chosen` in [0, 1], default 1: the expectation of the loss over who really won.
      Without margins it is the cross entropy of sigmoid(d) against p, lowest at
      d = logit(p); at p = 1/2 it pulls the two together.
    - `margins`, default 0: whoever won should have won by m (Llama 2, eq. 2, for p = 1).
      Under soft labels both outcomes get the margin, so naming the other side chosen
      (p to 1 - p) changes nothing.
    - `centering` c, default 0: keeps sums of rewards near 0 (Eisenstein et al. 2023,
      "Helping or herding?", section on underspecification), since differences leave them free.

    `normalizer` is the total weight of the whole update, when this is a part of one;
    default: the weights given. Zero total weight raises.
    """
    if normalizer is None:
        normalizer = float(weights.sum())
    if normalizer <= 0:
        raise DataError(f"the weights of the pairs sum to {normalizer:g}; at least one must be above 0")
    counts = weights > 0
    difference = where(counts, chosen_rewards - rejected_rewards, 0.0)
    total = where(counts, chosen_rewards + rejected_rewards, 0.0)
    margin = difference.new_zeros(()) if margins is None else margins
    losses = softplus(margin - difference)
    if p_chosen is not None:
        losses = p_chosen * losses + (1.0 - p_chosen) * softplus(margin + difference)
    if centering:
        losses = losses + centering * total.square()
    return (weights * losses).sum() / normalizer
