"""Training a reward model on records other than pairs: rankings, ratings, steps, single judgments.

The objective says what is learnt; everything else is the same for all. Leaves out pairs (`reward`).
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import torch
from torch import Tensor, nn

from accord.domain import DataError, Demonstration, Streams, TrainingError, content_hash
from accord.domain.files import write_text_atomic
from accord.models.batching import plan_micro_batches
from accord.models.language_model import LanguageModel
from accord.models.ragged import hidden_states, prompt_completion_batch
from accord.models.reward import RewardModel, reward_model_from, save_reward_model
from accord.models.scoring import Scoring
from accord.training.answers import AnswerMicroBatch, AnswerRow, RewardObjective, read_index
from accord.training.habits import JudgmentLearner, JudgmentsObjective
from accord.training.loop import optimize
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.precision import autocast
from accord.training.rankings import RankingLearner, RankingsObjective
from accord.training.ratings import RatingLearner, RatingsObjective
from accord.training.reports import Observer
from accord.training.reward import (
    PairsObjective,
    RewardTrainingConfig,
    RewardTrainingResult,
    normalize_scores,
    weights_hash,
)
from accord.training.score_fitting import ScoredPairs, member_centers
from accord.training.split import hold_out_records
from accord.training.stepwise import StepLearner, StepsObjective
from accord.training.task import LossPart, Update
from accord.training.trunk_cache import TrunkCache

BESIDE_FILE = "beside.json"
"""In the run's folder: what was learnt beside the model, such as annotators' habits."""


def train_reward_on(
    model: LanguageModel | RewardModel,
    records: Sequence[Any],
    config: RewardTrainingConfig,
    *,
    eval_records: Sequence[Any] | None = None,
    normalization_demonstrations: Sequence[Demonstration] = (),
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> RewardTrainingResult:
    """Train a reward model on what `config.objective` names; a language model is copied and stays as it is.

    A reward model goes on from its weights and must have the objective's dimensions; what is learnt beside it
    begins anew. Without `eval_records`, those of `eval_share` of the prompts are held out. With
    `normalization_demonstrations` the finished scores are shifted to mean 0 on them. `run_dir` gets metrics,
    checkpoints, the model and `beside.json`; `resume` goes on from there.
    """
    streams = streams or Streams(0)
    train, held_out = hold_out_records(records, eval_records, config.eval_share, streams)
    objective = build_objective(config, train, streams=streams, device=model.device)
    if isinstance(model, RewardModel):
        reward_model = _going_on(model, objective, config.members)
    else:
        reward_model = reward_model_from(
            model,
            head_std=config.head_std,
            seed=streams.child("head").value,
            trainable_layers=config.trainable_layers,
            dimensions=objective.dimensions if config.members == 1 else ("overall",),
            mix=objective.mix if config.members == 1 else None,
            members=config.members,
        )
    task = AnswerTask(
        reward_model,
        objective,
        train,
        held_out,
        config,
        normalization_demonstrations=normalization_demonstrations,
        streams=streams,
    )
    result = optimize(
        task, task.optimization, streams=streams, run_dir=run_dir, observers=observers, resume=resume
    )
    if run_dir is None:
        task.finish()
    return RewardTrainingResult(
        reward_model=reward_model.eval(),
        metrics=result.metrics,
        steps=result.steps,
        truncated_rows=sum(row.is_cut for row in task.rows),
        warnings=(),
        beside=objective.report(),
    )


def _going_on(model: RewardModel, objective: RewardObjective, members: int) -> RewardModel:
    """The model itself, where its head is the objective's."""
    scoring = model.scoring
    if scoring.members != members or scoring.length_slope or model.dimensions != objective.dimensions:
        heads = ", ".join(model.dimensions)
        raise TrainingError(
            f"the reward model to go on from has the heads {heads} and the objective learns "
            f"{', '.join(objective.dimensions)}; they must be the same: begin from a language model instead"
        )
    return model


def build_objective(
    config: RewardTrainingConfig,
    training: Sequence[Any],
    *,
    streams: Streams | None = None,
    device: torch.device | str = "cpu",
) -> RewardObjective:
    """The learner of `config.objective`, set up on the training records."""
    match config.objective:
        case RankingsObjective():
            return RankingLearner(centering=config.centering)
        case RatingsObjective() as settings:
            return RatingLearner(settings, training)
        case StepsObjective() as settings:
            return StepLearner(settings)
        case JudgmentsObjective() as settings:
            return JudgmentLearner(
                settings,
                training,
                learning_rate=config.optimization.learning_rate,
                members=config.members,
                streams=streams,
                centering=config.centering,
                device=device,
            )
        case PairsObjective():
            raise TrainingError("the objective is 'pairs'; pairs are trained by train_reward_model")
        case other:
            assert_never(other)


