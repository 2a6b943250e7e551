"""Learning from the best of the policy's own samples: RAFT, rejection sampling, expert iteration.

    keep = "best"   the best sample of each prompt (RAFT, Dong et al. 2023, 2304.06767; best of n, distilled)
    keep = "top"    the best share of the whole rollout (ReST, Gulcehre et al. 2023, 2308.08998)
    keep = "above"  all samples with at least a threshold (ReST-EM, Singh et al. 2023, 2312.06585)

    loss = -sum of log pi over tokens of kept samples / their number, taken over the rollout

With `online.epochs` above 1 it is expert iteration: draw, keep the good, fine-tune on them, draw again.
Departs from the papers in starting each round from the policy as it is, not from the base. It takes no
gradient away from bad samples, so it moves less far than RLOO at the same reward; with `kl_in` "loss"
the KL penalty is added over all samples, kept or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Unpack

import torch

from accord.domain import Prompt
from accord.models.language_model import LanguageModel
from accord.rollouts.reward_loading import RewardLike
from accord.training.objectives.policy import Aggregation
from accord.training.objectives.selection import Keep, select_completions
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.online_experience import Experience
from accord.training.online_strategy import PolicyView, Prepared, Strategy, completion_totals
from accord.training.settings import check_settings
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig:
    """What is kept, and how a policy is optimized at all."""

    keep: Literal["best", "top", "above"] = "best"
    """best: of each prompt's samples. top: the best `share` of the rollout. above: from `threshold` on."""
    share: float = 0.25
    """For `top`: share of the rollout's samples that is learned from, at least one."""
    threshold: float = 0.0
    """For `above`: the least total that is learned from; a rollout without any teaches nothing."""
    online: OnlineConfig = field(default_factory=lambda: OnlineConfig(group_size=8, kl_coefficient=0.0))
    """Sampling, reward shaping, epochs, optimizer and the rest."""

    def __post_init__(self) -> None:
        if self.keep == "best":
            self.online.require_groups("best_of_n")
        check_settings(
            "best_of_n",
            self,
            (
                ("keep", self.keep in ("best", "top", "above"), "best, top or above"),
                ("share", 0 < self.share <= 1, "above 0 and at most 1"),
                ("threshold", -float("inf") < self.threshold < float("inf"), "a finite number"),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class KeptSamples(Strategy):
    """The likelihood of samples that were good enough."""

    keep: Keep
    share: float
    threshold: float
    ranks_by_total: bool
    """Whether the KL counts in the ranking, which takes the policy's log-probs beforehand."""

    @property
    def needs_pass(self) -> bool:
        """Only where the KL counts in the ranking."""
        return self.ranks_by_total

    def prepare(self, experience: Experience, *, reward_kl: float, rollout: int) -> Prepared:
        """Which completions are kept, and the weight that makes the loss a mean over their tokens."""
        index, totals = experience.sequence_index, experience.rewards
        if reward_kl:
            log_ratio = experience.tokens["learner"] - experience.tokens["reference"]
            totals = completion_totals(totals, log_ratio, index, reward_kl=reward_kl)
        is_kept = select_completions(totals, keep=self.keep, share=self.share, threshold=self.threshold)
        kept_tokens = int(experience.lengths[is_kept.flatten()].sum())
        weight = len(index) / kept_tokens if kept_tokens else 0.0
        metrics = {
            "kept/share": float(is_kept.float().mean()),
            "kept/reward": float(experience.rewards[is_kept].mean()) if kept_tokens else float("nan"),
        }
        return Prepared(experience.with_completions(weights=is_kept.flatten() * weight), metrics)

    def loss(self, view: PolicyView) -> LossPart:
        """The kept tokens' share of the update's mean."""
        part = view.part
        weights = part.completions["weights"][part.packed.sequence_index]
        losses = torch.where(weights > 0, -view.logprobs, 0.0) * weights
        kl = view.kl_loss(Aggregation.TOKEN_MEAN)
        return LossPart(losses.sum() / part.normalizers.tokens + kl)


def train_best_of_n(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: BestOfNConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward`; the arguments are those of `train_online`."""
    settings = config if config is not None else BestOfNConfig()
    in_reward = settings.online.kl_in == "reward" and settings.online.kl_coefficient > 0
    strategy = KeptSamples(
        keep=settings.keep, share=settings.share, threshold=settings.threshold, ranks_by_total=in_reward
    )
    return train_online(
        model,
        prompts,
        reward,
        settings.online,
        strategy=strategy,
        algorithm=f"best_of_n {settings.keep} {settings.share} {settings.threshold}",
        **rest,
    )
