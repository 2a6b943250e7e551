"""Finds rewards by what a config says: a function's place, a reward model folder, or a service's address."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from accord.domain.errors import ConfigError, RewardError
from accord.models.reward import RewardModel
from accord.rollouts.combining import RewardsConfig
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.remote import RemoteReward, RemoteRewardConfig
from accord.rollouts.rewards import FunctionReward, Reward, ScoreFunction

RewardLike = Reward | RewardModel | ScoreFunction | str | Path
"""All that may stand where a reward is asked for."""

EXPECTED = 'expected "module:function", "file.py:function", the folder of a reward model, or an address'


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
    place, colon, name = str(spec).rpartition(":")
    if not colon or not place or not name:
        raise RewardError(f"reward {str(spec)!r} is neither a folder nor a function; {EXPECTED}")
    module = _module_from_file(Path(place)) if place.endswith(".py") else _module_from_name(place)
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(
            key for key in vars(module) if callable(getattr(module, key)) and not key.startswith("_")
        )
        raise RewardError(
            f"reward {str(spec)!r}: {place} has no function {name!r}; it has {', '.join(known) or 'none'}"
        )
    return FunctionReward(function, name=name)


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


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RewardError(f"reward file {path} does not exist; {EXPECTED}")
    spec = importlib.util.spec_from_file_location(f"accord_reward_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RewardError(f"reward file {path} failed to load: {type(error).__name__}: {error}") from error
    return module


def _module_from_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RewardError(f"reward module {name!r} cannot be imported: {error}; {EXPECTED}") from error
