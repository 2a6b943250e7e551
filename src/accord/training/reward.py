"""Training a reward model on preferences, with soft labels and an honest look at held-out pairs."""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from accord.domain import DataError, Demonstration, Preference, Streams, TrainingError
from accord.models.batching import plan_micro_batches
from accord.models.language_model import LanguageModel
from accord.models.ragged import hidden_states, prompt_completion_batch
from accord.models.reward import RewardModel, reward_model_from, save_reward_model
from accord.models.scoring import RULES, Rule, Scoring
from accord.training.bootstrap import prompt_counts
from accord.training.group_weights import GroupWeights, GroupWeightsConfig
from accord.training.habits import JudgmentsObjective
from accord.training.heldout import HeldOutPairs, rise_in_standard_errors
from accord.training.loop import optimize
from accord.training.objectives.preference import preference_loss
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.pairs import (
    PairGroup,
    PairMicroBatch,
    PairRow,
    group_pairs,
    hold_out,
    tokenize_preferences,
)
from accord.training.parallel import Ranks
from accord.training.precision import Precision, autocast
from accord.training.rankings import RankingsObjective
from accord.training.ratings import RatingsObjective
from accord.training.reports import Observer
from accord.training.score_fitting import (
    ScoredPairs,
    disagreement,
    fit_temperature,
    length_slope,
    member_centers,
)
from accord.training.settings import check_settings
from accord.training.stepwise import StepsObjective
from accord.training.task import LossPart, Update
from accord.training.trunk_cache import TrunkCache

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PairsObjective:
    """Learn from pairs by Bradley-Terry: files of preferences, judgments or rankings."""

    type: Literal["pairs"] = "pairs"
    """Picks this objective."""


Objective = PairsObjective | RankingsObjective | RatingsObjective | StepsObjective | JudgmentsObjective


@dataclass(frozen=True, kw_only=True)
class RewardTrainingConfig:
    """How a reward model is trained."""

    objective: Objective = field(default_factory=PairsObjective)
    """What it learns from: pairs, rankings, ratings, steps or judgments, chosen by `type`."""
    epochs: float = 1.0
    """Passes over the pairs. In a second one reward models over-fit (Ouyang et al. 2022)."""
    batch_size: int = 8
    """Pairs in one update, on average; of other objectives records, exactly."""
    pairs_per_group: int = 1
    """Up to so many pairs of a prompt stay in one update, each answer run once (Ouyang et al. 2022, 3.4)."""
    max_tokens: int = 1024
    """Longest prompt with one answer; longer ones are cut and counted. Never above the model's context."""
    trainable_layers: int | None = None
    """Train the top layers only (0: the head alone). None: all, or the adapter where there is one."""
    head_std: float | None = None
    """Spread of the head's first weights; 0 starts every score at 0. None: 1 / sqrt(D + 1), which sets
    untrained scores of spread 1 apart by chance. Neither learnt measurably better on some hundred pairs."""
    centering: float = 0.0
    """Weight of (chosen + rejected)^2 in the loss; 0.01 keeps rewards near 0 without hurting accuracy."""
    has_margins: bool = True
    """Use the margins of the preferences, where they have one."""
    eval_share: float = 0.1
    """Share of prompts held out when no evaluation pairs are given; 0 holds out nothing."""
    is_shuffled: bool = True
    """A new order in each pass, from the run's streams; False keeps the order given."""
    trunk_cache_gb: float = 1.0
    """Memory for states of frozen lower layers, reused in later epochs and evaluations; 0 turns it off."""
    members: int = 1
    """Heads on the shared trunk, trained in one pass, each on its own bootstrap of prompts; of pairs and
    judgments."""
    rule: Rule = "mean"
    """How members make one score: mean, worst_case (the lowest), variance_penalty (mean less variance)."""
    penalty: float = 1.0
    """Weight of the variance over members for the rule variance_penalty."""
    is_calibrated: bool = False
    """Fit a temperature on the held-out pairs and store it with the model: score differences as log-odds."""
    is_length_debiased: bool = False
    """Take out of the score what a token brings between answers to one prompt over what labels explain."""
    group_weights: GroupWeightsConfig = field(default_factory=GroupWeightsConfig)
    """How groups of annotators count; for pairs."""
    optimization: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(learning_rate=1e-5, schedule="linear", warmup_steps=5)
    )
    """Optimizer, schedule, precision, evaluation and checkpoints."""

    def __post_init__(self) -> None:
        check_settings(
            "reward",
            self,
            (
                ("epochs", self.epochs > 0, "above 0"),
                ("batch_size", self.batch_size >= 1, "1 or more"),
                ("pairs_per_group", self.pairs_per_group >= 1, "1 or more"),
                ("max_tokens", self.max_tokens >= 2, "2 or more"),
                ("head_std", self.head_std is None or 0 <= self.head_std < math.inf, "0 or more, or none"),
                ("centering", self.centering >= 0, "0 or more"),
                ("eval_share", 0 <= self.eval_share < 1, "in [0, 1)"),
                ("trunk_cache_gb", self.trunk_cache_gb >= 0, "0 or more"),
                ("members", self.members >= 1, "1 or more"),
                ("rule", self.rule in RULES, " or ".join(RULES)),
                ("penalty", 0 <= self.penalty < math.inf, "0 or more"),
                *self._only_for_pairs(),
            ),
        )

    def _only_for_pairs(self) -> tuple[tuple[str, bool, str], ...]:
        if isinstance(self.objective, PairsObjective):
            return ()
        name = f"left as it is for objective '{self.objective.type}'"
        return (
            ("members", self.members == 1 or isinstance(self.objective, JudgmentsObjective), name),
            ("is_calibrated", not self.is_calibrated, name),
            ("is_length_debiased", not self.is_length_debiased, name),
            ("group_weights", self.group_weights.mode == "none", name),
        )


