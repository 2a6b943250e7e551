"""One batch of sampled groups: what was drawn, what it earned, and how long it took.

Checks what samplers and rewards hand over; leaves out what is learned from it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accord.domain import Completion, Prompt, RewardError, Streams, TrainingError
from accord.rollouts.rewards import MissingEosConfig, Reward, RewardScores
from accord.rollouts.sampler import Sampler, SamplingConfig
from accord.training.parallel import Ranks


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Groups of completions with their rewards; all groups have the same size."""

    prompts: list[Prompt]
    prompt_ids: list[list[int]]
    groups: list[list[Completion]]
    raw_rewards: list[list[float]]
    """As the reward gave them, [group][sample]."""
    rewards: list[list[float]]
    """After the missing-EOS rule, scale and clip, [group][sample]."""
    parts: dict[str, list[float]]
    """Named ingredients of the raw rewards, one value a completion in order."""
    sample_s: float
    reward_s: float

    @property
    def completions(self) -> list[Completion]:
        """All completions, group after group."""
        return [completion for group in self.groups for completion in group]

    @property
    def completion_tokens(self) -> int:
        """Sampled tokens, EOS included."""
        return sum(len(completion.token_ids) for completion in self.completions)

    def metrics(self) -> dict[str, float]:
        """What is known before anything is learned."""
        completions = self.completions
        raw = np.array(self.raw_rewards)
        lengths = [len(completion.token_ids) for completion in completions]
        spreads = np.ptp(np.array(self.rewards), axis=1)
        return {
            "reward/mean": float(raw.mean()),
            "reward/std": float(raw.std()),
            "reward/equal_groups": float((spreads == 0).mean()),
            **{f"reward/part/{name}": float(np.mean(values)) for name, values in self.parts.items()},
            "length/mean": float(np.mean(lengths)),
            "eos/share": float(np.mean([c.finish_reason.is_complete for c in completions])),
            "sampler/tokens_per_s": self.completion_tokens / max(self.sample_s, 1e-9),
            "time/sample_s": self.sample_s,
            "time/reward_s": self.reward_s,
        }


@dataclass(frozen=True, kw_only=True)
class RewardShaping:
    """What happens to rewards between the reward function and the algorithm, in this order."""

    missing_eos: MissingEosConfig
    scale: float
    clip: float | None

    def apply(self, values: Sequence[float], completions: Sequence[Completion]) -> list[float]:
        """The missing-EOS rule, then the factor, then the bound on the absolute value."""
        bound = math.inf if self.clip is None else self.clip
        ruled = self.missing_eos.apply(values, completions)
        return [max(-bound, min(bound, value * self.scale)) for value in ruled]


def roll_out(
    prompts: Sequence[Prompt],
    prompt_ids: Sequence[list[int]],
    *,
    sampler: Sampler,
    reward: Reward,
    group_size: int,
    sampling: SamplingConfig,
    shaping: RewardShaping,
    streams: Streams,
) -> Rollout:
    """Sample a group for each prompt and score it."""
    started = time.perf_counter()
    groups = sampler.sample(prompts, group=group_size, config=sampling, streams=streams)
    sampled = time.perf_counter()
    _check_groups(groups, len(prompts), group_size)
    owners = [prompt for prompt, group in zip(prompts, groups, strict=True) for _ in group]
    completions = [completion for group in groups for completion in group]
    scores = _scores(reward, owners, completions)
    shaped = shaping.apply(scores.values, completions)
    return Rollout(
        prompts=list(prompts),
        prompt_ids=list(prompt_ids),
        groups=groups,
        raw_rewards=_grouped(scores.values, group_size),
        rewards=_grouped(shaped, group_size),
        parts=scores.parts,
        sample_s=sampled - started,
        reward_s=time.perf_counter() - sampled,
    )


def _scores(reward: Reward, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
    """What the reward gives. Among ranks the first asks and tells the others: services are asked once."""
    ranks = Ranks.current()
    scores, problem = None, ""
    if ranks.is_first:
        try:
            scores = reward.score(prompts, completions)
        except Exception as error:
            problem = str(error) or type(error).__name__
            ranks.from_first((scores, problem))
            raise
    scores, problem = ranks.from_first((scores, problem))
    if problem:
        raise RewardError(f"rank 0: {problem}")
    assert scores is not None
    return scores


def _check_groups(groups: Sequence[Sequence[Completion]], n_prompts: int, group_size: int) -> None:
    sizes = sorted({len(group) for group in groups})
    if len(groups) != n_prompts or sizes != [group_size]:
        raise TrainingError(
            f"the sampler gave {len(groups)} groups of {sizes} completions for {n_prompts} prompts; expected "
            f"one group of {group_size} for each prompt, in the order of the prompts"
        )
    if any(not completion.token_ids for group in groups for completion in group):
        raise TrainingError(
            "the sampler gave a completion without token ids, which has no action to learn from. A sampler "
            "for training gives the ids it drew (ScriptedSampler does with a tokenizer)"
        )


def _grouped(values: Sequence[float], group_size: int) -> list[list[float]]:
    return [list(values[start : start + group_size]) for start in range(0, len(values), group_size)]
