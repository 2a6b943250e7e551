"""The settings of policy optimization on the policy's own samples."""

from dataclasses import dataclass, field
from typing import Literal

from accord.domain import ConfigError
from accord.rollouts.rewards import MissingEosConfig
from accord.rollouts.sampler import SamplingConfig
from accord.training.optimizer import OptimizationConfig
from accord.training.settings import check_settings


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """How a policy is optimized on its own samples."""

    prompts_per_step: int = 8
    """Prompts in one update."""
    group_size: int = 4
    """Completions sampled for each prompt (k of RLOO); they are each other's baseline."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Length and temperature of the samples; log-probs are taken at the same temperature everywhere.
    Filters (top_p, top_k, min_p) and temperature 0 are refused: such samples are not the policy's."""
    kl_coefficient: float = 0.05
    """Beta: a completion's total is reward - beta * (log pi - log ref), the ratio summed over its tokens."""
    kl_in: Literal["reward"] = "reward"
    """Where the KL penalty is: in the reward, estimated by k1, whose gradient is then the exact KL's."""
    missing_eos: MissingEosConfig = field(default_factory=MissingEosConfig)
    """What a completion earns that was cut at max_tokens."""
    reward_scale: float = 1.0
    """Factor on rewards before the KL penalty is taken off."""
    reward_clip: float | None = None
    """Bound on the absolute reward after scaling; none leaves rewards as they are."""
    whiten_advantages: bool = False
    """Advantages of the update to mean 0, variance 1. Costs one more forward pass a step."""
    old_logprobs: Literal["learner", "sampler"] = "learner"
    """What the ratio is taken against. learner: this update's own log-probs, so that it is exactly 1 (one
    update a batch). sampler: the log-probs drawn under, which corrects for a sampler of other precision."""
    clip: float = 0.2
    """Bound on the probability ratio's distance from 1; binds only where the ratio is not 1."""
    max_kl: float | None = None
    """KL budget, nats a completion: the run ends after a step that measured more. None: no budget."""
    entropy_every: int = 1
    """Steps between measurements of the policy's entropy; 0 never measures it."""
    optimization: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(steps=50, learning_rate=1e-5, warmup_steps=2)
    )
    """Optimizer, number of steps, schedule, precision, evaluation and checkpoints."""

    def __post_init__(self) -> None:
        check_settings(
            "policy",
            self,
            (
                ("prompts_per_step", self.prompts_per_step >= 1, "1 or more"),
                ("group_size", self.group_size >= 2, "2 or more: a single sample has no baseline"),
                ("kl_coefficient", self.kl_coefficient >= 0, "0 (no penalty) or more"),
                ("kl_in", self.kl_in == "reward", "'reward'"),
                ("old_logprobs", self.old_logprobs in ("learner", "sampler"), "'learner' or 'sampler'"),
                ("clip", self.clip > 0, "above 0"),
                ("reward_scale", self.reward_scale != 0, "a number other than 0"),
                ("reward_clip", self.reward_clip is None or self.reward_clip > 0, "above 0, or none"),
                ("max_kl", self.max_kl is None or self.max_kl > 0, "above 0, or none"),
                ("entropy_every", self.entropy_every >= 0, "0 or more"),
            ),
        )
        if not self.sampling.has_full_support:
            raise ConfigError(
                "policy",
                [
                    f"sampling has temperature {self.sampling.temperature}, top_p {self.sampling.top_p}, "
                    f"top_k {self.sampling.top_k}, min_p {self.sampling.min_p}; training needs a temperature "
                    f"above 0 and no filter (top_p=1, top_k=0, min_p=0), since filtered samples are not "
                    f"drawn from the policy and bias ratio and KL"
                ],
            )
