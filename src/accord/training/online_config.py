"""The settings of policy optimization on the policy's own samples."""

from dataclasses import dataclass, field
from typing import Literal

from accord.domain import ConfigError
from accord.rollouts.rewards import MissingEosConfig
from accord.rollouts.sampler import SamplingConfig
from accord.training.lagrangian import ConstraintConfig
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
    kl_in: Literal["reward", "loss"] = "reward"
    """Where the KL penalty is: in the reward, or in the loss, summed over tokens as the loss itself is."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """How it is estimated. In the reward only k1 has the gradient of the KL. In the loss each is given it,
    and k3 or k2 with the least noise."""
    kl_target: float | None = None
    """KL, nats a completion, that the coefficient is moved to keep (Ziegler et al. 2019). None: fixed."""
    kl_gain: float = 0.1
    """Share by which the coefficient may move after a rollout, for a relative error of 1 (cut to 0.2)."""
    missing_eos: MissingEosConfig = field(default_factory=MissingEosConfig)
    """What a completion earns that was cut at max_tokens."""
    reward_scale: float = 1.0
    """Factor on rewards before the KL penalty is taken off."""
    reward_clip: float | None = None
    """Bound on the absolute reward after scaling; none leaves rewards as they are."""
    whiten_advantages: bool = False
    """Advantages of the rollout to mean 0, variance 1, over completions, or over tokens where tokens have
    their own. Costs one more forward pass where nothing else needs it."""
    old_logprobs: Literal["learner", "sampler"] = "learner"
    """What the ratio is taken against. learner: the log-probs of the policy that drew, computed as those of
    the update are, so that the first ratio is exactly 1. sampler: those kept while drawing."""
    epochs: int = 1
    """Times each rollout is learned from; `optimization.steps` counts updates."""
    minibatches: int = 1
    """Updates in an epoch, each from other prompts of the rollout; at most `prompts_per_step`."""
    stop_update_kl: float | None = None
    """KL of the policy from the one that drew the rollout, nats a token, measured in each update: above it
    the rest of the rollout's updates are left out. None: none are."""
    importance: Literal["none", "truncate", "mask"] = "none"
    """Weights for a sampler of other kernels or precision: learner over sampler probability. truncate: at
    most `importance_cap`. mask: 0 outside 1 / cap to cap. Needs a sampler that keeps log-probs."""
    importance_level: Literal["token", "sequence"] = "token"
    """Whether a token is weighed by itself or by its completion."""
    importance_cap: float = 2.0
    """Bound on the weight, 1 or more."""
    constraints: tuple[ConstraintConfig, ...] = ()
    """Bounds on named parts of the reward, kept by multipliers."""
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

    @property
    def updates_per_rollout(self) -> int:
        """Updates from one rollout that is not cut short."""
        return self.epochs * self.minibatches

    def require_groups(self, algorithm: str) -> None:
        """Refuse single samples where they are each other's baseline."""
        if self.group_size < 2:
            raise ConfigError(
                algorithm, [f"group_size is {self.group_size}; expected 2 or more: one has no baseline"]
            )

    def __post_init__(self) -> None:
        check_settings(
            "policy",
            self,
            (
                ("prompts_per_step", self.prompts_per_step >= 1, "1 or more"),
                ("group_size", self.group_size >= 1, "1 or more"),
                ("kl_coefficient", self.kl_coefficient >= 0, "0 (no penalty) or more"),
                ("kl_in", self.kl_in in ("reward", "loss"), "'reward' or 'loss'"),
                (
                    "kl_estimator",
                    self.kl_estimator == "k1" or (self.kl_estimator in ("k2", "k3") and self.kl_in == "loss"),
                    "k1 in the reward (k2 and k3 have another gradient there), or k1, k2 or k3 in the loss",
                ),
                ("kl_target", self.kl_target is None or self.kl_target > 0, "above 0, or none"),
                ("kl_gain", 0 < self.kl_gain <= 1, "above 0 and at most 1"),
                ("epochs", self.epochs >= 1, "1 or more"),
                (
                    "minibatches",
                    1 <= self.minibatches <= max(1, self.prompts_per_step),
                    f"1 to prompts_per_step = {self.prompts_per_step}",
                ),
                (
                    "stop_update_kl",
                    self.stop_update_kl is None or self.stop_update_kl > 0,
                    "above 0, or none",
                ),
                ("importance", self.importance in ("none", "truncate", "mask"), "none, truncate or mask"),
                ("importance_level", self.importance_level in ("token", "sequence"), "token or sequence"),
                ("importance_cap", self.importance_cap >= 1, "1 or more"),
                ("old_logprobs", self.old_logprobs in ("learner", "sampler"), "'learner' or 'sampler'"),
                ("clip", self.clip > 0, "above 0"),
                ("reward_scale", self.reward_scale != 0, "a number other than 0"),
                ("reward_clip", self.reward_clip is None or self.reward_clip > 0, "above 0, or none"),
                ("max_kl", self.max_kl is None or self.max_kl > 0, "above 0, or none"),
                ("entropy_every", self.entropy_every >= 0, "0 or more"),
            ),
        )
        if self.importance != "none" and self.old_logprobs == "sampler":
            raise ConfigError(
                "policy",
                [
                    f"importance = {self.importance!r} with old_logprobs = 'sampler' corrects twice: the "
                    f"ratio against the sampler is the correction already. Leave one of them out"
                ],
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
