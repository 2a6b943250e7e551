"""A reward model from single judgments, with each annotator's habits learnt beside it and dropped at use.

Habits are gain (how much differences of reward move a choice), leaning to a side, and width of ties. The
equation is in `objectives/annotator`. A judgment counts 1, or its `meta["weight"]`. Members of an ensemble
share the habits; each learns from a bootstrap of the prompts. Leaves out repeats: each judgment counts as it
stands.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accord.domain import Choice, DataError, Judgment, Streams
from accord.models.reward import RewardModel, member_names
from accord.training.answers import AnswerRow, last_token_row
from accord.training.bootstrap import prompt_counts
from accord.training.objectives.annotator import LEFT, RIGHT, TIE, habit_penalty, judgment_nll
from accord.training.objectives.direct import weighted_mean
from accord.training.score_fitting import disagreement
from accord.training.settings import check_settings
from accord.training.task import LossPart

CODES = {Choice.LEFT: LEFT, Choice.RIGHT: RIGHT, Choice.TIE: TIE, Choice.BOTH_BAD: TIE}
"""Both bad says of the difference what a tie says."""


@dataclass(frozen=True, kw_only=True)
class JudgmentsObjective:
    """Learn from judgments, one by one: rows of two answers, a choice, who made it, perhaps a `weight`."""

    type: Literal["judgments"] = "judgments"
    """Picks this objective."""
    gain_spread: float = 0.5
    """Standard deviation of annotators' gains around 1; 0 takes all to be alike."""
    position_spread: float = 0.5
    """Of their leanings to a side around the crowd's, in log-odds."""
    tie_spread: float = 0.5
    """Of the logs of their tie widths around the crowd's."""
    habit_rate: float = 0.02
    """Learning rate of the habits at the height of the schedule; their scale is not that of weights."""

    def __post_init__(self) -> None:
        spreads = ("gain_spread", "position_spread", "tie_spread")
        check_settings(
            "objective",
            self,
            (
                *((name, 0 <= getattr(self, name) < float("inf"), "0 or more") for name in spreads),
                ("habit_rate", self.habit_rate >= 0, "0 or more"),
            ),
        )


