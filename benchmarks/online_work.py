"""The online tasks of the training benchmark: prompts from `prompts.jsonl`, completions of a fixed length.

A completion never ends before `completion_tokens`, so that every step is the same work; its samples are the
product's own, and so are reward, reference, critic and update. Losses of such runs can be compared with
nobody's number for number; their speed can. Read by `training.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accord.domain import DataError, Prompt, Streams
from accord.models.chat import ChatTokenizer
from accord.models.language_model import LanguageModel
from accord.models.reward import RewardModel
from accord.rollouts import FunctionReward, ModelReward, NativeSampler, SamplingConfig
from accord.rollouts.rewards import Reward
from accord.training.critic import build_critic
from accord.training.grpo import GrpoConfig
from accord.training.objectives import Aggregation, rloo
from accord.training.objectives.advantages import group_normalized
from accord.training.objectives.policy import sequence_policy_loss
from accord.training.observers import Recorder
from accord.training.online import OnlineTask
from accord.training.online_config import OnlineConfig
from accord.training.online_strategy import GroupPolicyGradient, Strategy
from accord.training.optimizer import OptimizationConfig
from accord.training.order import DataOrder
from accord.training.token_gradient import TokenPolicyGradient

TASKS = ("grpo", "rloo", "ppo")
HEAD_STD = 0.02
REWARD_SEED, CRITIC_SEED = 1, 2
"""Of the heads of PPO's reward model and critic, whose bodies are the policy's start."""


class EndlessTokenizer(ChatTokenizer):
    """Nothing ends an answer, so that it runs to its full length."""

    @property
    def stop_ids(self) -> frozenset[int]:
        return frozenset()


def distinct_words(prompts: object, completions: Any) -> list[float]:
    """The share of distinct words, scaled by closeness to 24 words: the reward of GRPO and RLOO."""
    values = []
    for completion in completions:
        words = completion.text.lower().split()
        near = max(0.0, 1 - abs(len(words) - 24) / 24)
        values.append(len(set(words)) / len(words) * near if words else 0.0)
    return values


def read_prompts(data: Path, count: int) -> list[Prompt]:
    """The first `count` rows of prompts.jsonl as they stand; a shorter file is gone through again."""
    with (data / "prompts.jsonl").open(encoding="utf-8") as lines:
        prompts = [Prompt.from_raw(json.loads(line)["prompt"]) for line in lines]
    if not prompts:
        raise DataError(f"{data / 'prompts.jsonl'} holds no prompts; {count} are needed (steps * prompts)")
    return [prompts[i % len(prompts)] for i in range(count)]


def seeded_head(width: int, seed: int) -> torch.Tensor:
    """[1, width] normal weights that any implementation can draw."""
    return torch.randn((1, width), generator=torch.Generator().manual_seed(seed)) * HEAD_STD


def online_task(
    name: str, model: LanguageModel, data: Path, work: Mapping[str, Any], optimization: OptimizationConfig
) -> OnlineTask:
    """The task in file order, with the settings file's algorithm."""
    model.tokenizer = EndlessTokenizer(model.tokenizer.hf, name=model.tokenizer.name)
    config = online_config(name, work, optimization)
    prompts = read_prompts(data, work["steps"] * work["prompts_per_step"])
    task = OnlineTask(
        model,
        prompts,
        reward_of(name, model, optimization),
        config,
        sampler=NativeSampler(model, precision=optimization.precision),
        strategy=strategy_of(name, model, work),
        streams=Streams(0),
        algorithm=name,
    )
    task.order = DataOrder(len(prompts), work["prompts_per_step"], task.streams, is_shuffled=False)
    return task


def online_config(name: str, work: Mapping[str, Any], optimization: OptimizationConfig) -> OnlineConfig:
    """The settings file's sampling and KL in our words: k3 in the loss for GRPO, k1 in the reward else."""
    is_ppo = name == "ppo"
    return OnlineConfig(
        prompts_per_step=work["prompts_per_step"],
        group_size=1 if is_ppo else work["group"],
        sampling=SamplingConfig(max_tokens=work["completion_tokens"], temperature=work["temperature"]),
        kl_coefficient=work["kl_coef"] if is_ppo else work["beta"],
        kl_in="loss" if name == "grpo" else "reward",
        kl_estimator="k3" if name == "grpo" else "k1",
        epochs=work["ppo_epochs"] if is_ppo else work["num_iterations"],
        minibatches=work["mini_batches"] if is_ppo else 1,
        whiten_advantages=is_ppo,
        entropy_every=0,
        optimization=optimization,
    )


def reward_of(name: str, model: LanguageModel, optimization: OptimizationConfig) -> Reward:
    """A function of the text, or for PPO a reward model of the policy's size under a random head."""
    if name != "ppo":
        return FunctionReward(distinct_words)
    critic = build_critic("separate", model)
    assert critic.body is not None
    head = nn.Linear(model.head_weight.shape[1], 1, bias=False)
    head.weight.data.copy_(seeded_head(head.in_features, REWARD_SEED))
    scorer = RewardModel(critic.body.requires_grad_(False), head, ChatTokenizer(model.tokenizer.hf))
    return ModelReward(scorer, precision=optimization.precision)


def strategy_of(name: str, model: LanguageModel, work: Mapping[str, Any]) -> Strategy:
    """The algorithm as the peers run it."""
    if name == "rloo":
        return GroupPolicyGradient(
            advantage=rloo,
            objective=sequence_policy_loss,
            aggregation=Aggregation.SEQUENCE_MEAN_TOKEN_SUM,
            is_by_token=False,
        )
    if name == "grpo":
        grpo = GrpoConfig()
        return GroupPolicyGradient(
            advantage=group_normalized,
            objective=grpo.objective,
            aggregation=grpo.aggregation,
            is_by_token=True,
        )
    critic = build_critic("separate", model)
    critic.head.weight.data.copy_(seeded_head(critic.head.in_features, CRITIC_SEED))
    critic.is_fresh = False
    return TokenPolicyGradient(
        critic=critic,
        discount=work["gamma"],
        decay=work["lam"],
        clip=work["cliprange"],
        clip_high=None,
        aggregation=Aggregation.TOKEN_MEAN,
        whitens=True,
        value_coefficient=work["vf_coef"],
        value_clip=work["cliprange"],
    )


def online_figures(recorder: Recorder, work: Mapping[str, Any], warmup: int) -> dict[str, Any]:
    """What an online line has besides: shares of the timed steps, speed of sampling, rewards and KL."""
    timed = [report.metrics for report in recorder.steps[warmup:]]
    total = sum(each["throughput/step_s"] for each in timed)
    parts = {
        "generation": sum(each.get("time/sample_s", 0.0) for each in timed),
        "reward": sum(each.get("time/reward_s", 0.0) for each in timed),
        "reference_old_logprobs_and_values": sum(each.get("time/reference_s", 0.0) for each in timed),
    }
    shares = {name: round(seconds / total, 3) for name, seconds in parts.items()}
    rows = work["prompts_per_step"] * work.get("group", 1)
    rollouts = sum("time/sample_s" in each for each in timed)
    return {
        "breakdown": {**shares, "training": round(1 - sum(parts.values()) / total, 3)},
        "generated_tokens_per_s": round(rows * work["completion_tokens"] * rollouts / parts["generation"], 1),
        "mean_reward": [round(value, 4) for _, value in recorder.curve("reward/mean")],
        "kl": [round(value, 5) for _, value in recorder.curve("kl/k1")],
    }
