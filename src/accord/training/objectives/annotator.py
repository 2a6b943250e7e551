"""The loss of a reward model on single judgments, with the habits of whoever judged learnt beside it.

The likelihood is that of `quality/preferences/annotator_aware`, which fits it to free scores of items;
here the scores are a model's rewards. Leaves out the sharing of habits across prompt families.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

LEFT, TIE, RIGHT = 0, 1, 2
"""What was chosen, as `judgment_nll` takes it."""


def judgment_nll(
    differences: Float[Tensor, " judgment"],
    choices: Int[Tensor, " judgment"],
    *,
    gains: Float[Tensor, " judgment"],
    shifts: Float[Tensor, " judgment"],
    log_thresholds: Float[Tensor, " judgment"] | None,
) -> Float[Tensor, " judgment"]:
    """-log P of each choice, given the reward of the left answer less that of the right one.

        d = gain * difference + shift,  t = exp(log_threshold)
        P(left) = s(d - t),  P(right) = s(-d - t),  P(tie) = s(d + t) - s(d - t)

    s is the logistic function; the ordered logit of Rao and Kupper (1967) with an annotator's gain
    (0: answers at random, below 0: prefers the worse), leaning to a side and width of ties. Without
    `log_thresholds` t is 0 and nothing may tie: with gain 1 and shift 0 it is Bradley-Terry.
    Reduce by `weighted_mean`.
    """
    d = gains * differences + shifts
    if log_thresholds is None:
        return softplus(torch.where(choices == LEFT, -d, d))
    t = log_thresholds.exp()
    # s(d + t) - s(d - t) = s(d + t) s(t - d) (1 - exp(-2t)): no difference of near numbers.
    tie = logsigmoid(d + t) + logsigmoid(t - d) + torch.log(-torch.expm1(-2 * t))
    decided = logsigmoid(torch.where(choices == LEFT, d, -d) - t)
    return -torch.where(choices == TIE, tie, decided)


def habit_penalty(
    gains: Float[Tensor, " annotator"],
    positions: Float[Tensor, " annotator"],
    tie_habits: Float[Tensor, " annotator"],
    *,
    gain_spread: float,
    position_spread: float,
    tie_spread: float,
) -> Float[Tensor, ""]:
    """-log of the habits' prior, constants left out: an annotator of few judgments stays near the crowd.

        sum_w (a_w - 1)^2 / 2 s_a^2 + c_w^2 / 2 s_c^2 + h_w^2 / 2 s_h^2

    Gains lie around 1, which fixes the scale of the rewards; sides and ties around the crowd's own.
    Divide by the number of judgments of the whole training set when the likelihood is a mean.
    """
    return (
        (gains - 1).square().sum() / (2 * gain_spread**2)
        + positions.square().sum() / (2 * position_spread**2)
        + tie_habits.square().sum() / (2 * tie_spread**2)
    )
