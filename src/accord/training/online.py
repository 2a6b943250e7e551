"""Learning from rewards on the policy's own samples: one task for all online algorithms.

Each step samples groups, scores them, takes the KL from the reference off the reward, turns
totals into advantages and makes one update. Sampler, reward, advantage and loss are arguments;
`rloo` is the first choice of them. The update's policy log-probs are computed once, in the
training forward itself: every group is whole in its micro-batch, so KL, advantages and loss
need no other pass. Leaves out critics and several updates per batch.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from accord.domain import Completion, DataError, Prompt, Streams, TrainingError, content_hash
from accord.models.batching import plan_micro_batches
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.ragged import PackedCompletions, TrunkStates, prompt_completion_batch
from accord.rollouts.native import NativeSampler
from accord.rollouts.reward_loading import RewardLike, as_reward
from accord.rollouts.rewards import Reward
from accord.rollouts.sampler import Sampler, check_request
from accord.training.kl_budget import KlBudget
from accord.training.loop import optimize
from accord.training.objectives.advantages import whiten
from accord.training.objectives.kl import k3, sequence_kl
from accord.training.objectives.policy import Normalizers, PolicyLoss
from accord.training.online_config import OnlineConfig
from accord.training.order import DataOrder
from accord.training.precision import autocast
from accord.training.reference import Reference, score_completions
from accord.training.reports import Observer
from accord.training.rollout import RewardShaping, Rollout, roll_out
from accord.training.task import LossPart, Update

MAX_LOGPROB_GAP = 0.5
"""Nats a token by which sampler and learner may differ on average; more means other weights, not rounding."""

Advantage = Callable[[Tensor], Tensor]
"""[group, sample] total rewards to [group, sample] advantages."""


class PolicyObjective(Protocol):
    """A loss of `objectives.policy` with its own settings filled in."""

    def __call__(
        self,
        logprobs: Tensor,
        old_logprobs: Tensor,
        advantages: Tensor,
        sequence_index: Tensor,
        *,
        normalizers: Normalizers,
    ) -> PolicyLoss:
        """logprobs and old_logprobs [token], advantages [sequence], sequence_index [token]."""
        ...


@dataclass(frozen=True, kw_only=True)
class OnlineResult:
    """A policy after optimization."""

    model: LanguageModel
    """The model that was handed in: training changes it in place."""
    metrics: Mapping[str, float]
    """The last value of every metric."""
    steps: int
    stopped_reason: str
    """finished, or why the run ended sooner (KL budget)."""


def train_online(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: OnlineConfig | None = None,
    *,
    advantage: Advantage,
    objective: PolicyObjective,
    algorithm: str = "online",
    sampler: Sampler | None = None,
    reference: LanguageModel | None = None,
    eval_prompts: Sequence[Prompt] = (),
    run_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    resume: bool = False,
    streams: Streams | None = None,
) -> OnlineResult:
    """Optimize `model` in place on its own samples of `prompts`, scored by `reward`.

    `reward` is a Reward, a function of (prompts, completions), a reward model, or what
    `load_reward` takes. `sampler` defaults to the native one on `model`; `reference` to the model
    as it comes. `resume` goes on from the newest checkpoint in `run_dir`, given the model, prompts
    and config the run was started with. Each evaluation samples `eval_prompts`.
    """
    settings = config if config is not None else OnlineConfig()
    task = OnlineTask(
        model,
        prompts,
        as_reward(reward),
        settings,
        sampler=sampler or NativeSampler(model, precision=settings.optimization.precision),
        advantage=advantage,
        objective=objective,
        reference=reference,
        eval_prompts=eval_prompts,
        streams=streams or Streams(0),
        algorithm=algorithm,
    )
    result = optimize(
        task,
        settings.optimization,
        streams=task.streams,
        run_dir=run_dir,
        observers=observers,
        resume=resume,
    )
    model.network.eval()
    return OnlineResult(
        model=model, metrics=result.metrics, steps=result.steps, stopped_reason=result.stopped_reason
    )


@dataclass(frozen=True, kw_only=True)
class OnlineMicroBatch:
    """Some whole groups of an update, with everything about them that does not depend on the policy."""

    packed: PackedCompletions
    trunk: TrunkStates | None
    rewards: Tensor
    """[group, sample] after shaping, before KL."""
    reference_logprobs: Tensor
    """[n]"""
    sampler_logprobs: Tensor | None
    """[n] as drawn; None when the sampler keeps none."""
    advantages: Tensor | None
    """[completion] when they were made beforehand (whitening), else made from the update's own forward."""
    normalizers: Normalizers
    has_entropy: bool


