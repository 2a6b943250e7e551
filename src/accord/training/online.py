"""Learning from rewards on the policy's own samples: one task for all online algorithms.

Each rollout samples groups, scores them and takes the reference's log-probs; one or several updates learn
from it. What is learned is the strategy's (`online_strategy` and the algorithms' own files). Where one
update a rollout needs nothing beforehand, the policy's log-probs are computed once, in the training
forward itself: every group is whole in its micro-batch, so KL, advantages and loss need no other pass.
"""

import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from accord.domain import Completion, DataError, Prompt, Streams, TrainingError, content_hash
from accord.models.batching import plan_micro_batches
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.ragged import PackedCompletions, TrunkStates
from accord.rollouts.native import NativeSampler
from accord.rollouts.reward_loading import RewardLike, as_reward
from accord.rollouts.rewards import Reward
from accord.rollouts.sampler import Sampler, check_request
from accord.training.kl_control import KlControl
from accord.training.lagrangian import Lagrangian
from accord.training.loop import optimize
from accord.training.objectives.correction import importance_weights
from accord.training.objectives.kl import k3
from accord.training.objectives.policy import Normalizers
from accord.training.online_config import OnlineConfig
from accord.training.online_experience import Experience, OnlineMicroBatch
from accord.training.online_strategy import PolicyView, Strategy, completion_totals
from accord.training.order import DataOrder
from accord.training.precision import autocast
from accord.training.reference import Reference, predicting_states, score_states
from accord.training.reports import Observer
from accord.training.rollout import RewardShaping, Rollout, roll_out
from accord.training.task import LossPart, Update

MAX_LOGPROB_GAP = 0.5
"""Nats a token by which sampler and learner may differ on average; more means other weights, not rounding."""


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


class OnlineArguments(TypedDict, total=False):
    """What every online algorithm takes besides model, prompts, reward and config; see `train_online`."""

    sampler: Sampler | None
    reference: LanguageModel | None
    eval_prompts: Sequence[Prompt]
    run_dir: Path | None
    observers: Sequence[Observer]
    resume: bool
    streams: Streams | None


