"""GRPO (Shao et al. 2024, 2402.03300) and what came of it: group-normalized advantages, tokens as actions.

One family of settings over `train_online`; each published name is a few of them:

    GRPO      the defaults
    Dr. GRPO  divides_by_std=False, aggregation="sequence_mean_token_constant"   (2503.20783)
    DAPO      clip_high=0.28, aggregation="token_mean"                           (2503.14476)
    GSPO      ratio="sequence"                                                   (2507.18071)
    CISPO     ratio="weight", clip_high=..., aggregation="token_mean"            (2506.13585)

Departs from the papers in the KL penalty, which is in the reward by k1 unless `online.kl_in` is "loss"
(theirs is in the loss by a k3 without its ratio, or absent: `online.kl_coefficient=0`), and in one update
a rollout unless `online.epochs` or `online.minibatches` say otherwise. Leaves out DAPO's resampling of
groups without spread and its penalty of overlong answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Unpack

from accord.domain import ConfigError, Prompt
from accord.models.language_model import LanguageModel
from accord.rollouts.reward_loading import RewardLike
from accord.training.objectives.advantages import group_normalized
from accord.training.objectives.policy import (
    Aggregation,
    cispo_loss,
    sequence_policy_loss,
    token_policy_loss,
)
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.online_strategy import GroupPolicyGradient, PolicyObjective

CISPO_CLIP = 4.0
"""Highest weight less 1 of CISPO where `clip_high` is not given: far out, as its authors advise."""


@dataclass(frozen=True, kw_only=True)
class GrpoConfig:
    """What tells the members of the family apart, and how a policy is optimized at all."""

    divides_by_std: bool = True
    """Advantages over the group's standard deviation; False leaves easy and hard prompts their own size."""
    aggregation: Aggregation = Aggregation.SEQUENCE_MEAN_TOKEN_MEAN
    """How token terms become one loss; not used by `ratio` sequence."""
    ratio: Literal["token", "sequence", "weight"] = "token"
    """token: each token has its ratio. sequence: the geometric mean over the completion (GSPO).
    weight: the clipped ratio weighs the token's log-probability and has no gradient (CISPO)."""
    clip_high: float | None = None
    """Upper bound on the ratio less 1; none is `online.clip`."""
    online: OnlineConfig = field(default_factory=lambda: OnlineConfig(group_size=8))
    """Sampling, reward shaping, KL, optimizer and the rest."""

    def __post_init__(self) -> None:
        self.online.require_groups("grpo")
        problems = []
        corrects_tokens = self.online.importance != "none" and self.online.importance_level == "token"
        if self.ratio == "sequence" and corrects_tokens:
            problems.append("importance_level is 'token'; with ratio 'sequence' use 'sequence'")
        if self.ratio not in ("token", "sequence", "weight"):
            problems.append(f"ratio is {self.ratio!r}; expected token, sequence or weight")
        if self.clip_high is not None and not self.clip_high > 0:
            problems.append(
                f"clip_high is {self.clip_high}; expected above 0, or none for that of `online.clip`"
            )
        if problems:
            raise ConfigError("grpo", problems)

    @property
    def objective(self) -> PolicyObjective:
        """The loss these settings name."""
        clip, high = self.online.clip, self.clip_high
        if self.ratio == "sequence":
            return partial(sequence_policy_loss, clip=clip, clip_high=high, is_length_normalized=True)
        if self.ratio == "weight":
            bound = CISPO_CLIP if high is None else high
            return partial(cispo_loss, clip_high=bound, aggregation=self.aggregation)
        return partial(token_policy_loss, clip=clip, clip_high=high, aggregation=self.aggregation)


def train_grpo(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: GrpoConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward`; the arguments are those of `train_online`."""
    settings = config if config is not None else GrpoConfig()
    strategy = GroupPolicyGradient(
        advantage=partial(group_normalized, divides_by_std=settings.divides_by_std),
        objective=settings.objective,
        aggregation=settings.aggregation,
        is_by_token=settings.ratio != "sequence",
        whitens=settings.online.whiten_advantages,
    )
    names = (settings.ratio, settings.aggregation, settings.divides_by_std, settings.clip_high)
    return train_online(
        model,
        prompts,
        reward,
        settings.online,
        strategy=strategy,
        algorithm="grpo " + " ".join(map(str, names)),
        **rest,
    )