@dataclass(frozen=True, kw_only=True)
class RewardTrainingResult:
    """A trained reward model."""

    reward_model: RewardModel
    metrics: Mapping[str, float]
    """The last value of every metric; the held-out ones begin with `reward/eval_`."""
    steps: int
    truncated_rows: int
    """Training pairs of which prompt or answers were cut to `max_tokens`."""
    warnings: tuple[str, ...]
    """What the user should look at, such as a held-out likelihood that got worse."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What was learnt beside the model and is not part of it, such as annotators' habits."""


def train_reward_model(
    model: LanguageModel | RewardModel,
    preferences: Sequence[Preference],
    config: RewardTrainingConfig | None = None,
    *,
    eval_preferences: Sequence[Preference] | None = None,
    normalization_demonstrations: Sequence[Demonstration] = (),
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> RewardTrainingResult:
    """Train a reward model on preferences; a language model is copied first and stays as it is.

    Without `eval_preferences`, pairs of `eval_share` of the prompts are held out. With
    `normalization_demonstrations` the finished scores are shifted to mean 0 on them.
    `run_dir` gets metrics, checkpoints and the model; `resume` goes on from there.
    """
    settings = config if config is not None else RewardTrainingConfig()
    if not isinstance(settings.objective, PairsObjective):
        raise TrainingError(f"objective '{settings.objective.type}' is trained by train_reward_on")
    streams = streams or Streams(0)
    if isinstance(model, LanguageModel):
        seed = streams.child("head").value
        model = reward_model_from(
            model,
            head_std=settings.head_std,
            seed=seed,
            trainable_layers=settings.trainable_layers,
            members=settings.members,
        )
    elif model.scoring.members != settings.members:
        raise TrainingError(
            f"the model has {model.scoring.members} members and reward.members is {settings.members}; "
            "they must be as many"
        )
    task = RewardTask(
        model,
        preferences,
        settings,
        eval_preferences=eval_preferences,
        normalization_demonstrations=normalization_demonstrations,
        streams=streams,
    )
    result = optimize(
        task, task.optimization, streams=streams, run_dir=run_dir, observers=observers, resume=resume
    )
    if run_dir is None:
        task.finish()
    return RewardTrainingResult(
        reward_model=model.eval(),
        metrics=result.metrics,
        steps=result.steps,
        truncated_rows=task.truncated_rows,
        warnings=tuple(task.warnings),
    )


class RewardTask:
    """Preferences as the loop sees them."""

    name = "reward"

    def __init__(
        self,
        model: RewardModel,
        preferences: Sequence[Preference],
        config: RewardTrainingConfig,
        *,
        eval_preferences: Sequence[Preference] | None = None,
        normalization_demonstrations: Sequence[Demonstration] = (),
        streams: Streams,
    ):
        self.model = model
        self.config = config
        self.streams = streams
        self.warnings: list[str] = []
        train, held_out = hold_out(preferences, eval_preferences, config.eval_share, streams)
        key = "" if config.group_weights.mode == "none" else config.group_weights.key
        rows = tokenize_preferences(model, train, max_tokens=config.max_tokens, group_key=key)
        self.rows = _drawn(rows, config.members, streams)
        self.eval_rows = tokenize_preferences(model, held_out, max_tokens=config.max_tokens)
        if not self.rows:
            raise DataError(
                f"no pairs to learn from: {len(train)} training pairs, none with a weight above 0"
            )
        if config.group_weights.mode == "worst" and Ranks.current().world > 1:
            raise TrainingError("group_weights.mode 'worst' runs in one process: ranks see unlike losses")
        self.group_weights = GroupWeights(
            config.group_weights, [row.group for row in self.rows], [row.weight for row in self.rows]
        )
        self.normalization_demonstrations = normalization_demonstrations
        self.groups = group_pairs(self.rows, max_pairs=config.pairs_per_group)
        groups_per_update = max(1, round(config.batch_size * len(self.groups) / len(self.rows)))
        self.order = DataOrder(len(self.groups), groups_per_update, streams, config.is_shuffled)
        self.cache = TrunkCache(model, config.trunk_cache_gb)
        self._best_step = 0
        self._best_nll: np.ndarray | None = None

    @property
    def optimization(self) -> OptimizationConfig:
        """The optimization settings with the number of steps filled in."""
        steps = self.config.optimization.steps or self.order.steps_for(self.config.epochs)
        return dataclasses.replace(self.config.optimization, steps=steps)

    @property
    def truncated_rows(self) -> int:
        """Training pairs that were cut."""
        return sum(row.is_cut for row in self.rows)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The head and the body's trainable weights."""
        return self.model.trainable_parameters()

    def identity(self) -> dict[str, str]:
        """Hashes of weights and pairs, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"]
        facts = [
            [row.key, row.p_chosen, row.weight, row.margin, *([row.group] if row.group else [])]
            for row in (*self.rows, *self.eval_rows)
        ]
        return {
            "model": weights_hash(self.model),
            "data": hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16],
            **{f"reward.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """The pairs of this step, in micro-batches that know the update's total weight."""
        self.group_weights.move()
        groups = [self.groups[i] for i in self.order.batch(step)]
        rows = [row for group in groups for row in group.rows]
        return Update(
            micro_batches=self._split(groups),
            tokens=sum(group.n_plain_tokens for group in groups),
            metrics={
                "reward/pairs": float(len(rows)),
                "reward/truncated_rows": float(sum(row.is_cut for row in rows)),
                "reward/epoch": (step + 1) / self.order.steps_per_epoch,
            },
        )

    def loss(self, micro_batch: PairMicroBatch) -> LossPart:
        """This micro-batch's share of the weighted mean over the update's pairs."""
        self.model.train()
        if self.model.scoring.is_ensemble or self.config.group_weights.mode != "none":
            return self._loss_of_members(micro_batch)
        chosen, rejected = self._rewards(micro_batch)
        weights = micro_batch.column("weight", chosen.device)
        p_chosen = micro_batch.column("p_chosen", chosen.device)
        loss = preference_loss(
            chosen,
            rejected,
            weights=weights,
            p_chosen=p_chosen,
            margins=micro_batch.column("margin", chosen.device) if self.config.has_margins else None,
            centering=self.config.centering,
            normalizer=micro_batch.normalizer,
        )
        shares = weights / micro_batch.normalizer
        difference = (chosen - rejected).detach()
        agreement = (difference.sign() * (p_chosen - 0.5).sign() + 1) / 2
        return LossPart(
            loss,
            {
                "reward/accuracy": (shares * agreement).sum(),
                "reward/margin": (shares * difference).sum(),
                "reward/pair_mean": (shares * (chosen + rejected).detach() / 2).sum(),
            },
        )

    def _loss_of_members(self, micro_batch: PairMicroBatch) -> LossPart:
        """The same for each member on its bootstrap, mean over members, pairs weighed by their group.

        All members share the update's total weight, which their counts keep on average: a member that drew
        none of an update's prompts learns nothing from it.
        """
        chosen, rejected = self._member_rewards(micro_batch)
        device, n_members = chosen.device, chosen.shape[1]
        factors = torch.tensor(
            [self.group_weights.factor(row.group) for row in micro_batch.rows], device=device
        )
        weights = micro_batch.column("weight", device) * factors
        counts = torch.tensor([row.counts for row in micro_batch.rows], device=device)
        p_chosen = micro_batch.column("p_chosen", device)
        margins = (
            micro_batch.column("margin", device) if self.config.has_margins else torch.zeros_like(weights)
        )
        pairs, total = (
            [one.T.flatten() for one in (chosen, rejected)],
            (weights[:, None] * counts).T.flatten(),
        )
        loss = preference_loss(
            pairs[0],
            pairs[1],
            weights=total,
            p_chosen=p_chosen.repeat(n_members),
            margins=margins.repeat(n_members),
            centering=self.config.centering,
            normalizer=micro_batch.normalizer * n_members,
        )
        difference = (chosen - rejected).detach().mean(1)
        won = p_chosen * softplus(-difference) + (1 - p_chosen) * softplus(difference)
        for row, value in zip(micro_batch.rows, won.tolist(), strict=True):
            self.group_weights.note(row.group, value, row.weight)
        shares = micro_batch.column("weight", device) / micro_batch.normalizer
        agreement = (difference.sign() * (p_chosen - 0.5).sign() + 1) / 2
        return LossPart(
            loss,
            {
                "reward/accuracy": (shares * agreement).sum(),
                "reward/margin": (shares * difference).sum(),
                "reward/pair_mean": (shares * (chosen + rejected).detach().mean(1) / 2).sum(),
            },
        )

    def evaluate(self, step: int) -> dict[str, float]:
        """Accuracy, likelihood and calibration on the held-out pairs; warns when the likelihood falls."""
        if not self.eval_rows:
            return {}
        pairs = self.score(self.eval_rows)
        self._watch(step, pairs)
        return {**pairs.metrics(), **self._disagreement()}

    def score(self, rows: Sequence[PairRow]) -> HeldOutPairs:
        """Raw rewards of both sides of `rows`, with their labels."""
        self.model.eval()
        parts = self._split(group_pairs(rows, max_pairs=self.config.pairs_per_group))
        rewards = [torch.stack(self._rewards(part), dim=1).double().cpu() for part in parts]
        sides = torch.cat(rewards).numpy()
        in_order = [row for part in parts for row in part.rows]
        return HeldOutPairs(
            chosen_rewards=sides[:, 0],
            rejected_rewards=sides[:, 1],
            p_chosen=np.array([row.p_chosen for row in in_order]),
            weights=np.array([row.weight for row in in_order]),
            chosen_tokens=np.array([float(len(row.chosen_ids)) for row in in_order]),
            rejected_tokens=np.array([float(len(row.rejected_ids)) for row in in_order]),
        )

    @torch.no_grad()
    def scored(self, rows: Sequence[PairRow]) -> ScoredPairs:
        """Raw scores of every output for both sides of `rows`."""
        self.model.eval()
        parts = self._split(group_pairs(rows, max_pairs=self.config.pairs_per_group))
        sides = [self._member_rewards(part) for part in parts]
        in_order = [row for part in parts for row in part.rows]
        return ScoredPairs(
            chosen=torch.cat([chosen for chosen, _ in sides]).double().cpu().numpy(),
            rejected=torch.cat([rejected for _, rejected in sides]).double().cpu().numpy(),
            chosen_tokens=np.array([float(len(row.chosen_ids)) for row in in_order]),
            rejected_tokens=np.array([float(len(row.rejected_ids)) for row in in_order]),
            p_chosen=np.array([row.p_chosen for row in in_order]),
            weights=np.array([row.weight for row in in_order]),
        )

    def _disagreement(self) -> dict[str, float]:
        if not self.model.scoring.is_ensemble:
            return {}
        pairs = self.scored(self.eval_rows)
        return {"reward/eval_disagreement": disagreement(pairs.chosen, pairs.rejected, pairs.weights)}

    def _combined(self, scoring: Scoring, outputs: np.ndarray) -> np.ndarray:
        """[pair] Raw scores of outputs [pair, output]: by the rule, or the mix of dimensions."""
        if scoring.is_ensemble:
            return scoring.combine(torch.from_numpy(outputs)).numpy()
        return outputs @ self.model.mix.double().cpu().numpy()

    def _fitted(self) -> Scoring:
        config, train = self.config, self.scored(self.rows)
        scoring = Scoring(
            members=config.members,
            rule=config.rule,
            penalty=config.penalty,
            centers=member_centers(train) if config.members > 1 else (),
        )
        if config.is_length_debiased:
            chosen, rejected = (self._combined(scoring, side) for side in (train.chosen, train.rejected))
            tokens = np.concatenate([train.chosen_tokens, train.rejected_tokens])
            scoring = dataclasses.replace(
                scoring,
                length_slope=length_slope(chosen, rejected, train),
                length_center=float(np.average(tokens, weights=np.tile(train.weights, 2))),
            )
        if config.is_calibrated:
            held = self.scored(self.eval_rows) if self.eval_rows else None
            if held is None:
                raise TrainingError(
                    "reward.is_calibrated needs held-out pairs; set reward.eval_share above 0"
                )
            gain = self._combined(scoring, held.chosen) - self._combined(scoring, held.rejected)
            gain = gain - scoring.length_slope * (held.chosen_tokens - held.rejected_tokens)
            temperature = fit_temperature(gain, held.p_chosen, held.weights)
            scoring = dataclasses.replace(scoring, temperature=temperature)
        return scoring

    def state_dict(self) -> dict[str, Any]:
        """The best held-out likelihood so far, and the warnings given."""
        best = torch.zeros(0) if self._best_nll is None else torch.from_numpy(self._best_nll)
        state = {"best_step": self._best_step, "best_nll": best, "warnings": list(self.warnings)}
        return {**state, "group_weights": self.group_weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was called."""
        self._best_step = state["best_step"]
        self._best_nll = state["best_nll"].numpy() if len(state["best_nll"]) else None
        self.warnings = list(state["warnings"])
        self.group_weights.load_state_dict(state.get("group_weights", {}))

    def save_model(self, folder: Path) -> None:
        """A folder for transformers' sequence classification, scores normalized first."""
        self.finish()
        save_reward_model(self.model, folder)

    def finish(self) -> None:
        """Fit what goes beside the weights (centers, length, temperature), then normalize."""
        config = self.config
        if config.members > 1 or config.is_length_debiased or config.is_calibrated:
            with autocast(config.optimization.precision, self.model.device):
                self.model.scoring = self._fitted()
        normalize_scores(self.model, self.normalization_demonstrations, config.optimization.precision)

    def _rewards(self, micro_batch: PairMicroBatch) -> tuple[Tensor, Tensor]:
        """Raw rewards [pair] of the chosen and of the rejected answers."""
        groups = [group.ids for group in micro_batch.groups]
        # States of a group are kept for other batches, with other neighbors.
        batch = prompt_completion_batch(groups, shares_prefix=not self.cache.n_layers)
        states = self.cache.states([(group.key, group.ids) for group in micro_batch.groups], batch)
        scores = self.model.scores(batch.to(self.model.device), raw=True, from_states=states)
        return micro_batch.sides(scores)

    def _member_rewards(self, micro_batch: PairMicroBatch) -> tuple[Tensor, Tensor]:
        """Raw rewards [pair, output] of the chosen and of the rejected answers, one for each output."""
        groups = [group.ids for group in micro_batch.groups]
        batch = prompt_completion_batch(groups, shares_prefix=not self.cache.n_layers)
        states = self.cache.states([(group.key, group.ids) for group in micro_batch.groups], batch)
        packed = batch.to(self.model.device)
        hidden = hidden_states(self.model.body, packed.ragged, from_states=states)
        return micro_batch.sides(self.model.dimension_scores(hidden[packed.last_index]))

    def _split(self, groups: Sequence[PairGroup]) -> list[PairMicroBatch]:
        total = sum(row.weight for group in groups for row in group.rows)
        lengths = [group.n_tokens for group in groups]
        plan = plan_micro_batches(lengths, self.config.optimization.micro_batch_tokens)
        return [PairMicroBatch([groups[i] for i in members], total) for members in plan]

    def _watch(self, step: int, pairs: HeldOutPairs) -> None:
        nll = pairs.nll
        if self._best_nll is None or pairs.mean(nll) <= pairs.mean(self._best_nll):
            self._best_nll, self._best_step = nll, step
            return
        if rise_in_standard_errors(nll, self._best_nll) > 1.0:
            self._warn(
                f"the held-out negative log-likelihood rises: {pairs.mean(nll):.4f} after step {step}, "
                f"{pairs.mean(self._best_nll):.4f} after step {self._best_step} ({len(nll)} pairs). It "
                f"begins to over-fit: train fewer epochs, fewer layers or at a lower rate."
            )

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        LOGGER.warning(message)


def normalize_scores(
    model: RewardModel, demonstrations: Sequence[Demonstration], precision: Precision
) -> None:
    """Shift scores to mean 0 on the demonstrations, if there are any."""
    if not demonstrations:
        return
    model.eval()
    model.offset.fill_(0.0)
    model.scale.fill_(1.0)
    with autocast(precision, model.device):
        raw = model.score_texts(
            [item.prompt for item in demonstrations], [item.completion for item in demonstrations]
        )
    model.set_normalization(torch.tensor(raw))


def _drawn(rows: Sequence[PairRow], members: int, streams: Streams) -> list[PairRow]:
    """Rows with the counts of each member's bootstrap of prompts."""
    if members == 1:
        return list(rows)
    counts = prompt_counts([tuple(row.prompt_ids) for row in rows], members, streams)
    return [dataclasses.replace(row, counts=count) for row, count in zip(rows, counts, strict=True)]


def weights_hash(model: nn.Module) -> str:
    """Hash of every weight and buffer that is saved."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