def train_online(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: OnlineConfig | None = None,
    *,
    strategy: Strategy,
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
        strategy=strategy,
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


@dataclass(frozen=True)
class PackedGroups:
    """Groups of a rollout packed to run together."""

    members: list[int]
    packed: PackedCompletions
    trunk: TrunkStates | None


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
        strategy: Strategy,
        reference: LanguageModel | None = None,
        eval_prompts: Sequence[Prompt] = (),
        streams: Streams,
        algorithm: str = "online",
    ):
        if not prompts:
            raise DataError("no prompts to sample from, got an empty list")
        self.model, self.reward, self.config, self.streams = model, reward, config, streams
        self.sampler, self.strategy, self.algorithm = sampler, strategy, algorithm
        self.prompts = self._tokenize(prompts)
        self.eval_prompts = self._tokenize(eval_prompts)
        self.reference = Reference(model, reference, precision=config.optimization.precision)
        self.order = DataOrder(len(prompts), config.prompts_per_step, streams)
        self.control = KlControl(coefficient=config.kl_coefficient)
        self.lagrangian = Lagrangian(config.constraints)
        self.rollouts = 0
        self.position = 0
        self.coefficient = config.kl_coefficient
        self.experience: Experience | None = None
        self.news: dict[str, float] = {}
        self._whole: list[PackedGroups] | None = None

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The policy's trainable weights, and the strategy's."""
        return [*self.model.trainable_parameters(), *self.strategy.parameters()]

    def identity(self) -> dict[str, str]:
        """Hashes of policy, reference and prompts, and the settings."""
        settings = dataclasses.asdict(self.config)
        del settings["optimization"]
        return {
            "model": self.model.version,
            "reference": self.reference.version,
            "data": content_hash([prompt.id for prompt, _ in self.prompts]),
            "policy.algorithm": self.algorithm,
            **self.strategy.identity(),
            **{f"policy.{key}": json.dumps(value) for key, value in settings.items()},
        }

    @property
    def has_pass(self) -> bool:
        """Whether the policy's log-probs are taken before the first update from a rollout."""
        return self.strategy.needs_pass or self.config.updates_per_rollout > 1

    def next_update(self, step: int) -> Update:
        """Sample and score where the last rollout is used up; ends the run when that was over the budget."""
        if self.experience is None or self.position >= self.config.updates_per_rollout:
            self._begin()
        experience = self.experience
        assert experience is not None
        members = self._members(len(experience.prompt_ids))
        groups = self._whole if self._whole is not None else self._pack(experience, members)
        if self.config.minibatches == 1:
            self._whole = groups
        normalizers = experience.normalizers(members, self.config.sampling.max_tokens)
        every = self.config.entropy_every
        micro_batches = [
            OnlineMicroBatch(
                packed=group.packed,
                trunk=group.trunk,
                rewards=experience.rewards[group.members],
                tokens=_rows(experience.tokens, experience.token_rows(group.members)),
                completions=_rows(experience.completions, experience.completion_rows(group.members)),
                normalizers=normalizers,
                rollout=self.rollouts - 1,
                is_first=self.position == 0,
                has_entropy=every > 0 and step % every == 0,
            )
            for group in groups
        ]
        return Update(
            micro_batches=micro_batches,
            tokens=sum(part.packed.n_plain_tokens for part in micro_batches),
            metrics={**self.news, "policy/update": self.position + 1.0},
            on_learned=self._learned,
        )

    def loss(self, micro_batch: OnlineMicroBatch) -> LossPart:
        """The share of some groups; dropout is off, so that policy, reference and sampler agree."""
        self.model.network.eval()
        part, packed, n_tokens = micro_batch, micro_batch.packed, micro_batch.normalizers.tokens
        states = predicting_states(self.model, packed, trunk=part.trunk)
        tokens = score_states(
            self.model,
            packed,
            states,
            temperature=self.config.sampling.temperature,
            with_entropy=part.has_entropy,
        )
        own = tokens.logprobs.detach()
        learner = own if part.is_first else part.tokens["learner"]
        old = learner if self.config.old_logprobs == "learner" else part.tokens["sampler"]
        in_reward = self.config.kl_in == "reward"
        view = PolicyView(
            part=part,
            logprobs=tokens.logprobs,
            old_logprobs=old,
            states=states,
            reward_kl=self.coefficient if in_reward else 0.0,
            loss_kl=0.0 if in_reward else self.coefficient,
            kl_estimator=self.config.kl_estimator,
            weights=self._importance(part, learner),
        )
        share = self.strategy.loss(view)
        metrics = dict(share.metrics)
        if view.weights is not None:
            metrics["importance/weight"] = view.weights.sum() / n_tokens
        metrics["policy/update_kl"] = k3(old - own).sum() / n_tokens
        if tokens.entropy is not None:
            metrics["entropy"] = tokens.entropy.sum() / n_tokens
        if part.is_first and not self.has_pass:
            metrics |= self._measure(part.rewards, own, part.tokens, packed.sequence_index, part.normalizers)
        return LossPart(share.loss, metrics)

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Reward, KL and length of one sample for each held-out prompt, by the same numbers each time."""
        if not self.eval_prompts:
            return {}
        rollout = self._roll_out(self.eval_prompts, self.streams.child("evaluation"), group_size=1)
        experience = Experience.of(rollout, self._tensor(rollout.rewards))
        groups = self._pack(experience, range(len(self.eval_prompts)))
        experience = self._scored(experience, groups, has_pass=True)
        divergence = (experience.tokens["learner"] - experience.tokens["reference"]).sum()
        known = rollout.metrics()
        return {
            "policy/eval_reward": known["reward/mean"],
            "policy/eval_kl": float(divergence) / len(self.eval_prompts),
            "policy/eval_length": known["length/mean"],
            "policy/eval_eos": known["eos/share"],
        }

    def state_dict(self) -> dict[str, Any]:
        """Controllers and counters, and the rollout where it is not used up; draws follow from its number."""
        is_open = self.experience is not None and self.position < self.config.updates_per_rollout
        return {
            "rollouts": self.rollouts,
            "position": self.position,
            "coefficient": self.coefficient,
            "kl": dataclasses.asdict(self.control),
            "multipliers": dict(self.lagrangian.multipliers),
            "news": self.news,
            **(self.experience.state() if is_open and self.experience is not None else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was called."""
        self.rollouts, self.position = int(state["rollouts"]), int(state["position"])
        self.coefficient, self.control = float(state["coefficient"]), KlControl(**state["kl"])
        self.lagrangian = Lagrangian(self.config.constraints, state["multipliers"])
        self.news, self._whole = dict(state["news"]), None
        is_open = "experience.rewards" in state
        self.experience = Experience.from_state(state, self.model.device) if is_open else None

    def save_model(self, folder: Path) -> None:
        """A plain Hugging Face folder, and beside it what the strategy trained."""
        save_model(self.model, folder)
        self.strategy.save(folder.parent)

    def _begin(self) -> None:
        """Draw and score the next rollout. Nothing of the task has changed where this raises."""
        self.control.check(self.config.max_kl)
        chosen = [self.prompts[i] for i in self.order.batch(self.rollouts)]
        rollout = self._roll_out(
            chosen, self.streams.child("rollout", self.rollouts), group_size=self.config.group_size
        )
        started = time.perf_counter()
        completions = rollout.completions
        values = [value for group in rollout.rewards for value in group]
        rewards = self.lagrangian.rewards(values, rollout.parts)
        experience = Experience.of(rollout, self._tensor(rewards).view(len(chosen), -1))
        drawn = self._drawn_logprobs(completions)
        if drawn is not None:
            experience = experience.with_tokens(sampler=drawn)
        members = range(len(chosen))
        groups = self._pack(experience, members)
        experience = self._scored(experience, groups, has_pass=self.has_pass)
        in_reward = self.config.kl_in == "reward"
        experience, learned = self.strategy.prepare(
            experience,
            reward_kl=self.control.coefficient if in_reward else 0.0,
            rollout=self.rollouts,
        )
        self.news = {
            **rollout.metrics(),
            **self.lagrangian.metrics(rollout.parts),
            **learned,
            "kl/coefficient": self.control.coefficient,
            "policy/epoch": (self.rollouts + 1) / self.order.steps_per_epoch,
        }
        self.coefficient = self.control.coefficient
        if self.has_pass:
            normalizers = experience.normalizers(members, 1)
            measured = self._measure(
                experience.rewards,
                experience.tokens["learner"],
                experience.tokens,
                experience.sequence_index,
                normalizers,
            )
            self.news |= {name: float(value) for name, value in measured.items()}
            self._measured(self.news["kl/k1"])
        self.news["time/reference_s"] = time.perf_counter() - started
        self.lagrangian = self.lagrangian.after(rollout.parts)
        self.experience, self.position, self.rollouts = experience, 0, self.rollouts + 1
        self._whole = groups if self.config.minibatches == 1 else None

    def _learned(self, metrics: Mapping[str, float]) -> None:
        """After an update: on to the next one, or to a new rollout where the policy has moved far enough."""
        if self.position == 0 and not self.has_pass:
            self._measured(metrics["kl/k1"])
        self.news = {}
        self.position += 1
        limit = self.config.stop_update_kl
        if limit is not None and metrics["policy/update_kl"] > limit:
            self.position = self.config.updates_per_rollout

    def _measured(self, kl: float) -> None:
        self.control = self.control.after(kl, target=self.config.kl_target, gain=self.config.kl_gain)

    def _members(self, n_groups: int) -> list[int]:
        """Groups of the update at `position`: all, or every m-th in an order of the epoch's own."""
        n_parts = self.config.minibatches
        if n_parts == 1:
            return list(range(n_groups))
        epoch, part = divmod(self.position, n_parts)
        seed = self.streams.child("minibatches", self.rollouts - 1, epoch).value
        order = [int(i) for i in np.random.default_rng(seed).permutation(n_groups)]
        return sorted(order[part::n_parts]) or order[:1]

    def _tokenize(self, prompts: Sequence[Prompt]) -> list[tuple[Prompt, list[int]]]:
        ids = [self.model.tokenizer.prompt_ids(prompt) for prompt in prompts]
        check_request(ids, group=1, config=self.config.sampling, context_tokens=self.model.context_tokens)
        return list(zip(prompts, ids, strict=True))

    def _tensor(self, values: Any) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.model.device)

    def _roll_out(
        self, chosen: Sequence[tuple[Prompt, list[int]]], streams: Streams, *, group_size: int
    ) -> Rollout:
        config = self.config
        rollout = roll_out(
            [prompt for prompt, _ in chosen],
            [ids for _, ids in chosen],
            sampler=self.sampler,
            reward=self.reward,
            group_size=group_size,
            sampling=config.sampling,
            shaping=RewardShaping(
                missing_eos=config.missing_eos, scale=config.reward_scale, clip=config.reward_clip
            ),
            streams=streams,
        )
        if isinstance(self.sampler, NativeSampler):
            self.sampler.release()
        return rollout

    def _pack(self, experience: Experience, members: Sequence[int]) -> list[PackedGroups]:
        """Whole groups within the token budget, and the states of the shared trunk."""
        sizes = experience.sizes
        plan = plan_micro_batches([sizes[i] for i in members], self.config.optimization.micro_batch_tokens)
        self.model.network.eval()
        groups = []
        with autocast(self.config.optimization.precision, self.model.device):
            for rows in plan:
                chosen = [members[row] for row in rows]
                packed = experience.pack(chosen)
                groups.append(PackedGroups(chosen, packed, self.reference.trunk(packed)))
        return groups

    @torch.no_grad()
    def _scored(
        self, experience: Experience, groups: Sequence[PackedGroups], *, has_pass: bool
    ) -> Experience:
        """With the reference's log-probs and, where asked for, the learner's and what the strategy sees."""
        self.model.network.eval()
        temperature = self.config.sampling.temperature
        found: dict[str, Tensor] = {}
        with autocast(self.config.optimization.precision, self.model.device):
            for group in groups:
                seen = {
                    "reference": self.reference.logprobs(
                        group.packed, trunk=group.trunk, temperature=temperature
                    )
                }
                if has_pass:
                    states = predicting_states(self.model, group.packed, trunk=group.trunk)
                    scored = score_states(self.model, group.packed, states, temperature=temperature)
                    seen |= {"learner": scored.logprobs, **self.strategy.observe(group.packed, states)}
                rows = experience.token_rows(group.members)
                for name, values in seen.items():
                    whole = found.setdefault(name, values.new_zeros(int(experience.lengths.sum())))
                    whole[rows] = values
        return experience.with_tokens(**found)

    def _drawn_logprobs(self, completions: Sequence[Completion]) -> Tensor | None:
        if all(completion.logprobs for completion in completions):
            flat = [value for completion in completions for value in completion.logprobs]
            return self._tensor(flat)
        if self.config.old_logprobs == "sampler" or self.config.importance != "none":
            raise TrainingError(
                "the sampler keeps no log-probs, which old_logprobs = 'sampler' and importance weights need; "
                "use 'learner' and 'none', or a sampler that keeps them (NativeSampler)"
            )
        return None

    def _importance(self, part: OnlineMicroBatch, learner: Tensor) -> Tensor | None:
        config = self.config
        if config.importance == "none":
            return None
        return importance_weights(
            learner,
            part.tokens["sampler"],
            part.packed.sequence_index,
            mode=config.importance,
            level=config.importance_level,
            cap=config.importance_cap,
        )

    def _measure(
        self,
        rewards: Tensor,
        own: Tensor,
        tokens: Mapping[str, Tensor],
        sequence_index: Tensor,
        normalizers: Normalizers,
    ) -> dict[str, Tensor | float]:
        """Shares of what is known of a rollout under the weights that drew it, over completions or tokens."""
        log_ratio = own - tokens["reference"]
        n_sequences, n_tokens = normalizers.sequences, normalizers.tokens
        totals = completion_totals(rewards, log_ratio, sequence_index, reward_kl=self.coefficient)
        metrics: dict[str, Tensor | float] = {
            "kl/k1": log_ratio.sum() / n_sequences,
            "kl/k3": k3(log_ratio).sum() / n_sequences,
            "kl/per_token": log_ratio.sum() / n_tokens,
            "reward/total_mean": totals.sum() / n_sequences,
        }
        if "sampler" in tokens:
            gap = (own - tokens["sampler"]).abs()
            mean_gap = float(gap.mean())
            if math.isfinite(mean_gap) and mean_gap > MAX_LOGPROB_GAP:
                raise TrainingError(
                    f"sampler and learner differ by {mean_gap:.2f} nats a token on average, "
                    f"which is not rounding (at most {MAX_LOGPROB_GAP}): the sampler draws by other weights, "
                    f"another temperature or a filtered distribution. Give it the model that is trained"
                )
            metrics["sampler/logprob_gap"] = gap.sum() / n_tokens
        return metrics


def _rows(tensors: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: values[rows] for name, values in tensors.items()}
