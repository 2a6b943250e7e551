"""Direct preference optimization: a policy learns from pairs without a reward model or samples.

One task for the whole family: `loss` names the member, the objectives are in
`objectives.direct`. The prompt runs once for all answers of a group, the trunk that policy and
reference share runs once for both, and a pair's reference log-probs are kept for later epochs.
Leaves out unpaired labels (`kto`) and fresh samples (`online`).
"""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from accord.domain import DataError, Preference, Streams, content_hash
from accord.models.batching import plan_micro_batches
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.logprobs import sequence_sum
from accord.models.ragged import PackedCompletions, TrunkStates, prompt_completion_batch
from accord.training.heldout import HeldOutPairs
from accord.training.loop import optimize
from accord.training.objectives.direct import (
    PairLogprobs,
    PairLoss,
    apo_down,
    apo_zero,
    dpo,
    dpo_per_token,
    expected_losses,
    hinge,
    ipo,
    orpo,
    robust_dpo,
    simpo,
    weighted_mean,
)
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
from accord.training.precision import autocast
from accord.training.reference import Reference, score_completions
from accord.training.reference_cache import cache_for
from accord.training.reports import Observer
from accord.training.settings import check_settings
from accord.training.sft import TrainingResult
from accord.training.task import LossPart, Update

LOGGER = logging.getLogger(__name__)

LossName = Literal[
    "sigmoid", "sigmoid_per_token", "robust", "ipo", "hinge", "simpo", "orpo", "apo_zero", "apo_down"
]
DISPLACED_SHARE, DISPLACED_STEPS = 0.5, 5
"""More than this share of chosen answers less likely than at first, in so many updates on end: an alarm."""
PER_TOKEN = ("sigmoid_per_token", "simpo", "orpo")
WITHOUT_REFERENCE = ("simpo", "orpo")


@dataclass(frozen=True, kw_only=True)
class DpoConfig:
    """How a policy is trained on pairs."""

    loss: LossName = "sigmoid"
    """The member of the family: sigmoid is DPO; soft labels `p_chosen` make it cDPO, pair by pair."""
    beta: float = 0.1
    """How hard the policy is held to the reference; for simpo and orpo the weight of the contrast."""
    flip_share: float = 0.1
    """For `robust`: the share of labels taken to be flipped."""
    target_margin: float = 0.5
    """For `simpo`: by how much chosen should win, in units of beta times log-prob a token."""
    sft_weight: float = 0.0
    """Weight of the chosen answers' negative log-likelihood a token, added to the loss."""
    epochs: float = 1.0
    """Passes over the pairs."""
    batch_size: int = 8
    """Pairs in one update, on average."""
    pairs_per_group: int = 1
    """Up to so many pairs of a prompt stay in one update, each answer run once."""
    max_tokens: int = 1024
    """Longest prompt with one answer; longer ones are cut and counted. Never above the model's context."""
    eval_share: float = 0.1
    """Share of prompts held out when no evaluation pairs are given; 0 holds out nothing."""
    is_shuffled: bool = True
    """A new order in each pass, from the run's streams; False keeps the order given."""
    reference_cache: str | None = None
    """Folder that keeps reference log-probs for later runs on the same rows and reference; None keeps them
    for the later passes of this run only."""
    optimization: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(learning_rate=1e-6, schedule="linear", warmup_steps=10)
    )
    """Optimizer, schedule, precision, evaluation and checkpoints."""

    def __post_init__(self) -> None:
        check_settings(
            "dpo",
            self,
            (
                ("beta", self.beta > 0, "above 0"),
                ("flip_share", 0 <= self.flip_share < 0.5, "0 or more and below 0.5"),
                ("sft_weight", self.sft_weight >= 0, "0 or more"),
                ("epochs", self.epochs > 0, "above 0"),
                ("batch_size", self.batch_size >= 1, "1 or more"),
                ("pairs_per_group", self.pairs_per_group >= 1, "1 or more"),
                ("max_tokens", self.max_tokens >= 2, "2 or more"),
                ("eval_share", 0 <= self.eval_share < 1, "in [0, 1)"),
            ),
        )

    @property
    def has_reference(self) -> bool:
        """Whether the loss reads reference log-probs."""
        return self.loss not in WITHOUT_REFERENCE

    def pair_loss(self) -> PairLoss:
        """The objective with its settings filled in."""
        match self.loss:
            case "robust":
                return partial(robust_dpo, beta=self.beta, flip_share=self.flip_share)
            case "simpo":
                return partial(simpo, beta=self.beta, margin=self.target_margin)
        plain = {
            "sigmoid": dpo,
            "sigmoid_per_token": dpo_per_token,
            "ipo": ipo,
            "hinge": hinge,
            "orpo": orpo,
            "apo_zero": apo_zero,
            "apo_down": apo_down,
        }
        return partial(plain[self.loss], beta=self.beta)


