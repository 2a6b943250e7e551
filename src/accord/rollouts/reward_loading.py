"""Finds rewards by what a config says: a function's place, a reward model folder, or a service's address."""

from pathlib import Path

from accord.domain.errors import ConfigError, RewardError
from accord.domain.functions import EXPECTED, load_function
from accord.models.reward import RewardModel
from accord.rollouts.combining import RewardsConfig
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.remote import RemoteReward, RemoteRewardConfig
from accord.rollouts.rewards import FunctionReward, Reward, ScoreFunction

RewardLike = Reward | RewardModel | ScoreFunction | str | Path
"""All that may stand where a reward is asked for."""


def as_reward(source: RewardLike) -> Reward:
    """A reward from a reward, a reward model, a function of (prompts, completions), or a name to load."""
    if isinstance(source, RewardModel):
        return ModelReward(source)
    if isinstance(source, str | Path):
        return load_reward(source)
    if isinstance(source, Reward):
        return source
    if callable(source):
        return FunctionReward(source)
    raise RewardError(
        f"{type(source).__name__} is no reward; expected a function, a reward model, or {EXPECTED}"
    )


def load_reward(spec: str | Path) -> Reward:
    """The reward that `spec` names. A file's code is run: name only files you trust."""
    if str(spec).startswith(("http://", "https://")):
        return RemoteReward(RemoteRewardConfig(url=str(spec)))
    path = Path(spec)
    if path.is_dir():
        return ModelReward(path)
    return FunctionReward(load_function(spec), name=str(spec).rpartition(":")[2])


def require_one_reward(reward: str, rewards: RewardsConfig) -> None:
    """Refuse a config that names no reward, or one in both places."""
    if bool(reward) == bool(rewards.parts):
        seen = "both of reward and rewards.parts are" if reward else "neither reward nor rewards.parts is"
        raise ConfigError("reward", [f"{seen} given; expected one of them"])


def load_rewards(reward: str, rewards: RewardsConfig) -> Reward:
    """The one that `reward` names, or the several of `rewards`; exactly one of the two is given."""
    require_one_reward(reward, rewards)
    if reward:
        return load_reward(reward)
    return rewards.combine({part.name: load_reward(part.source) for part in rewards.parts})
