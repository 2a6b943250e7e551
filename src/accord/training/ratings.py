"""A reward model from ratings: one output for each named dimension, cells that nobody rated left out.

Ratings of an answer by several annotators are averaged for each dimension. Leaves out differences of
scale between annotators: mend those before (`accord quality`), or ask for comparisons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accord.domain import DataError, Rating
from accord.models.reward import RewardModel
from accord.training.answers import AnswerRow, last_token_row
from accord.training.objectives.rating import rated_cells, rating_loss
from accord.training.settings import check_settings
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class RatingsObjective:
    """Learn from ratings: files of answers with a number on one or several dimensions."""

    type: Literal["ratings"] = "ratings"
    """Picks this objective."""
    dimensions: tuple[str, ...] = ()
    """Dimensions learnt, others are left out; empty: all that occur, by name."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """What a rated cell of a dimension counts in the loss; 1 where not named."""
    score_weights: Mapping[str, float] = field(default_factory=dict)
    """What a dimension counts in the finished model's one score, such as -0.5; unnamed: equal shares."""
    is_standardized: bool = True
    """Learn ratings in standard deviations around their mean, both by dimension; False: as they are."""
    huber_delta: float = math.inf
    """Errors above it count linearly; infinite is squared error."""

    def __post_init__(self) -> None:
        weights = [*self.loss_weights.values()]
        check_settings(
            "objective",
            self,
            (
                ("huber_delta", self.huber_delta > 0, "above 0"),
                ("loss_weights", all(0 <= weight < math.inf for weight in weights), "numbers, 0 or more"),
                ("score_weights", all(map(math.isfinite, self.score_weights.values())), "finite numbers"),
            ),
        )


class RatingLearner:
    """`RewardObjective` of ratings. Scale and dimensions are those of the training ratings."""

    def __init__(self, settings: RatingsObjective, training: Sequence[Rating]):
        self.settings = settings
        seen = sorted({record.dimension for record in training})
        named = [*settings.dimensions, *settings.loss_weights, *settings.score_weights]
        unknown = [name for name in dict.fromkeys(named) if name not in (settings.dimensions or seen)]
        if unknown or not set(settings.dimensions) <= set(seen):
            missing = unknown or sorted(set(settings.dimensions) - set(seen))
            raise DataError(f"no training rating on {', '.join(missing)}; they are on {', '.join(seen)}")
        self.dimensions: tuple[str, ...] = settings.dimensions or tuple(seen)
        self.mix = _mix(self.dimensions, settings.score_weights)
        self.places = {name: _place(name, training, settings) for name in self.dimensions}

    def rows(self, model: RewardModel, records: Sequence[Rating], *, max_tokens: int) -> list[AnswerRow]:
        """One row for each answer that was rated on a learnt dimension; its weight is that of its cells."""
        cells: dict[tuple[Any, str], dict[str, list[float]]] = {}
        for record in records:
            if record.dimension in self.places:
                answer = cells.setdefault((record.prompt, record.completion), {})
                answer.setdefault(record.dimension, []).append(record.value)
        rows = []
        for (prompt, completion), rated in cells.items():
            said = [self._placed(name, rated.get(name)) for name in self.dimensions]
            weight = sum(
                self.settings.loss_weights.get(name, 1.0) for name in self.dimensions if name in rated
            )
            if weight > 0:
                rows.append(
                    last_token_row(
                        model, prompt, [completion], said=said, max_tokens=max_tokens, weight=weight
                    )
                )
        return rows

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Nothing beside the model."""
        return []

    def loss(self, scores: Tensor, rows: Sequence[AnswerRow], normalizer: float) -> LossPart:
        """Mean over the update's rated cells by weight."""
        ratings, mask = self._table(rows, scores)
        importance = scores.new_tensor(
            [self.settings.loss_weights.get(name, 1.0) for name in self.dimensions]
        )
        ones = scores.new_ones(len(rows))
        loss = rating_loss(
            scores,
            ratings,
            mask,
            weights=ones,
            dimension_weights=importance,
            huber_delta=self.settings.huber_delta,
            normalizer=normalizer,
        )
        cells = rated_cells(mask, weights=ones, dimension_weights=importance)
        error = torch.where(mask, scores - ratings, 0.0).detach().abs()
        return LossPart(loss, {"reward/rating_error": (cells * error).sum() / normalizer})

    def evaluate(self, scores: Tensor, rows: Sequence[AnswerRow]) -> dict[str, float]:
        """Error and correlation on each dimension, over its rated answers; undefined ones are left out."""
        ratings, mask = self._table(rows, scores)
        metrics = {}
        for index, name in enumerate(self.dimensions):
            rated = mask[:, index]
            if not rated.any():
                continue
            own, said = scores[rated, index], ratings[rated, index]
            metrics[f"reward/eval_rating_error/{name}"] = float((own - said).abs().mean())
            if len(own) > 1 and float(own.std()) > 0 and float(said.std()) > 0:
                both = torch.stack([own, said])
                metrics[f"reward/eval_rating_correlation/{name}"] = float(torch.corrcoef(both)[0, 1])
        return metrics

    def report(self) -> Mapping[str, Any]:
        """Mean and standard deviation that each dimension's scores are counted from and in."""
        return {
            "dimensions": {
                name: {"mean": mean, "deviation": deviation, "part_of_score": part}
                for (name, (mean, deviation)), part in zip(self.places.items(), self.mix, strict=True)
            }
        }

    def _placed(self, name: str, values: list[float] | None) -> float | None:
        if values is None:
            return None
        mean, deviation = self.places[name]
        return (sum(values) / len(values) - mean) / deviation

    def _table(self, rows: Sequence[AnswerRow], like: Tensor) -> tuple[Tensor, Tensor]:
        ratings = [[0.0 if value is None else value for value in row.said] for row in rows]
        mask = [[value is not None for value in row.said] for row in rows]
        return like.new_tensor(ratings), torch.tensor(mask, device=like.device)


def _place(name: str, training: Sequence[Rating], settings: RatingsObjective) -> tuple[float, float]:
    values = torch.tensor(
        [record.value for record in training if record.dimension == name], dtype=torch.float64
    )
    if not settings.is_standardized:
        return 0.0, 1.0
    deviation = float(values.std(correction=0))
    return float(values.mean()), deviation if deviation > 0 else 1.0


def _mix(dimensions: Sequence[str], weights: Mapping[str, float]) -> tuple[float, ...]:
    if not weights:
        return (1 / len(dimensions),) * len(dimensions)
    return tuple(float(weights.get(name, 0.0)) for name in dimensions)
