"""Rewards from a reward model: texts are rendered anew in its own template, never the policy's ids."""

from collections.abc import Sequence
from pathlib import Path

import torch

from accord.domain.messages import Completion, Prompt
from accord.models.reward import DEFAULT_BATCH_TOKENS, RewardModel, load_reward_model
from accord.rollouts.native import Precision
from accord.rollouts.packing import has_fast_bf16
from accord.rollouts.rewards import RewardScores, check_values


class ModelReward:
    """Scores by a reward model; completions of one prompt share its run.

    A completion that was cut off is scored as it stands, with an end of turn that it did not
    write, since the model reads its score there: `MissingEosConfig` says what it then earns.
    `precision` "auto" is bf16 where the device is fast at it, as in training.
    """

    def __init__(
        self,
        reward_model: RewardModel | str | Path,
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        precision: Precision = "auto",
    ):
        if not isinstance(reward_model, RewardModel):
            reward_model = load_reward_model(reward_model)
        self.reward_model = reward_model
        self.name: str = self.reward_model.name
        self.batch_tokens = batch_tokens
        device = self.reward_model.device
        self.is_bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """The reward model's normalized score of each completion's text."""
        if not completions:
            return RewardScores([])
        was_training = self.reward_model.training
        self.reward_model.eval()
        try:
            with torch.autocast(self.reward_model.device.type, dtype=torch.bfloat16, enabled=self.is_bf16):
                values = self.reward_model.score_texts(
                    prompts, [completion.text for completion in completions], batch_tokens=self.batch_tokens
                )
        finally:
            self.reward_model.train(was_training)
        return RewardScores(check_values(values, prompts, completions, name=self.name))
