"""Online DPO (Guo et al. 2024, 2402.04792): pairs from the policy's own samples, ranked by a reward.

    of each prompt's samples y+ has the highest total and y- the lowest
    loss = 1/P sum over prompts of softplus(-beta (log ratio of y+ - log ratio of y-))

P is all prompts of the update; one whose samples all earn the same adds 0. Any pair loss with a reference
may stand in for DPO's. Departs from the paper in the judge, which is whatever reward is given, and in the
choice of two among more than two samples. With `label_scale` the label is soft: the better sample is
preferred with probability sigmoid(scale (R+ - R-)), as a Bradley-Terry reward model means it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Unpack

import torch
from torch import Tensor

from accord.domain import Prompt
from accord.models.language_model import LanguageModel
from accord.models.logprobs import sequence_sum
from accord.rollouts.reward_loading import RewardLike
from accord.training.dpo import DpoConfig
from accord.training.objectives.direct import PairLogprobs, PairLoss, expected_losses
from accord.training.objectives.policy import Aggregation
from accord.training.online import OnlineArguments, OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.online_experience import Experience
from accord.training.online_strategy import PolicyView, Prepared, Strategy, completion_totals
from accord.training.settings import check_settings
from accord.training.task import LossPart


@dataclass(frozen=True, kw_only=True)
class OnlineDpoConfig:
    """The pair loss, and how a policy is optimized at all."""

    loss: Literal["sigmoid", "sigmoid_per_token", "ipo", "hinge", "apo_zero", "apo_down"] = "sigmoid"
    """The pair loss, as in `dpo.loss`: sigmoid is DPO."""
    beta: float = 0.1
    """How hard the policy is held to the reference; DPO's own KL penalty."""
    label_scale: float | None = None
    """Scale of the reward difference in a soft label; none takes the better sample for certain."""
    online: OnlineConfig = field(default_factory=lambda: OnlineConfig(group_size=2, kl_coefficient=0.0))
    """Sampling, reward shaping, optimizer and the rest. A KL penalty here is on top of beta's."""

    def __post_init__(self) -> None:
        self.online.require_groups("online_dpo")
        names = ("sigmoid", "sigmoid_per_token", "ipo", "hinge", "apo_zero", "apo_down")
        check_settings(
            "online_dpo",
            self,
            (
                ("loss", self.loss in names, " or ".join(names)),
                ("beta", self.beta > 0, "above 0"),
                ("label_scale", self.label_scale is None or self.label_scale > 0, "above 0, or none"),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class SampledPairs(Strategy):
    """The best and the worst sample of each prompt as a pair.

    Groups are whole in their micro-batch, so pairs are found in the training forward.
    """

    pair_loss: PairLoss
    label_scale: float | None

    def prepare(self, experience: Experience, *, reward_kl: float, rollout: int) -> Prepared:
        """Nothing beforehand; with several updates a rollout the totals stay those of its own policy."""
        if "learner" not in experience.tokens:
            return Prepared(experience, {})
        log_ratio = experience.tokens["learner"] - experience.tokens["reference"]
        totals = completion_totals(
            experience.rewards, log_ratio, experience.sequence_index, reward_kl=reward_kl
        )
        return Prepared(experience.with_completions(totals=totals.flatten()), {})

    def loss(self, view: PolicyView) -> LossPart:
        """Shares over all prompts of the update."""
        part, packed = view.part, view.part.packed
        own, index, count = view.logprobs, packed.sequence_index, packed.n_completions
        totals = part.completions.get("totals")
        if totals is None:
            log_ratio = part.log_ratio(own.detach())
            totals = completion_totals(part.rewards, log_ratio, index, reward_kl=view.reward_kl)
        grouped = totals.view_as(part.rewards)
        gap = grouped.amax(-1) - grouped.amin(-1)
        offsets = torch.arange(len(grouped), device=own.device) * grouped.shape[1]
        best, worst = offsets + grouped.argmax(-1), offsets + grouped.argmin(-1)
        sums = sequence_sum(own, index, count)
        reference = sequence_sum(part.reference_logprobs, index, count)
        lengths = torch.bincount(index, minlength=count).to(sums.dtype)
        pairs = PairLogprobs(
            sums[best], sums[worst], reference[best], reference[worst], lengths[best], lengths[worst]
        )
        labels = torch.ones_like(gap) if self.label_scale is None else (self.label_scale * gap).sigmoid()
        losses = torch.where(gap > 0, expected_losses(self.pair_loss, pairs, labels), 0.0)
        n_prompts = part.normalizers.sequences / grouped.shape[1]
        margin = (pairs.chosen_ratio - pairs.rejected_ratio).detach()
        is_right = torch.where(margin == 0, 0.5, (margin > 0).float())
        metrics: dict[str, Tensor | float] = {
            "online_dpo/accuracy": torch.where(gap > 0, is_right, 0.5).sum() / n_prompts,
            "online_dpo/margin": torch.where(gap > 0, margin, 0.0).sum() / n_prompts,
            "online_dpo/tied": (gap == 0).sum() / n_prompts,
        }
        kl = view.kl_loss(Aggregation.SEQUENCE_MEAN_TOKEN_SUM)
        return LossPart(losses.sum() / n_prompts + kl, metrics)


def train_online_dpo(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    reward: RewardLike,
    config: OnlineDpoConfig | None = None,
    **rest: Unpack[OnlineArguments],
) -> OnlineResult:
    """Optimize `model` in place against `reward`; the arguments are those of `train_online`."""
    settings = config if config is not None else OnlineDpoConfig()
    pair_loss = DpoConfig(loss=settings.loss, beta=settings.beta).pair_loss()
    return train_online(
        model,
        prompts,
        reward,
        settings.online,
        strategy=SampledPairs(pair_loss=pair_loss, label_scale=settings.label_scale),
        algorithm=f"online_dpo {settings.loss} {settings.beta} {settings.label_scale}",
        **rest,
    )