def train_dpo(
    model: LanguageModel,
    preferences: Sequence[Preference],
    config: DpoConfig | None = None,
    *,
    reference: LanguageModel | None = None,
    eval_preferences: Sequence[Preference] | None = None,
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> TrainingResult:
    """Train `model` in place on preferences; `reference` is the model as it comes unless given.

    Without `eval_preferences`, pairs of `eval_share` of the prompts are held out. `run_dir` gets
    metrics, checkpoints and the model; `resume` goes on from there.
    """
    streams = streams or Streams(0)
    task = DpoTask(
        model,
        preferences,
        config or DpoConfig(),
        reference=reference,
        eval_preferences=eval_preferences,
        streams=streams,
    )
    result = optimize(
        task, task.optimization, streams=streams, run_dir=run_dir, observers=observers, resume=resume
    )
    model.network.eval()
    return TrainingResult(
        model=model,
        metrics=result.metrics,
        steps=result.steps,
        truncated_rows=task.truncated_rows,
        warnings=tuple(task.warnings),
    )


@dataclass(frozen=True)
class DpoMicroBatch:
    """Some groups of an update, packed, with what does not depend on the policy."""

    pairs: PairMicroBatch
    packed: PackedCompletions
    trunk: TrunkStates | None
    reference_sums: Tensor
    """[n_completions] Log-probs of whole answers under the reference; zeros where none is read."""


class DpoTask:
    """Pairs for a policy as the loop sees them."""

    name = "dpo"

    def __init__(
        self,
        model: LanguageModel,
        preferences: Sequence[Preference],
        config: DpoConfig,
        *,
        reference: LanguageModel | None = None,
        eval_preferences: Sequence[Preference] | None = None,
        streams: Streams,
    ):
        train, held_out = hold_out(preferences, eval_preferences, config.eval_share, streams)
        self._prepare(
            model,
            tokenize_preferences(model, train, max_tokens=config.max_tokens),
            config,
            reference=reference,
            eval_rows=tokenize_preferences(model, held_out, max_tokens=config.max_tokens),
            streams=streams,
        )

    def _prepare(
        self,
        model: LanguageModel,
        rows: Sequence[PairRow],
        config: DpoConfig,
        *,
        reference: LanguageModel | None,
        eval_rows: Sequence[PairRow],
        streams: Streams,
    ) -> None:
        if not rows:
            raise DataError("no pairs to learn from: none has a weight above 0")
        self.model, self.config, self.streams = model, config, streams
        self.rows, self.eval_rows = list(rows), list(eval_rows)
        self.groups = group_pairs(self.rows, max_pairs=config.pairs_per_group)
        groups_per_update = max(1, round(config.batch_size * len(self.groups) / len(self.rows)))
        self.order = DataOrder(len(self.groups), groups_per_update, streams, config.is_shuffled)
        self.pair_loss = config.pair_loss()
        precision = config.optimization.precision
        self.reference = Reference(model, reference, precision=precision) if config.has_reference else None
        self.cache = cache_for(self.reference, config.reference_cache, config.optimization, model)
        self.warnings: list[str] = []
        self._displaced_steps = 0

    @classmethod
    def of_rows(
        cls,
        model: LanguageModel,
        rows: Sequence[PairRow],
        config: DpoConfig,
        *,
        reference: LanguageModel | None = None,
    ) -> "DpoTask":
        """A task on ids that are given, nothing held out."""
        task = cls.__new__(cls)
        task._prepare(model, rows, config, reference=reference, eval_rows=(), streams=Streams(0))
        return task

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
        """The policy's trainable weights."""
        return self.model.trainable_parameters()

    def identity(self) -> dict[str, str]:
        """Hashes of policy, reference and pairs, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"], settings["reference_cache"]
        facts = [[row.key, row.p_chosen, row.weight] for row in (*self.rows, *self.eval_rows)]
        return {
            "model": self.model.version,
            "reference": self.reference.version if self.reference else "none",
            "data": content_hash(facts),
            **{f"dpo.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """The pairs of this step, packed and scored by the reference."""
        groups = [self.groups[i] for i in self.order.batch(step)]
        rows = [row for group in groups for row in group.rows]
        self.model.network.eval()
        return Update(
            micro_batches=[self._pack(part) for part in self._split(groups)],
            tokens=sum(group.n_plain_tokens for group in groups),
            metrics={
                "dpo/pairs": float(len(rows)),
                "dpo/truncated_rows": float(sum(row.is_cut for row in rows)),
                "dpo/epoch": (step + 1) / self.order.steps_per_epoch,
            },
            on_learned=self._watch,
        )

    def loss(self, micro_batch: DpoMicroBatch) -> LossPart:
        """This micro-batch's share of the weighted mean; dropout is off, as for the reference."""
        self.model.network.eval()
        pairs, part = self._logprobs(micro_batch), micro_batch.pairs
        device = pairs.chosen.device
        weights, p_chosen = part.column("weight", device), part.column("p_chosen", device)
        losses = expected_losses(self.pair_loss, pairs, p_chosen)
        if self.config.sft_weight:
            losses = losses - self.config.sft_weight * pairs.chosen / pairs.chosen_tokens
        loss = weighted_mean(losses, weights, normalizer=part.normalizer)
        shares = weights / part.normalizer
        chosen, rejected = self._implicit_rewards(pairs)
        agreement = ((chosen - rejected).sign() * (p_chosen - 0.5).sign() + 1) / 2
        return LossPart(
            loss,
            {
                "dpo/accuracy": (shares * agreement).sum(),
                "dpo/margin": (shares * (chosen - rejected)).sum(),
                "dpo/chosen_reward": (shares * chosen).sum(),
                "dpo/rejected_reward": (shares * rejected).sum(),
                "dpo/chosen_logprob": (shares * pairs.chosen.detach()).sum(),
                **self._displacement(pairs, p_chosen, shares),
            },
        )

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Accuracy, likelihood and calibration of the implicit rewards on the held-out pairs."""
        if not self.eval_rows:
            return {}
        self.model.network.eval()
        parts = [self._pack(part) for part in self._split(group_pairs(self.eval_rows, max_pairs=1))]
        sides = [torch.stack(self._implicit_rewards(self._logprobs(part))).double().cpu() for part in parts]
        rewards = torch.cat(sides, dim=1).numpy()
        rows = [row for part in parts for row in part.pairs.rows]
        held_out = HeldOutPairs(
            chosen_rewards=rewards[0],
            rejected_rewards=rewards[1],
            p_chosen=np.array([row.p_chosen for row in rows]),
            weights=np.array([row.weight for row in rows]),
            chosen_tokens=np.array([float(len(row.chosen_ids)) for row in rows]),
            rejected_tokens=np.array([float(len(row.rejected_ids)) for row in rows]),
        )
        return {name.replace("reward/", "dpo/"): value for name, value in held_out.metrics().items()}

    def state_dict(self) -> dict[str, Any]:
        """The reference's log-probs, whose last bits depend on their neighbors, and what was warned of."""
        return {
            **self.cache.state(),
            "warnings": list(self.warnings),
            "displaced_steps": self._displaced_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was called."""
        self.cache.take_up(state)
        self.warnings = list(state["warnings"])
        self._displaced_steps = int(state["displaced_steps"])

    def save_model(self, folder: Path) -> None:
        """A plain Hugging Face folder."""
        save_model(self.model, folder)

    def _split(self, groups: Sequence[PairGroup]) -> list[PairMicroBatch]:
        total = sum(row.weight for group in groups for row in group.rows)
        plan = plan_micro_batches(
            [group.n_tokens for group in groups], self.config.optimization.micro_batch_tokens
        )
        return [PairMicroBatch([groups[i] for i in members], total) for members in plan]

    @torch.no_grad()
    def _pack(self, part: PairMicroBatch) -> DpoMicroBatch:
        packed = prompt_completion_batch([group.ids for group in part.groups]).to(self.model.device)
        none = torch.zeros(packed.n_completions, device=self.model.device)
        if self.reference is None:
            return DpoMicroBatch(part, packed, None, none)
        keys = [group.key for group in part.groups]
        with autocast(self.config.optimization.precision, self.model.device):
            trunk = self.reference.trunk(packed)
            known = self.cache.get(keys)
            if known is not None:
                values = torch.tensor([value for sums in known for value in sums], dtype=none.dtype)
                return DpoMicroBatch(part, packed, trunk, values.to(none.device))
            logprobs = self.reference.logprobs(packed, trunk=trunk, temperature=1.0)
        sums = sequence_sum(logprobs, packed.sequence_index, packed.n_completions)
        kept = sums.split([len(group.answers) for group in part.groups])
        self.cache.add((key, each.tolist()) for key, each in zip(keys, kept, strict=True))
        return DpoMicroBatch(part, packed, trunk, sums)

    def _logprobs(self, micro_batch: DpoMicroBatch) -> PairLogprobs:
        packed = micro_batch.packed
        tokens = score_completions(self.model, packed, trunk=micro_batch.trunk)
        sums = sequence_sum(tokens.logprobs, packed.sequence_index, packed.n_completions)
        lengths = torch.tensor(packed.completion_lengths, dtype=sums.dtype, device=sums.device)
        sides = [micro_batch.pairs.sides(values) for values in (sums, micro_batch.reference_sums, lengths)]
        return PairLogprobs(*sides[0], *sides[1], *sides[2])

    def _displacement(self, pairs: PairLogprobs, p_chosen: Tensor, shares: Tensor) -> dict[str, Tensor]:
        """How far the more probable winners lost log-prob against the reference, and how many lost some."""
        if self.reference is None:
            return {}
        ratio = torch.where(p_chosen >= 0.5, pairs.chosen_ratio, pairs.rejected_ratio).detach()
        return {
            "dpo/displaced": (shares * (ratio < 0)).sum(),
            "dpo/displacement": -(shares * ratio.clamp_max(0.0)).sum(),
        }

    def _watch(self, metrics: Mapping[str, float]) -> None:
        """Warn once when chosen answers have kept losing probability (Razin et al. 2024, 2410.08847)."""
        share = metrics.get("dpo/displaced", 0.0)
        self._displaced_steps = self._displaced_steps + 1 if share > DISPLACED_SHARE else 0
        if self._displaced_steps == DISPLACED_STEPS and not self.warnings:
            message = (
                f"{share:.0%} of the chosen answers are less likely than at the start, and more than "
                f"{DISPLACED_SHARE:.0%} in each of {DISPLACED_STEPS} updates (dpo/displacement "
                f"{metrics['dpo/displacement']:.2f} nats): their probability goes to answers in no pair. "
                f"Raise beta, add dpo.sft_weight, take loss apo_zero, or leave nearly equal pairs out"
            )
            self.warnings.append(message)
            LOGGER.warning(message)

    def _implicit_rewards(self, pairs: PairLogprobs) -> tuple[Tensor, Tensor]:
        """beta times the log ratio of each side, or without a reference log pi; per token as the loss is."""
        chosen, rejected = (pairs.chosen_ratio, pairs.rejected_ratio)
        if self.config.loss in PER_TOKEN:
            chosen, rejected = chosen / pairs.chosen_tokens, rejected / pairs.rejected_tokens
        return self.config.beta * chosen.detach(), self.config.beta * rejected.detach()
