"""PPO (Schulman et al. 2017, 1707.06347) on language, after Ziegler et al. 2019 and Huang et al. 2024 (N+).

Each token is an action; a critic gives the value of the text before it; advantages are generalized
(1506.02438), whitened over all tokens of the rollout; several epochs of minibatches with a clipped ratio.

    r_t = -beta (log pi - log ref)_t + [t is last] score          A_t = sum_k (gamma lambda)^k delta_{t+k}
    loss = -mean_t min(rho_t A_t, clip(rho_t) A_t) + c_V 1/2 mean_t max((V - R)^2, (V_clipped - R)^2)

Departs from N+ in the place of the score (on EOS, not one past it), in means over the update's tokens
whatever its split, in gradients clipped by the whole update, and in one optimizer for policy and critic.
Departs from Ziegler in the controller's gain, see `kl_control`. Leaves out an entropy bonus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack

from accord.domain import Prompt
from accord.models.language_model import LanguageModel
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.reward_loading import RewardLike, as_reward
from accord.rollouts.rewards import Reward
from accord.training.critic import CriticKind, build_critic
from accord.training.objectives.policy import Aggregation
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.settings import check_settings
from accord.training.token_gradient import TokenPolicyGradient


@dataclass(frozen=True, kw_only=True)
class PpoConfig:
    """The critic and its advantages, and how a policy is optimized at all."""

    critic: CriticKind = "shared"
    """shared: a head on the policy's trunk. separate: a copy of the policy's body. reward_model: a copy of
    the reward model, body and head, where it reads the policy's tokens."""
    discount: float = 1.0
    """Gamma: what a reward one token later is worth."""
    decay: float = 0.95
    """Lambda of generalized advantages: 0 trusts the critic one token ahead, 1 not at all."""
    value_coefficient: float = 0.1
    """Weight of the critic's loss beside the policy's."""
    value_clip: float | None = 0.2
    """How far a value may move from that of the rollout before its gain stops counting, in units of the
    reward; none leaves it out."""
    critic_warmup: int = 0
    """Rollouts at the start in which only the critic learns, and the policy stays bit for bit."""
    whiten_rewards: bool = False
    """Token rewards scaled to variance 1 over the rollout, the mean kept. Known to harm: it undoes the
    balance of score and KL that the coefficient sets (Huang et al. 2024)."""
    clip_high: float | None = None
    """Upper bound on the ratio less 1; none is `online.clip`."""
    aggregation: Aggregation = Aggregation.TOKEN_MEAN
    """How token terms become one loss."""
    online: OnlineConfig = field(
        default_factory=lambda: OnlineConfig(
            prompts_per_step=32, group_size=1, whiten_advantages=True, epochs=4
        )
    )
    """Sampling, reward shaping, KL, epochs and minibatches, optimizer and the rest."""

    def __post_init__(self) -> None:
        check_settings(
            "ppo",
            self,
            (
                (
                    "critic",
                    self.critic in ("shared", "separate", "reward_model"),
                    "shared, separate or reward_model",
                ),
                ("discount", 0 < self.discount <= 1, "above 0 and at most 1"),
                ("decay", 0 <= self.decay <= 1, "0 to 1"),
                ("value_coefficient", self.value_coefficient > 0, "above 0"),
                ("value_clip", self.value_clip is None or self.value_clip > 0, "above 0, or none"),
                ("critic_warmup", self.critic_warmup >= 0, "0 or more"),
                ("clip_high", self.clip_high is None or self.clip_high > 0, "above 0, or none"),
            ),
        )


def train_ppo(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: PpoConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward`; the arguments are those of `train_online`.

    `optimization.steps` counts updates: `epochs * minibatches` of them learn from one rollout. The critic
    is saved beside the model, in `run_dir/critic`.
    """
    settings = config if config is not None else PpoConfig()
    scorer = as_reward(reward)
    return train_online(
        model,
        prompts,
        scorer,
        settings.online,
        strategy=ppo_strategy(model, scorer, settings),
        algorithm=f"ppo {_own_settings(settings)}",
        **rest,
    )


def ppo_strategy(model: LanguageModel, reward: Reward, config: PpoConfig) -> TokenPolicyGradient:
    """What these settings learn by, with a critic for `model` as it is now."""
    reward_model = reward.reward_model if isinstance(reward, ModelReward) else None
    return TokenPolicyGradient(
        critic=build_critic(config.critic, model, reward_model=reward_model),
        discount=config.discount,
        decay=config.decay,
        clip=config.online.clip,
        clip_high=config.clip_high,
        aggregation=config.aggregation,
        whitens=config.online.whiten_advantages,
        whitens_rewards=config.whiten_rewards,
        value_coefficient=config.value_coefficient,
        value_clip=config.value_clip,
        critic_warmup=config.critic_warmup,
    )


def _own_settings(config: PpoConfig) -> str:
    """Every setting but those of the loop, for a run's identity."""
    return " ".join(f"{key}={value}" for key, value in vars(config).items() if key != "online")
