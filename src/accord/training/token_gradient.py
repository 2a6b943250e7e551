"""Policy gradient with an advantage of its own for each token: what PPO and REINFORCE++ share.

    r_t = -beta (log pi - log ref)_t, plus the completion's score at its last token
    A_t = GAE(r, V), or the rewards to come where there is no critic; whitened over the rollout's tokens
    loss = -aggregate_t min(rho_t A_t, clip(rho_t) A_t) + c 1/2 mean_t of the critic's clipped squared error

Everything that looks at a mean or a spread is made once for the whole rollout, on every rank alike, so
that neither micro-batches nor ranks change it. All completion tokens count, EOS included; no others exist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from accord.models.ragged import PackedCompletions
from accord.training.critic import Critic
from accord.training.objectives.advantages import whiten
from accord.training.objectives.policy import Aggregation, ppo_loss
from accord.training.objectives.value import explained_variance, gae, token_rewards, value_loss
from accord.training.online_experience import Experience
from accord.training.online_strategy import PolicyView, Prepared, Strategy, ratio_metrics
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class TokenPolicyGradient(Strategy):
    """Advantages by token, from a critic or without one, and PPO's loss on them."""

    critic: Critic | None
    discount: float
    decay: float
    clip: float
    clip_high: float | None
    aggregation: Aggregation
    whitens: bool
    whitens_rewards: bool = False
    baseline: Literal["none", "group"] = "none"
    """group: scores less the mean of their group, before anything else."""
    value_coefficient: float = 0.1
    value_clip: float | None = 0.2
    critic_warmup: int = 0

    @property
    def needs_pass(self) -> bool:
        """KL and values of the whole rollout come before advantages."""
        return True

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The critic's."""
        return [] if self.critic is None else self.critic.trained()

    def identity(self) -> dict[str, str]:
        """The hash of the critic as it starts."""
        return {} if self.critic is None else {"critic": self.critic.version}

    def observe(self, packed: PackedCompletions, states: Tensor) -> dict[str, Tensor]:
        """The critic's values."""
        return {} if self.critic is None else {"values": self.critic.values(packed, states)}

    def prepare(self, experience: Experience, *, reward_kl: float, rollout: int) -> Prepared:
        """Token rewards, advantages and returns of the whole rollout."""
        lengths = experience.lengths
        log_ratio = experience.tokens["learner"] - experience.tokens["reference"]
        scores = experience.rewards
        if self.baseline == "group":
            scores = scores - scores.mean(-1, keepdim=True)
        rewards = token_rewards(scores.flatten(), reward_kl * log_ratio, lengths)
        if self.whitens_rewards:
            rewards = whiten(rewards, keeps_mean=True)
        values = experience.tokens.get("values", torch.zeros_like(rewards))
        if self.critic is not None and self.critic.is_fresh and rollout == 0:
            to_come = gae(rewards, torch.zeros_like(rewards), lengths, discount=self.discount, decay=1.0)
            self.critic.place(float(to_come.mean()))
            values = values + to_come.mean()
        advantages = gae(rewards, values, lengths, discount=self.discount, decay=self.decay)
        returns = advantages + values
        metrics = {}
        if self.critic is not None:
            metrics = {
                "critic/explained_variance": explained_variance(values, returns),
                "critic/value_mean": float(values.mean()),
                "critic/return_mean": float(returns.mean()),
            }
        if self.whitens:
            advantages = whiten(advantages)
        return Prepared(
            experience.with_tokens(advantages=advantages, values=values, returns=returns), metrics
        )

    def loss(self, view: PolicyView) -> LossPart:
        """PPO's loss and the critic's; while the critic warms up only its own, past a stopped gradient."""
        part, packed = view.part, view.part.packed
        is_warming = self.critic is not None and part.rollout < self.critic_warmup
        advantages = part.tokens["advantages"]
        result = ppo_loss(
            view.logprobs.detach() if is_warming else view.logprobs,
            view.old_logprobs,
            advantages,
            packed.sequence_index,
            normalizers=part.normalizers,
            weights=view.weights,
            clip=self.clip,
            clip_high=self.clip_high,
            aggregation=self.aggregation,
        )
        metrics = ratio_metrics(result, advantages, part.normalizers, is_by_token=True)
        loss = result.loss.detach() if is_warming else result.loss + view.kl_loss(self.aggregation)
        if self.critic is not None:
            values = self.critic.values(packed, view.states.detach() if is_warming else view.states)
            error = value_loss(
                values,
                part.tokens["values"],
                part.tokens["returns"],
                normalizer=part.normalizers.tokens,
                clip=self.value_clip,
            )
            loss = loss + self.value_coefficient * error.loss
            metrics |= {
                "critic/loss": error.loss,
                "critic/clipped": error.is_clipped.sum() / part.normalizers.tokens,
            }
        return LossPart(loss, metrics)

    def save(self, folder: Path) -> None:
        """The critic, in `folder/critic`."""
        if self.critic is not None:
            self.critic.save(folder / "critic")
