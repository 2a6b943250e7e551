"""What is learned from a rollout: the interface between the online loop and its algorithms.

Holds the interface and the policy gradient on groups (RLOO, GRPO and its kin); PPO, REINFORCE++, online
DPO and learning from the best samples are strategies in files of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from torch import Tensor, nn

from accord.models.ragged import PackedCompletions
from accord.training.objectives.advantages import whiten
from accord.training.objectives.kl import kl_penalty, sequence_kl
from accord.training.objectives.policy import Aggregation, Normalizers, PolicyLoss, aggregate
from accord.training.online_experience import Experience, OnlineMicroBatch
from accord.training.task import LossPart

Advantage = Callable[[Tensor], Tensor]
"""[group, sample] total rewards to [group, sample] advantages."""


@dataclass(frozen=True, kw_only=True)
class PolicyView:
    """A micro-batch under the policy as it is now."""

    part: OnlineMicroBatch
    logprobs: Tensor
    """[n] with their graph."""
    old_logprobs: Tensor
    """[n] of the policy that the ratio is taken against; in the first update its own, without graph."""
    states: Tensor
    """[n, D] hidden states that predict each token, with their graph."""
    reward_kl: float
    """Coefficient of the KL penalty in the reward; 0 where it is in the loss."""
    loss_kl: float
    """Coefficient of the KL penalty in the loss; 0 where it is in the reward."""
    kl_estimator: Literal["k1", "k2", "k3"]
    weights: Tensor | None
    """[n] importance weights for a sampler that differs from the learner; None: all 1."""

    def kl_loss(self, how: Aggregation) -> Tensor:
        """The share of the KL penalty in the loss, summed over tokens as the algorithm's own loss is."""
        if not self.loss_kl:
            return self.logprobs.new_zeros(())
        part = self.part
        terms = kl_penalty(
            self.logprobs, part.reference_logprobs, self.old_logprobs, estimator=self.kl_estimator
        )
        index = part.packed.sequence_index
        return self.loss_kl * aggregate(terms, index, normalizers=part.normalizers, how=how)


class Prepared(NamedTuple):
    """A rollout made ready to be learned from, and what is logged about that."""

    experience: Experience
    metrics: Mapping[str, float]


class Strategy(Protocol):
    """An online algorithm: from rewards to what each token learns, and the loss.

    `prepare` and `loss` are every algorithm's own; the rest is as of one that trains the policy alone.
    """

    @property
    def needs_pass(self) -> bool:
        """Whether `prepare` needs old log-probs (and what `observe` gives) before the first update."""
        return False

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What the strategy trains besides the policy, by names of its own."""
        return []

    def identity(self) -> dict[str, str]:
        """Hashes of what it starts from, for checkpoints; {} where it trains nothing of its own."""
        return {}

    def observe(self, packed: PackedCompletions, states: Tensor) -> dict[str, Tensor]:
        """Numbers [n] of its own at the tokens with hidden states [n, D], without gradients."""
        return {}

    def prepare(self, experience: Experience, *, reward_kl: float, rollout: int) -> Prepared:
        """The experience with what the loss needs; called once for each rollout."""
        ...

    def loss(self, view: PolicyView) -> LossPart:
        """The micro-batch's share of the update's loss, and shares of metrics."""
        ...

    def save(self, folder: Path) -> None:
        """Write what it trained beside the policy in `folder`; nothing where there is nothing."""
        return None


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
        weights: Tensor | None,
    ) -> PolicyLoss:
        """logprobs and old_logprobs [token], advantages [sequence], sequence_index [token]."""
        ...


def completion_totals(
    rewards: Tensor, log_ratio: Tensor, sequence_index: Tensor, *, reward_kl: float
) -> Tensor:
    """[group, sample] reward less the KL penalty: R - beta * sum_t (log pi - log ref)."""
    divergence = sequence_kl(log_ratio, sequence_index, rewards.numel())
    return rewards - reward_kl * divergence.view_as(rewards)


def ratio_metrics(
    result: PolicyLoss, advantages: Tensor, normalizers: Normalizers, *, is_by_token: bool
) -> dict[str, Tensor | float]:
    """Shares of what is logged about ratios and advantages, over tokens or completions."""
    n_actions = normalizers.tokens if is_by_token else normalizers.sequences
    n_advantages = (
        normalizers.tokens
        if len(advantages) == len(result.ratio) and is_by_token
        else (normalizers.sequences)
    )
    return {
        "advantage/abs_mean": advantages.abs().sum() / n_advantages,
        "ratio/mean": result.ratio.sum() / n_actions,
        "ratio/clipped": result.is_clipped.sum() / n_actions,
    }


@dataclass(frozen=True, kw_only=True)
class GroupPolicyGradient(Strategy):
    """Advantages of a completion within its group, and a loss that weighs its log-probs by them.

    Without whitening and in a single update a rollout no pass of its own is needed: groups are whole in
    their micro-batch, so totals and advantages come from the log-probs of the training forward.
    """

    advantage: Advantage
    objective: PolicyObjective
    aggregation: Aggregation
    is_by_token: bool
    """Whether the objective's actions are tokens; False: completions."""
    whitens: bool = False

    @property
    def needs_pass(self) -> bool:
        """Whitening looks at the whole rollout before anything is learned."""
        return self.whitens

    def prepare(self, experience: Experience, *, reward_kl: float, rollout: int) -> Prepared:
        """Advantages of the whole rollout, whitened over its completions where asked for."""
        if "learner" not in experience.tokens:
            return Prepared(experience, {})
        log_ratio = experience.tokens["learner"] - experience.tokens["reference"]
        totals = completion_totals(
            experience.rewards, log_ratio, experience.sequence_index, reward_kl=reward_kl
        )
        advantages = self.advantage(totals).flatten()
        if self.whitens:
            advantages = whiten(advantages)
        return Prepared(experience.with_completions(advantages=advantages), {})

    def loss(self, view: PolicyView) -> LossPart:
        """The objective on advantages made beforehand, or made now from this forward."""
        part, packed = view.part, view.part.packed
        advantages = part.completions.get("advantages")
        if advantages is None:
            totals = completion_totals(
                part.rewards,
                part.log_ratio(view.logprobs.detach()),
                packed.sequence_index,
                reward_kl=view.reward_kl,
            )
            advantages = self.advantage(totals).flatten()
        result = self.objective(
            view.logprobs,
            view.old_logprobs,
            advantages,
            packed.sequence_index,
            normalizers=part.normalizers,
            weights=view.weights,
        )
        metrics = ratio_metrics(result, advantages, part.normalizers, is_by_token=self.is_by_token)
        return LossPart(result.loss + view.kl_loss(self.aggregation), metrics)
