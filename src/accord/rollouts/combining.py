"""Several rewards as one: a weighted sum, or an ensemble whose disagreement counts; parts run concurrently.

What computes on this machine's own models runs in turn in the caller's thread; functions and remote
services run beside it, each in a thread of its own, and are waited for until a timeout. A thread that
did not answer in time cannot be killed: it is left behind and dies with the process.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accord.domain.errors import ConfigError, RewardError
from accord.domain.messages import Completion, Prompt
from accord.rollouts.model_reward import ModelReward
from accord.rollouts.rewards import FunctionReward, Reward, RewardScores

EnsembleRule = Literal["mean", "min", "mean_minus_variance"]


def score_all(
    rewards: Mapping[str, Reward],
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    *,
    timeout_s: float | None = None,
) -> dict[str, list[float]]:
    """The values of each reward by name, in the order given.

    Raises RewardError of the first one that failed or that did not answer within `timeout_s` of the call;
    None waits for ever.
    """
    waiting = {
        name: _Answer(name, reward, prompts, completions)
        for name, reward in rewards.items()
        if not isinstance(reward, ModelReward)
    }
    here = {
        name: reward.score(prompts, completions).values
        for name, reward in rewards.items()
        if name not in waiting
    }
    return {name: here[name] if name in here else waiting[name].wait(timeout_s) for name in rewards}


class _Answer:
    """One reward's call in a thread that does not keep the process alive."""

    def __init__(
        self, name: str, reward: Reward, prompts: Sequence[Prompt], completions: Sequence[Completion]
    ):
        self.name = name
        self.values: list[float] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(
            target=self._run, args=(reward, prompts, completions), name=f"reward {name}", daemon=True
        )
        self._thread.start()

    def _run(self, reward: Reward, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        try:
            self.values = reward.score(prompts, completions).values
        except Exception as error:
            self.error = error

    def wait(self, timeout_s: float | None) -> list[float]:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RewardError(
                f"reward {self.name!r} gave no answer within {timeout_s:g} s. Raise timeout_s, or see "
                f"to what it waits for"
            )
        if self.error is not None:
            raise self.error
        return self.values


class WeightedReward:
    """A weighted sum of named rewards; the parts are reported before weighting."""

    def __init__(
        self,
        parts: Mapping[str, tuple[float, Reward]] | Sequence[tuple[float, Reward]],
        *,
        timeout_s: float | None = None,
    ):
        named = (
            parts
            if isinstance(parts, Mapping)
            else {_name_of(item[1], i): item for i, item in enumerate(parts)}
        )
        problems = [
            f"the weight of reward {name!r} is {weight}; expected a finite number"
            for name, (weight, _) in named.items()
            if not math.isfinite(weight)
        ]
        if not named:
            problems.append("no reward to weigh; expected at least one")
        if len(named) < len(parts):
            problems.append("two rewards have the same name; give a mapping of names to (weight, reward)")
        if problems:
            raise ConfigError("weighted reward", problems)
        self.parts = dict(named)
        self.timeout_s = timeout_s

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """sum_k weight_k * part_k for each completion."""
        rewards = {name: reward for name, (_, reward) in self.parts.items()}
        scored = score_all(rewards, prompts, completions, timeout_s=self.timeout_s)
        weights = [weight for weight, _ in self.parts.values()]
        values = [
            math.fsum(weight * value for weight, value in zip(weights, row, strict=True))
            for row in zip(*scored.values(), strict=True)
        ]
        return RewardScores(values, scored)


class EnsembleReward:
    """Rewards of one kind, on one scale, whose disagreement tells where none of them is to be trusted.

        mean                 1/K sum_k r_k
        min                  min_k r_k: pays only what all members agree on (worst case)
        mean_minus_variance  mean - c 1/K sum_k (r_k - mean)^2 (uncertainty-weighted)

    Coste et al. 2023 (2310.02743), section 3.2. Members must be comparable: reward models that are centered
    on the same demonstrations are, differences of raw scores are not. Errors that all members share are
    seen by none of the rules.
    """

    def __init__(
        self,
        members: Mapping[str, Reward],
        *,
        rule: EnsembleRule = "mean",
        coefficient: float = 1.0,
        timeout_s: float | None = None,
    ):
        problems = []
        if len(members) < 2:
            problems.append(f"{len(members)} members; expected 2 or more to disagree")
        if rule not in ("mean", "min", "mean_minus_variance"):
            problems.append(f"rule is {rule!r}; expected mean, min or mean_minus_variance")
        if not 0 <= coefficient < math.inf:
            problems.append(f"coefficient is {coefficient}; expected a finite number, 0 or more")
        if problems:
            raise ConfigError("ensemble of rewards", problems)
        self.members = dict(members)
        self.rule, self.coefficient, self.timeout_s = rule, coefficient, timeout_s

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """The rule's value for each completion; parts are the members and `disagreement`, their deviation."""
        scored = score_all(self.members, prompts, completions, timeout_s=self.timeout_s)
        rows = list(zip(*scored.values(), strict=True))
        means = [math.fsum(row) / len(row) for row in rows]
        variances = [
            math.fsum((value - mean) ** 2 for value in row) / len(row)
            for row, mean in zip(rows, means, strict=True)
        ]
        if self.rule == "min":
            values = [min(row) for row in rows]
        elif self.rule == "mean":
            values = means
        else:
            values = [
                mean - self.coefficient * variance for mean, variance in zip(means, variances, strict=True)
            ]
        return RewardScores(values, {**scored, "disagreement": [math.sqrt(each) for each in variances]})


@dataclass(frozen=True, kw_only=True)
class RewardPartConfig:
    """One reward among several."""

    name: str
    """What it is called in the logs (`reward/part/NAME`) and in constraints."""
    source: str
    """A reward model folder, `module:function`, `file.py:function`, or the address of a service."""
    weight: float = 1.0
    """Its factor under rule `sum`; 0 for a part that is only bound by a constraint."""


@dataclass(frozen=True, kw_only=True)
class RewardsConfig:
    """Several rewards and how they become one."""

    parts: tuple[RewardPartConfig, ...] = ()
    """The rewards; none leaves it to `reward`."""
    rule: Literal["sum", "mean", "min", "mean_minus_variance"] = "sum"
    """sum: weighted, for parts of different meaning. The others are for an ensemble of equal members."""
    variance_coefficient: float = 1.0
    """Factor on the members' variance under `mean_minus_variance`."""
    timeout_s: float | None = 600.0
    """Seconds that functions and services may take over a batch; none waits for ever."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        problems = []
        if len(set(names)) < len(names) or "disagreement" in names:
            problems.append(f"names are {', '.join(names)}; expected different ones, none 'disagreement'")
        if self.rule != "sum" and any(part.weight != 1.0 for part in self.parts):
            problems.append(f"rule {self.rule!r} has no weights; leave them out, or use 'sum'")
        if self.timeout_s is not None and not self.timeout_s > 0:
            problems.append(f"timeout_s is {self.timeout_s}; expected above 0, or none")
        if problems:
            raise ConfigError("rewards", problems)

    def combine(self, rewards: Mapping[str, Reward]) -> Reward:
        """The loaded parts, by name, as one reward."""
        if self.rule == "sum":
            weighed = {part.name: (part.weight, rewards[part.name]) for part in self.parts}
            return WeightedReward(weighed, timeout_s=self.timeout_s)
        return EnsembleReward(
            rewards, rule=self.rule, coefficient=self.variance_coefficient, timeout_s=self.timeout_s
        )


def _name_of(reward: Reward, index: int) -> str:
    return reward.name if isinstance(reward, FunctionReward) else f"{type(reward).__name__}_{index}"