class JudgmentLearner:
    """`RewardObjective` of judgments; holds the habits, one entry an annotator in each vector."""

    def __init__(
        self,
        settings: JudgmentsObjective,
        training: Sequence[Judgment],
        *,
        learning_rate: float,
        members: int = 1,
        streams: Streams | None = None,
        centering: float = 0.0,
        device: torch.device | str = "cpu",
    ):
        self.dimensions: tuple[str, ...] = ("overall",) if members == 1 else member_names(members)
        self.mix: tuple[float, ...] = (1 / members,) * members
        prompts = [record.comparison.prompt.id for record in training]
        counts = prompt_counts(prompts, members, streams or Streams(0)) if members > 1 else []
        self._counts = dict(zip(prompts, counts, strict=True)) if counts else {}
        self.settings, self.centering = settings, centering
        self.annotators = tuple(sorted({record.annotator_id for record in training}))
        self.total_weight = sum(weight_of(record) for record in training)
        self.has_ties = any(not record.choice.is_decided for record in training)
        self._numbers = {name: index for index, name in enumerate(self.annotators)}
        # The optimizer moves a weight by about its learning rate a step; a habit of scale 1 must go faster.
        self._stretch = settings.habit_rate / learning_rate if learning_rate > 0 else 1.0
        self.habits = {
            name: nn.Parameter(torch.zeros(size, device=device))
            for name, size in (
                ("gains", len(self.annotators)),
                ("positions", len(self.annotators)),
                ("ties", len(self.annotators)),
                ("crowd", 2),
            )
        }
        """Distances from gain 1, from the crowd's leaning and log tie width; `crowd` holds these two."""

    def rows(self, model: RewardModel, records: Sequence[Judgment], *, max_tokens: int) -> list[AnswerRow]:
        """Judgments as ids; an annotator who is not in the training set is given the crowd's habits."""
        return [
            last_token_row(
                model,
                record.comparison.prompt,
                [record.comparison.left, record.comparison.right],
                said=(
                    CODES[record.choice],
                    self._numbers.get(record.annotator_id, -1),
                    *self._counts.get(record.comparison.prompt.id, ()),
                ),
                max_tokens=max_tokens,
                weight=weight_of(record),
            )
            for record in records
            if (self.has_ties or record.choice.is_decided) and weight_of(record) > 0
        ]

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The habits whose spread is not 0, and the crowd's."""
        spreads = {
            "gains": self.settings.gain_spread,
            "positions": self.settings.position_spread,
            "ties": self.settings.tie_spread if self.has_ties else 0.0,
            "crowd": 1.0,
        }
        return [(f"habits.{name}", weight) for name, weight in self.habits.items() if spreads[name] > 0]

    def loss(self, scores: Tensor, rows: Sequence[AnswerRow], normalizer: float) -> LossPart:
        """Mean over the update's judgments and members, and these rows' part of the habits' prior.

        All members share the update's total weight, which their counts keep on average.
        """
        weights = torch.tensor([row.weight for row in rows], device=scores.device)
        by_member = scores.reshape(len(rows), 2, -1).unbind(2)
        total = torch.zeros((), device=scores.device)
        for place, sides in enumerate(by_member):
            counts = [row.said[2 + place] if len(row.said) > 2 else 1.0 for row in rows]
            losses = self.nll(sides, rows)
            if self.centering:
                losses = losses + self.centering * sides.sum(1).square()
            drawn = weights * torch.tensor(counts, device=scores.device)
            total = total + weighted_mean(losses, drawn, normalizer=normalizer * len(by_member))
        share = float(weights.sum()) / normalizer
        loss = total + share * self.penalty() / self.total_weight
        sides, shares = _mean_sides(scores, rows), weights / normalizer
        return LossPart(
            loss,
            {
                "reward/accuracy": (shares * agreement(sides, rows)).sum(),
                "reward/pair_mean": (shares * sides.detach().mean(1)).sum(),
            },
        )

    def nll(self, sides: Tensor, rows: Sequence[AnswerRow], *, has_habits: bool = True) -> Tensor:
        """-log P of each judgment, given rewards [judgment, side]; without habits all are the crowd."""
        codes = torch.tensor([row.said[0] for row in rows], device=sides.device)
        who = torch.tensor([row.said[1] for row in rows], device=sides.device)
        is_known = (who >= 0) & has_habits
        gains, positions, ties, crowd = (self._value(name) for name in self.habits)
        own = [torch.where(is_known, each[who.clamp_min(0)], 0.0) for each in (gains, positions, ties)]
        return judgment_nll(
            sides[:, 0] - sides[:, 1],
            codes,
            gains=1 + own[0],
            shifts=crowd[0] + own[1],
            log_thresholds=crowd[1] + own[2] if self.has_ties else None,
        )

    def penalty(self) -> Tensor:
        """The habits' prior; those with spread 0 stay where they are and have none."""
        spreads = [self.settings.gain_spread, self.settings.position_spread, self.settings.tie_spread]
        return habit_penalty(
            1 + self._value("gains"),
            self._value("positions"),
            self._value("ties"),
            gain_spread=spreads[0] or 1.0,
            position_spread=spreads[1] or 1.0,
            tie_spread=spreads[2] or 1.0,
        )

    def evaluate(self, scores: Tensor, rows: Sequence[AnswerRow]) -> dict[str, float]:
        """Likelihood of held-out judgments with and without habits; accuracy of rewards on decided ones."""
        sides = _mean_sides(scores, rows).to(self.habits["crowd"])
        metrics = {
            "reward/eval_nll": float(self.nll(sides, rows).mean()),
            "reward/eval_crowd_nll": float(self.nll(sides, rows, has_habits=False).mean()),
        }
        decided = torch.tensor([row.said[0] != TIE for row in rows])
        if decided.any():
            metrics["reward/eval_accuracy"] = float(agreement(sides, rows).cpu()[decided].mean())
        if len(self.dimensions) > 1:
            left, right = scores.reshape(len(rows), 2, -1).detach().cpu().numpy().swapaxes(0, 1)
            metrics["reward/eval_disagreement"] = disagreement(left, right, [row.weight for row in rows])
        return metrics

    def report(self) -> Mapping[str, Any]:
        """The crowd's habits and each annotator's."""
        gains, positions, ties, crowd = (self._value(name).tolist() for name in self.habits)
        return {
            "position": crowd[0],
            "log_tie_threshold": crowd[1] if self.has_ties else None,
            "annotators": {
                name: {"gain": 1 + gains[i], "position": crowd[0] + positions[i]}
                | ({"log_tie_threshold": crowd[1] + ties[i]} if self.has_ties else {})
                for i, name in enumerate(self.annotators)
            },
        }

    def _value(self, name: str) -> Tensor:
        """The habit in its own units: its parameter stretched, with the gradient of the value itself."""
        weight = self.habits[name]
        return weight + (weight * (self._stretch - 1)).detach()


def _mean_sides(scores: Tensor, rows: Sequence[AnswerRow]) -> Tensor:
    """[judgment, side] The mean of the members' scores."""
    return scores.reshape(len(rows), 2, -1).mean(2)


def weight_of(record: Judgment) -> float:
    """What a judgment counts: its `meta["weight"]`, else 1; one that is no number of 0 or more raises."""
    value = record.meta.get("weight", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise DataError(
            f"a judgment of {record.annotator_id!r} has the weight {value!r}; expected a number of "
            "0 or more, or none"
        )
    return float(value)


def agreement(sides: Tensor, rows: Sequence[AnswerRow]) -> Tensor:
    """[judgment] 1 where the chosen side has the higher reward, half for equal ones and for ties."""
    wanted = {LEFT: 1.0, RIGHT: -1.0, TIE: 0.0}
    signs = torch.tensor([wanted[row.said[0]] for row in rows], device=sides.device)
    return ((sides[:, 0] - sides[:, 1]).detach().sign() * signs + 1) / 2
