"""REINFORCE++ (Hu et al. 2025, 2501.03262): PPO's loss without a critic, advantages whitened over the batch.

    A_t = score - beta sum_{s >= t} (log pi - log ref)_s, then (A - mean) / std over all tokens of the rollout

The KL is taken off token by token, so that a token answers for its own and later KL only. `baseline`
"group" takes the group's mean off the score first (the paper's variant for several samples a prompt).
Departs from the paper in nothing known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Unpack

from accord.domain import ConfigError, Prompt
from accord.models.language_model import LanguageModel
from accord.rollouts.reward_loading import RewardLike
from accord.training.objectives.policy import Aggregation
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.token_gradient import TokenPolicyGradient


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig:
    """What REINFORCE++ has of its own, and how a policy is optimized at all."""

    baseline: Literal["none", "group"] = "none"
    """What is taken off the score: nothing but the batch's mean, or the mean of the prompt's samples."""
    aggregation: Aggregation = Aggregation.TOKEN_MEAN
    """How token terms become one loss."""
    online: OnlineConfig = field(
        default_factory=lambda: OnlineConfig(prompts_per_step=32, group_size=1, whiten_advantages=True)
    )
    """Sampling, reward shaping, KL, optimizer and the rest."""

    def __post_init__(self) -> None:
        if self.baseline not in ("none", "group"):
            raise ConfigError("reinforce", [f"baseline is {self.baseline!r}; expected none or group"])
        if self.baseline == "group":
            self.online.require_groups("reinforce")


def train_reinforce(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: ReinforceConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward`; the arguments are those of `train_online`."""
    settings = config if config is not None else ReinforceConfig()
    strategy = TokenPolicyGradient(
        critic=None,
        discount=1.0,
        decay=1.0,
        clip=settings.online.clip,
        clip_high=None,
        aggregation=settings.aggregation,
        whitens=settings.online.whiten_advantages,
        baseline=settings.baseline,
    )
    return train_online(
        model,
        prompts,
        reward,
        settings.online,
        strategy=strategy,
        algorithm=f"reinforce {settings.baseline} {settings.aggregation}",
        **rest,
    )
