"""The loss of a reward model on steps: is each step of an answer right, read off the step's last token.

Leaves out where steps end, and which steps were looked at: the caller gives scores of those that were.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, where
from torch.nn.functional import logsigmoid, softplus

from accord.domain import DataError
from accord.training.objectives.direct import weighted_mean

StepJoin = Literal["product", "min", "mean", "last"]
"""How the steps of an answer become one score."""


def step_loss(
    scores: Float[Tensor, " step"],
    p_right: Float[Tensor, " step"],
    *,
    weights: Float[Tensor, " step"],
    normalizer: int | float | None = None,
) -> Float[Tensor, ""]:
    """Cross entropy of sigmoid(score) against the step's label, mean over the steps by weight.

        loss = sum_t w_t [p_t softplus(-s_t) + (1 - p_t) softplus(s_t)] / sum_t w_t

    Lightman et al. 2023 (2305.20050) for p in {0, 1}; departs in soft labels (a share of annotators,
    or of rollouts that ended well, as in Wang et al. 2023, 2312.08935). The denominator counts STEPS, so
    a long answer counts more; `normalizer` is that of the whole update. A step of weight 0 counts
    for nothing, NaN included. Zero total weight raises.
    """
    scores = where(weights > 0, scores, 0.0)
    losses = p_right * softplus(-scores) + (1.0 - p_right) * softplus(scores)
    return weighted_mean(losses, weights, normalizer=normalizer)


def join_steps(scores: Float[Tensor, " step"], *, how: StepJoin) -> Float[Tensor, ""]:
    """One score of an answer from its steps' scores, in the same units (log-odds for min and last).

    `product` and `mean` are over probabilities and come back as log-probabilities: log of prod
    sigmoid(s) (Lightman et al. 2023), log of mean sigmoid(s). `min` is the worst step's score, `last` that
    of the final step. No step raises.
    """
    if not len(scores):
        raise DataError("an answer without steps has no score")
    if how == "product":
        return logsigmoid(scores).sum()
    if how == "mean":
        return scores.sigmoid().mean().log()
    return scores.min() if how == "min" else scores[-1]
