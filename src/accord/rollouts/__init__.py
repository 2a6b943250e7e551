"""Generation and rewards: samplers behind one interface, and what scores their completions."""

from accord.rollouts.generate import GenerateSampler
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.native import NativeSampler
from accord.rollouts.reward_loading import RewardLike, as_reward, load_reward
from accord.rollouts.rewards import FunctionReward, MissingEosConfig, Reward, RewardScores, WeightedReward
from accord.rollouts.sampler import Sampler, SamplingConfig
from accord.rollouts.scripted import ScriptedSampler
from accord.rollouts.vllm import VllmSampler

__all__ = [
    "FunctionReward",
    "GenerateSampler",
    "MissingEosConfig",
    "ModelReward",
    "NativeSampler",
    "Reward",
    "RewardLike",
    "RewardScores",
    "Sampler",
    "SamplingConfig",
    "ScriptedSampler",
    "VllmSampler",
    "WeightedReward",
    "as_reward",
    "load_reward",
]