class OnlineTask:
    """Policy optimization as the loop sees it."""

    name = "policy"

    def __init__(
        self,
        model: LanguageModel,
        prompts: Sequence[Prompt],
        reward: Reward,
        config: OnlineConfig,
        *,
        sampler: Sampler,
        advantage: Advantage,
        objective: PolicyObjective,
        reference: LanguageModel | None = None,
        eval_prompts: Sequence[Prompt] = (),
        streams: Streams,
        algorithm: str = "online",
    ):
        if not prompts:
            raise DataError("no prompts to sample from, got an empty list")
        self.model, self.reward, self.config, self.streams = model, reward, config, streams
        self.sampler, self.advantage, self.objective = sampler, advantage, objective
        self.algorithm = algorithm
        self.prompts = self._tokenize(prompts)
        self.eval_prompts = self._tokenize(eval_prompts)
        self.reference = Reference(model, reference)
        self.order = DataOrder(len(prompts), config.prompts_per_step, streams)
        self.budget = KlBudget(config.max_kl)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The policy's trainable weights."""
        return self.model.trainable_parameters()

    def identity(self) -> dict[str, str]:
        """Hashes of policy, reference and prompts, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"]
        return {
            "model": self.model.version,
            "reference": self.reference.version,
            "data": content_hash([prompt.id for prompt, _ in self.prompts]),
            "policy.algorithm": self.algorithm,
            **{f"policy.{key}": json.dumps(value) for key, value in settings.items()},
        }

    def next_update(self, step: int) -> Update:
        """Sample, score, and pack; ends the run when the step before was over the KL budget."""
        self.budget.check()
        rollout = self._roll_out([self.prompts[i] for i in self.order.batch(step)], step)
        started = time.perf_counter()
        micro_batches = self._pack(rollout, step)
        if self.config.whiten_advantages:
            micro_batches = self._with_whitened_advantages(micro_batches)
        self.budget.open(len(micro_batches))
        return Update(
            micro_batches=micro_batches,
            tokens=sum(part.packed.n_plain_tokens for part in micro_batches),
            metrics={
                **rollout.metrics(),
                "time/reference_s": time.perf_counter() - started,
                "policy/epoch": (step + 1) / self.order.steps_per_epoch,
            },
        )

    def loss(self, micro_batch: OnlineMicroBatch) -> LossPart:
        """The share of some groups; dropout is off, so that policy, reference and sampler agree."""
        self.model.network.eval()
        packed = micro_batch.packed
        tokens = score_completions(
            self.model,
            packed,
            trunk=micro_batch.trunk,
            temperature=self.config.sampling.temperature,
            with_entropy=micro_batch.has_entropy,
        )
        own = tokens.logprobs.detach()
        advantages = micro_batch.advantages
        if advantages is None:
            advantages = self.advantage(self._totals(micro_batch, own)).flatten()
        old = own if self.config.old_logprobs == "learner" else micro_batch.sampler_logprobs
        assert old is not None
        result = self.objective(
            tokens.logprobs, old, advantages, packed.sequence_index, normalizers=micro_batch.normalizers
        )
        metrics = self._metrics(micro_batch, own, advantages, result)
        if tokens.entropy is not None:
            metrics["entropy"] = tokens.entropy.sum() / micro_batch.normalizers.tokens
        self.budget.add(float(metrics["kl/k1"]))
        return LossPart(result.loss, metrics)

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Reward, KL and length of one sample for each held-out prompt, by the same numbers each time."""
        if not self.eval_prompts:
            return {}
        self.model.network.eval()
        rollout = roll_out(
            [prompt for prompt, _ in self.eval_prompts],
            [ids for _, ids in self.eval_prompts],
            sampler=self.sampler,
            reward=self.reward,
            group_size=1,
            sampling=self.config.sampling,
            shaping=self._shaping(),
            streams=self.streams.child("evaluation"),
        )
        divergence = sum(
            float((self._own_logprobs(part) - part.reference_logprobs).sum())
            for part in self._pack(rollout, step)
        )
        known = rollout.metrics()
        return {
            "policy/eval_reward": known["reward/mean"],
            "policy/eval_kl": divergence / len(self.eval_prompts),
            "policy/eval_length": known["length/mean"],
            "policy/eval_eos": known["eos/share"],
        }

    def state_dict(self) -> dict[str, Any]:
        """The KL that the budget is held against; prompts and draws of a step follow from its number."""
        return {"kl": self.budget.measured}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the measured KL."""
        self.budget = KlBudget(self.config.max_kl, measured=float(state["kl"]))

    def save_model(self, folder: Path) -> None:
        """A plain Hugging Face folder."""
        save_model(self.model, folder)

    def _tokenize(self, prompts: Sequence[Prompt]) -> list[tuple[Prompt, list[int]]]:
        ids = [self.model.tokenizer.prompt_ids(prompt) for prompt in prompts]
        check_request(ids, group=1, config=self.config.sampling, context_tokens=self.model.context_tokens)
        return list(zip(prompts, ids, strict=True))

    def _shaping(self) -> RewardShaping:
        config = self.config
        return RewardShaping(
            missing_eos=config.missing_eos, scale=config.reward_scale, clip=config.reward_clip
        )

    def _roll_out(self, chosen: Sequence[tuple[Prompt, list[int]]], step: int) -> Rollout:
        return roll_out(
            [prompt for prompt, _ in chosen],
            [ids for _, ids in chosen],
            sampler=self.sampler,
            reward=self.reward,
            group_size=self.config.group_size,
            sampling=self.config.sampling,
            shaping=self._shaping(),
            streams=self.streams.child("rollout", step),
        )

    def _pack(self, rollout: Rollout, step: int) -> list[OnlineMicroBatch]:
        """Whole groups within the token budget, with reference log-probs and the shared trunk."""
        sizes = [
            len(ids) + sum(len(completion.token_ids) for completion in group)
            for ids, group in zip(rollout.prompt_ids, rollout.groups, strict=True)
        ]
        plan = plan_micro_batches(sizes, self.config.optimization.micro_batch_tokens)
        normalizers = Normalizers(
            sequences=len(rollout.completions),
            tokens=rollout.completion_tokens,
            constant=self.config.sampling.max_tokens,
        )
        every = self.config.entropy_every
        self.model.network.eval()
        return [
            self._micro_batch(rollout, members, normalizers, every > 0 and step % every == 0)
            for members in plan
        ]

    def _micro_batch(
        self, rollout: Rollout, members: Sequence[int], normalizers: Normalizers, has_entropy: bool
    ) -> OnlineMicroBatch:
        device = self.model.device
        packed = prompt_completion_batch(
            [(rollout.prompt_ids[i], [list(c.token_ids) for c in rollout.groups[i]]) for i in members]
        ).to(device)
        with autocast(self.config.optimization.precision, device):
            trunk = self.reference.trunk(packed)
            reference = self.reference.logprobs(
                packed, trunk=trunk, temperature=self.config.sampling.temperature
            )
        return OnlineMicroBatch(
            packed=packed,
            trunk=trunk,
            rewards=torch.tensor([rollout.rewards[i] for i in members], device=device),
            reference_logprobs=reference,
            sampler_logprobs=self._drawn_logprobs([c for i in members for c in rollout.groups[i]]),
            advantages=None,
            normalizers=normalizers,
            has_entropy=has_entropy,
        )

    def _drawn_logprobs(self, completions: Sequence[Completion]) -> Tensor | None:
        if all(completion.logprobs for completion in completions):
            flat = [value for completion in completions for value in completion.logprobs]
            return torch.tensor(flat, device=self.model.device)
        if self.config.old_logprobs == "sampler":
            raise TrainingError(
                "the sampler keeps no log-probs, which old_logprobs = 'sampler' needs; use 'learner', or a "
                "sampler that keeps them (NativeSampler)"
            )
        return None

    def _own_logprobs(self, micro_batch: OnlineMicroBatch) -> Tensor:
        with torch.no_grad(), autocast(self.config.optimization.precision, self.model.device):
            return score_completions(
                self.model,
                micro_batch.packed,
                trunk=micro_batch.trunk,
                temperature=self.config.sampling.temperature,
            ).logprobs

    def _totals(self, micro_batch: OnlineMicroBatch, own: Tensor) -> Tensor:
        """[group, sample] reward less the KL penalty: R - beta * sum_t (log pi - log ref)."""
        packed = micro_batch.packed
        divergence = sequence_kl(
            own - micro_batch.reference_logprobs, packed.sequence_index, packed.n_completions
        )
        return micro_batch.rewards - self.config.kl_coefficient * divergence.view_as(micro_batch.rewards)

    def _with_whitened_advantages(self, parts: Sequence[OnlineMicroBatch]) -> list[OnlineMicroBatch]:
        """Advantages of the whole update at once, which takes the policy's log-probs beforehand."""
        advantages = [
            self.advantage(self._totals(part, self._own_logprobs(part))).flatten() for part in parts
        ]
        whitened = whiten(torch.cat(advantages)).split([len(part) for part in advantages])
        return [
            dataclasses.replace(part, advantages=values) for part, values in zip(parts, whitened, strict=True)
        ]

    def _metrics(
        self, micro_batch: OnlineMicroBatch, own: Tensor, advantages: Tensor, result: PolicyLoss
    ) -> dict[str, Tensor | float]:
        """Shares of the update's means, over its completions or its tokens."""
        log_ratio = own - micro_batch.reference_logprobs
        n_sequences, n_tokens = micro_batch.normalizers.sequences, micro_batch.normalizers.tokens
        n_actions = n_tokens if len(result.ratio) == len(own) else n_sequences
        metrics: dict[str, Tensor | float] = {
            "kl/k1": log_ratio.sum() / n_sequences,
            "kl/k3": k3(log_ratio).sum() / n_sequences,
            "kl/per_token": log_ratio.sum() / n_tokens,
            "reward/total_mean": self._totals(micro_batch, own).sum() / n_sequences,
            "advantage/abs_mean": advantages.abs().sum() / n_sequences,
            "ratio/mean": result.ratio.sum() / n_actions,
            "ratio/clipped": result.is_clipped.sum() / n_actions,
        }
        if micro_batch.sampler_logprobs is not None:
            gap = (own - micro_batch.sampler_logprobs).abs()
            if float(gap.mean()) > MAX_LOGPROB_GAP:
                raise TrainingError(
                    f"sampler and learner differ by {float(gap.mean()):.2f} nats a token on average, "
                    f"which is not rounding (at most {MAX_LOGPROB_GAP}): the sampler draws by other weights, "
                    f"another temperature or a filtered distribution. Give it the model that is trained"
                )
            metrics["sampler/logprob_gap"] = gap.sum() / n_tokens
        return metrics
