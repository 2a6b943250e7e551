"""RLOO (Ahmadian et al. 2024, "Back to Basics", 2402.14740): REINFORCE with the group as its own baseline.

The whole completion is one action; its total reward is reward - beta * (log pi - log ref); its
baseline is the mean total of the other samples of the prompt. All of it is `train_online` with
`rloo` advantages and the sequence-level loss.
"""

from collections.abc import Sequence
from functools import partial
from typing import Unpack

from accord.domain import ConfigError, Prompt
from accord.models.language_model import LanguageModel
from accord.rollouts.reward_loading import RewardLike
from accord.training.objectives.advantages import rloo
from accord.training.objectives.policy import Aggregation, sequence_policy_loss
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.online_strategy import GroupPolicyGradient


def train_rloo(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: OnlineConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward` by RLOO; the arguments are those of `train_online`."""
    settings = config if config is not None else OnlineConfig()
    settings.require_groups("rloo")
    if settings.importance != "none" and settings.importance_level == "token":
        raise ConfigError(
            "rloo", ["importance_level is 'token'; the completion is one action: use 'sequence'"]
        )
    return train_online(
        model,
        prompts,
        reward,
        settings,
        strategy=GroupPolicyGradient(
            advantage=rloo,
            objective=partial(sequence_policy_loss, clip=settings.clip),
            aggregation=Aggregation.SEQUENCE_MEAN_TOKEN_SUM,
            is_by_token=False,
            whitens=settings.whiten_advantages,
        ),
        algorithm="rloo",
        **rest,
    )
