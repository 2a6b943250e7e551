"""The loss of a reward model on ranked lists: Plackett-Luce with ties and lists ranked in part.

Leaves out where the rewards come from. The people wing's fit of scores without a model is
`quality/preferences/plackett_luce`, whose ties are events of their own and not orders unsaid.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from accord.domain import DataError

NOT_SHOWN = 0
"""In `ranks`: no answer stands in this place; its reward is not looked at."""
LARGEST_TIE = 10
"""Answers that may share a rank other than the last: their orders are summed over 2^n subsets."""


def plackett_luce_loss(
    rewards: Float[Tensor, "ranking place"],
    ranks: Int[Tensor, "ranking place"],
    *,
    weights: Float[Tensor, " ranking"],
    centering: float = 0.0,
    normalizer: int | float | None = None,
) -> Float[Tensor, ""]:
    """Weighted negative log-likelihood of the rankings, mean over total weight.

        P(best first) = prod over stages of exp(r_best) / sum of exp(r) over those left
        loss = sum_i w_i * [-log P_i + c (2 mean_i)^2] / sum_i w_i

    Plackett (1975), Luce (1959); of two answers it is Bradley-Terry, and c then weighs (chosen +
    rejected)^2 as in `preference_loss`. 1 is the best rank, 0 (`NOT_SHOWN`) an empty place. Departures:

    - Equal ranks: in which order they came was not said, so P sums over their orders, exactly.
      Equal ranks at the END therefore say only that they come after the rest: a list of which only
      the best k are ranked has all others at rank k + 1. Two answers that tie teach nothing.
    - `normalizer` is the total weight of the whole update, default that of the rankings given.

    A ranking of weight 0 counts for nothing, NaN included. Zero total weight raises.
    """
    if normalizer is None:
        normalizer = float(weights.sum())
    if normalizer <= 0:
        raise DataError(f"the weights of the rankings sum to {normalizer:g}; at least one must be above 0")
    total = rewards.new_zeros(())
    for row, row_ranks in enumerate(ranks.tolist()):
        places = [place for place, rank in enumerate(row_ranks) if rank != NOT_SHOWN]
        if not float(weights[row]) > 0:
            continue
        shown = rewards[row, places]
        loss = ranking_nll(shown, [row_ranks[place] for place in places])
        if centering:
            loss = loss + centering * (2 * shown.mean()).square()
        total = total + weights[row] * loss
    return total / normalizer


def ranking_nll(rewards: Float[Tensor, " answer"], ranks: Sequence[int]) -> Float[Tensor, ""]:
    """-log P of one ranking; one answer, or all at one rank, gives 0."""
    groups = [[answer for answer, rank in enumerate(ranks) if rank == level] for level in sorted(set(ranks))]
    order = [answer for group in groups for answer in group]
    # tails[k] is log of the sum of exp over the answers from place k of the order on.
    tails = rewards[order].flip(0).logcumsumexp(0).flip(0)
    nll = rewards.new_zeros(())
    place = 0
    for group in groups[:-1]:
        after = place + len(group)
        if len(group) == 1:
            nll = nll + tails[place] - rewards[group[0]]
        else:
            nll = nll - group_first_logprob(rewards[group], tails[after])
        place = after
    return nll


def group_first_logprob(rewards: Float[Tensor, " tied"], rest: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Log of the probability that all of a group come before all others, in whatever order.

    `rest` is the log of the summed exp of the others' rewards. With F(S) the probability that the first
    |S| drawn are just the subset S: F(S) = sum over i in S of F(S - i) exp(r_i) / (what S - i left).
    """
    size = len(rewards)
    if size > LARGEST_TIE:
        raise DataError(f"{size} answers share a rank that is not the last; at most {LARGEST_TIE} may")
    reached = rewards.new_zeros(1)
    before: list[tuple[int, ...]] = [()]
    for count in range(1, size + 1):
        left = torch.ones(len(before), size, dtype=torch.bool, device=rewards.device)
        for index, subset in enumerate(before):
            left[index, list(subset)] = False
        candidates = torch.where(left, rewards, -torch.inf)
        remaining = torch.logaddexp(candidates.logsumexp(1), rest)
        place_of = {subset: index for index, subset in enumerate(before)}
        subsets = list(itertools.combinations(range(size), count))
        last = torch.tensor(subsets, device=rewards.device)
        origin = torch.tensor(
            [[place_of[tuple(x for x in subset if x != i)] for i in subset] for subset in subsets],
            device=rewards.device,
        )
        reached = (reached[origin] + rewards[last] - remaining[origin]).logsumexp(1)
        before = subsets
    return reached[0]
