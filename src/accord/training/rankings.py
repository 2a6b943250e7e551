"""A reward model from ranked lists, by Plackett-Luce; ties and lists ranked in part are read exactly.

Leaves out annotators: a list counts the same whoever made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accord.domain import Ranking
from accord.models.reward import RewardModel
from accord.training.answers import AnswerRow, last_token_row, per_row
from accord.training.objectives.ranking import NOT_SHOWN, plackett_luce_loss, ranking_nll
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class RankingsObjective:
    """Learn from rankings: files of prompts with several answers in order."""

    type: Literal["rankings"] = "rankings"
    """Picks this objective."""


class RankingLearner:
    """`RewardObjective` of ranked lists."""

    def __init__(self, *, centering: float = 0.0):
        self.dimensions: tuple[str, ...] = ("overall",)
        self.mix: tuple[float, ...] = (1.0,)
        self.centering = centering

    def rows(self, model: RewardModel, records: Sequence[Ranking], *, max_tokens: int) -> list[AnswerRow]:
        """Lists as ids; one in which all share a rank says nothing and is left out."""
        return [
            last_token_row(model, record.prompt, record.completions, said=record.ranks, max_tokens=max_tokens)
            for record in records
            if len(set(record.ranks)) > 1
        ]

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Nothing beside the model."""
        return []

    def loss(self, scores: Tensor, rows: Sequence[AnswerRow], normalizer: float) -> LossPart:
        """Mean over the update's lists by weight."""
        places = max(len(row.said) for row in rows)
        ranks = torch.full((len(rows), places), NOT_SHOWN)
        table = scores.new_zeros(len(rows), places)
        for index, (row, own) in enumerate(zip(rows, per_row(scores[:, 0], rows), strict=True)):
            ranks[index, : len(row.said)] = torch.tensor(row.said)
            table[index, : len(row.said)] = own
        weights = torch.tensor([row.weight for row in rows], device=scores.device)
        loss = plackett_luce_loss(
            table, ranks, weights=weights, centering=self.centering, normalizer=normalizer
        )
        pairs = [row.weight * ordered_share(own, row.said) for row, own in _each(scores, rows)]
        return LossPart(loss, {"reward/accuracy": sum(pairs) / normalizer})

    def evaluate(self, scores: Tensor, rows: Sequence[AnswerRow]) -> dict[str, float]:
        """Likelihood, pairs in the right order and best answers found, means over the lists."""
        each = list(_each(scores, rows))
        best = [
            sum(row.said[place] == min(row.said) for place in _tops(own)) / len(_tops(own))
            for row, own in each
        ]
        return {
            "reward/eval_nll": sum(float(ranking_nll(own, row.said)) for row, own in each) / len(each),
            "reward/eval_accuracy": sum(ordered_share(own, row.said) for row, own in each) / len(each),
            "reward/eval_best_found": sum(best) / len(best),
        }

    def report(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


def ordered_share(rewards: Tensor, ranks: Sequence[int]) -> float:
    """Share of a list's pairs of different rank whose better answer has more reward; equal ones half."""
    values = rewards.detach().cpu()
    order = torch.tensor(ranks)
    is_better = order[:, None] < order[None, :]
    agreement = (torch.sign(values[:, None] - values[None, :]) + 1) / 2
    return float(agreement[is_better].mean())


def _each(scores: Tensor, rows: Sequence[AnswerRow]) -> list[tuple[AnswerRow, Tensor]]:
    return list(zip(rows, per_row(scores[:, 0], rows), strict=True))


def _tops(rewards: Tensor) -> list[int]:
    return [int(place) for place in (rewards == rewards.max()).nonzero()[:, 0]]
