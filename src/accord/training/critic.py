"""The value model of PPO: a linear head over hidden states, on the policy's own trunk or on a body apart.

Values are fp32 and dropout is off. A fresh head is 0 with a bias that the first rollout sets to its mean
return, so that the critic starts as the best constant. Leaves out losses and advantages.
"""

import copy
from pathlib import Path
from typing import Literal, cast

import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.domain import ConfigError, content_hash
from accord.domain.files import atomic_folder
from accord.models.language_model import LanguageModel, copy_network
from accord.models.ragged import PackedCompletions, body_of, hidden_states
from accord.models.reward import RewardModel
from accord.models.weights import hash_weights

CriticKind = Literal["shared", "separate", "reward_model"]


class Critic(nn.Module):
    """Values of the text before each token: head(state), the state from its own body or handed in."""

    def __init__(self, head: nn.Linear, body: PreTrainedModel | None = None, *, is_fresh: bool = True):
        super().__init__()
        self.head = head
        self.body = body
        self.is_fresh = is_fresh
        """True where the head began at 0 and the first rollout is to place it."""

    @property
    def version(self) -> str:
        """A hash of its weights."""
        return hash_weights(sorted(self.state_dict().items()))

    def values(self, packed: PackedCompletions, policy_states: Tensor) -> Tensor:
        """[n] fp32 values at the completion tokens; `policy_states` [n, D] are read by a shared head only."""
        states = policy_states
        if self.body is not None:
            states = hidden_states(self.body, packed.ragged)[packed.predictor_index]
        with torch.autocast(states.device.type, enabled=False):
            return self.head(states.float()).squeeze(-1)

    @torch.no_grad()
    def place(self, mean_return: float) -> None:
        """Let a head of zeros start at the mean return."""
        self.head.bias.fill_(mean_return)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """What learns, by names that no policy weight has."""
        return [
            (f"critic.{name}", weight) for name, weight in self.named_parameters() if weight.requires_grad
        ]

    def save(self, folder: Path) -> None:
        """Write what it trained to `folder`, one safetensors file; frozen weights are the policy's base."""
        weights = {name: weight.detach().contiguous() for name, weight in self.trained()}
        with atomic_folder(folder) as place:
            safetensors.torch.save_file(weights, place / "critic.safetensors")


def build_critic(
    kind: CriticKind, policy: LanguageModel, *, reward_model: RewardModel | None = None
) -> Critic:
    """A critic for `policy`.

    shared: a head of zeros on the policy's trunk, whose gradient reaches the trunk. separate: a copy of
    the policy's body (what is frozen in the policy is shared and stays frozen) under a head of zeros.
    reward_model: the reward model's body and head, so that values start as its scores of what is written
    so far; it must read the policy's ids, which a model with another tokenizer does not.
    """
    width = policy.head_weight.shape[1]
    if kind == "reward_model":
        return _from_reward_model(policy, reward_model)
    head = nn.Linear(width, 1, device=policy.device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    if kind == "shared":
        return Critic(head)
    body = copy_network(body_of(policy), share=lambda weight: not weight.requires_grad)
    return Critic(head, cast(PreTrainedModel, body).eval())


def _from_reward_model(policy: LanguageModel, reward_model: RewardModel | None) -> Critic:
    if reward_model is None:
        raise ConfigError(
            "ppo",
            ["critic = 'reward_model' needs the reward to be one reward model; use 'separate' or 'shared'"],
        )
    own, other = (each.hf.get_vocab() for each in (policy.tokenizer, reward_model.tokenizer))
    if (
        content_hash(own) != content_hash(other)
        or policy.tokenizer.stop_ids != reward_model.tokenizer.stop_ids
    ):
        raise ConfigError(
            "ppo",
            [
                f"critic = 'reward_model' starts from {reward_model.name!r}, whose tokenizer is not that of "
                f"the policy {policy.name!r}: its values would be of other texts. Use 'separate' or 'shared'"
            ],
        )
    body = copy.deepcopy(reward_model.body).eval()
    nn.Module.to(body, policy.device)
    for weight in body.parameters():
        weight.requires_grad_(True)
    head = nn.Linear(reward_model.head.in_features, 1, device=policy.device, dtype=torch.float32)
    with torch.no_grad():
        mixed = (reward_model.mix[:, None] * reward_model.head.weight).sum(0, keepdim=True)
        head.weight.copy_(mixed * reward_model.scale)
        bias = reward_model.head.bias
        start = 0.0 if bias is None else float((reward_model.mix * bias).sum())
        head.bias.fill_(start * float(reward_model.scale) + float(reward_model.offset))
    return Critic(head, body, is_fresh=False)