class AnswerTask:
    """Records with an objective, as the loop sees them."""

    name = "reward"

    def __init__(
        self,
        model: RewardModel,
        objective: RewardObjective,
        training: Sequence[Any],
        held_out: Sequence[Any],
        config: RewardTrainingConfig,
        *,
        normalization_demonstrations: Sequence[Demonstration] = (),
        streams: Streams,
    ):
        self.model, self.objective, self.config = model, objective, config
        self.normalization_demonstrations = normalization_demonstrations
        self.rows = objective.rows(model, training, max_tokens=config.max_tokens)
        self.eval_rows = objective.rows(model, held_out, max_tokens=config.max_tokens)
        if not self.rows:
            raise DataError(
                f"nothing to learn from: {len(training)} records for {config.objective.type}, and none of "
                f"them says anything"
            )
        self.order = DataOrder(len(self.rows), config.batch_size, streams, config.is_shuffled)
        self.cache = TrunkCache(model, config.trunk_cache_gb)

    @property
    def optimization(self) -> OptimizationConfig:
        """The optimization settings with the number of steps filled in."""
        steps = self.config.optimization.steps or self.order.steps_for(self.config.epochs)
        return dataclasses.replace(self.config.optimization, steps=steps)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Head, the body's trainable weights, and what the objective learns beside them."""
        return [*self.model.trainable_parameters(), *self.objective.parameters()]

    def identity(self) -> dict[str, str]:
        """Hashes of weights and rows, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"]
        return {
            "model": weights_hash(self.model),
            "data": content_hash([dataclasses.astuple(row) for row in (*self.rows, *self.eval_rows)]),
            **{f"reward.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """The rows of this step, in micro-batches that know the update's denominator."""
        rows = [self.rows[i] for i in self.order.batch(step)]
        return Update(
            micro_batches=self._split(rows),
            tokens=sum(row.n_plain_tokens for row in rows),
            metrics={
                "reward/rows": float(len(rows)),
                "reward/truncated_rows": float(sum(row.is_cut for row in rows)),
                "reward/epoch": (step + 1) / self.order.steps_per_epoch,
            },
        )

    def loss(self, micro_batch: AnswerMicroBatch) -> LossPart:
        """This micro-batch's share, by the objective."""
        self.model.train()
        return self.objective.loss(self._scores(micro_batch.rows), micro_batch.rows, micro_batch.normalizer)

    def evaluate(self, step: int) -> dict[str, float]:
        """The objective's figures on the held-out rows."""
        if not self.eval_rows:
            return {}
        self.model.eval()
        parts = self._split(self.eval_rows)
        scores = torch.cat([self._scores(part.rows).double().cpu() for part in parts])
        return self.objective.evaluate(scores, [row for part in parts for row in part.rows])

    def state_dict(self) -> dict[str, Any]:
        """Nothing: all that is learnt are parameters."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def save_model(self, folder: Path) -> None:
        """A folder for transformers' sequence classification, and `beside.json` next to it."""
        self.finish()
        save_reward_model(self.model, folder)
        beside = self.objective.report()
        if beside:
            write_text_atomic(folder.parent / BESIDE_FILE, json.dumps(beside, indent=2) + "\n")

    def finish(self) -> None:
        """Fit the members' centers, where there are several; then normalize the scores."""
        config = self.config
        if config.members > 1:
            with autocast(config.optimization.precision, self.model.device):
                self.model.scoring = Scoring(
                    members=config.members,
                    rule=config.rule,
                    penalty=config.penalty,
                    centers=member_centers(self._scored_pairs()),
                )
        normalize_scores(self.model, self.normalization_demonstrations, self.config.optimization.precision)

    @torch.no_grad()
    def _scored_pairs(self) -> ScoredPairs:
        """Raw scores of every member for both answers of the training rows, in the order of the rows."""
        self.model.eval()
        parts = self._split(self.rows)
        both = torch.cat([self._scores(part.rows).double().cpu() for part in parts])
        rows = [row for part in parts for row in part.rows]
        left, right = both.reshape(len(rows), 2, -1).numpy().swapaxes(0, 1)
        lengths = np.array([[float(len(ids)) for ids in row.answers] for row in rows]).T
        return ScoredPairs(
            chosen=left,
            rejected=right,
            chosen_tokens=lengths[0],
            rejected_tokens=lengths[1],
            p_chosen=np.full(len(rows), 0.5),
            weights=np.array([row.weight for row in rows]),
        )

    def _scores(self, rows: Sequence[AnswerRow]) -> Tensor:
        """Raw scores [read, dimension], row after row."""
        groups = [(row.prompt_ids, list(row.answers)) for row in rows]
        packed = prompt_completion_batch(groups, shares_prefix=not self.cache.n_layers).to(self.model.device)
        keyed = [(row.key, group) for row, group in zip(rows, groups, strict=True)]
        states = self.cache.states(keyed, packed)
        hidden = hidden_states(self.model.body, packed.ragged, from_states=states)
        return self.model.dimension_scores(hidden[read_index(packed, rows)])

    def _split(self, rows: Sequence[AnswerRow]) -> list[AnswerMicroBatch]:
        total = sum(row.weight for row in rows)
        lengths = [row.n_tokens for row in rows]
        plan = plan_micro_batches(lengths, self.config.optimization.micro_batch_tokens)
        return [AnswerMicroBatch([rows[i] for i in members], total) for members in plan]
