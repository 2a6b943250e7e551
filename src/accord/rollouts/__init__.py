"""Generation and rewards: samplers behind one interface, and what scores their completions."""

from accord.rollouts.combining import EnsembleReward, RewardPartConfig, RewardsConfig, WeightedReward
from accord.rollouts.generate import GenerateSampler
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.native import NativeSampler
from accord.rollouts.remote import RemoteReward, RemoteRewardConfig
from accord.rollouts.reward_loading import RewardLike, as_reward, load_reward, load_rewards
from accord.rollouts.rewards import FunctionReward, MissingEosConfig, Reward, RewardScores
from accord.rollouts.sampler import Sampler, SamplingConfig
from accord.rollouts.scripted import ScriptedSampler
from accord.rollouts.vllm import VllmSampler

__all__ = [
    "EnsembleReward",
    "FunctionReward",
    "GenerateSampler",
    "MissingEosConfig",
    "ModelReward",
    "NativeSampler",
    "RemoteReward",
    "RemoteRewardConfig",
    "Reward",
    "RewardLike",
    "RewardPartConfig",
    "RewardScores",
    "RewardsConfig",
    "Sampler",
    "SamplingConfig",
    "ScriptedSampler",
    "VllmSampler",
    "WeightedReward",
    "as_reward",
    "load_reward",
    "load_rewards",
]
