"""Rewards: anything that gives each completion a number, checked before training sees it.

A reward may be a Python function, a reward model (`model_reward`), a service (`remote`), or several of
them (`combining`). Leaves out the KL penalty, which belongs to the algorithm.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal, Protocol, runtime_checkable

from accord.domain.errors import ConfigError, RewardError
from accord.domain.messages import Completion, Prompt

ScoreFunction = Callable[[Sequence[Prompt], Sequence[Completion]], Sequence[float]]


@dataclass(frozen=True)
class RewardScores:
    """One finite number for each completion, and what it is made of."""

    values: list[float]
    parts: dict[str, list[float]] = field(default_factory=dict)
    """Named ingredients before weighting, for the logs; empty when there is only one."""


@runtime_checkable
class Reward(Protocol):
    """Scores completions; prompt `i` belongs to completion `i`."""

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """A finite number for each completion, higher is better."""
        ...


class FunctionReward:
    """A Python function `f(prompts, completions)` that returns one number for each completion.

    What it gets are records: `prompt.text`, `completion.text` and so on. An exception, a value that
    is no finite number, or a wrong count raises RewardError with the function, the prompt and the cause.
    """

    def __init__(self, function: ScoreFunction, *, name: str | None = None):
        self.function = function
        self.name = name if name is not None else str(getattr(function, "__name__", type(function).__name__))

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardScores:
        """Call the function once for the whole batch and check what it returns."""
        if not completions:
            return RewardScores([])
        try:
            returned = self.function(prompts, completions)
        except Exception as error:
            raise RewardError(
                f"reward {self.name!r} raised {type(error).__name__}: {error}, on {len(prompts)} prompts "
                f"from {_shown(prompts[0].text)} on. Mend the function; try it on these prompts alone"
            ) from error
        return RewardScores(check_values(returned, prompts, completions, name=self.name))


def check_values(
    returned: object, prompts: Sequence[Prompt], completions: Sequence[Completion], *, name: str
) -> list[float]:
    """What a reward returned, as floats; RewardError when it is not one finite number for each completion."""
    listed = getattr(returned, "tolist", lambda: returned)()
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise RewardError(
            f"reward {name!r} returned {_shown(returned)} of type {type(returned).__name__}; expected a list "
            f"of {len(completions)} numbers, one for each completion"
        )
    if len(listed) != len(completions):
        raise RewardError(
            f"reward {name!r} returned {len(listed)} values for {len(completions)} completions; expected "
            f"one each, in the order given"
        )
    for prompt, completion, value in zip(prompts, completions, listed, strict=True):
        if not isinstance(value, Real) or not math.isfinite(value):
            raise RewardError(
                f"reward {name!r} returned {_shown(value)} for the completion {_shown(completion.text)} to "
                f"the prompt {_shown(prompt.text)}; expected a finite number. Return a low number for "
                f"what you cannot score, or leave such prompts out"
            )
    return [float(value) for value in listed]


@dataclass(frozen=True, kw_only=True)
class MissingEosConfig:
    """What a completion earns that ran out of tokens before its end: two conventions, or neither."""

    mode: Literal["keep", "subtract", "replace"] = "keep"
    """keep: the reward as it is; subtract: less `value` (TRL); replace: `value` instead (Stiennon 2020)."""
    value: float = 1.0
    """The penalty to subtract (0 or more), or the reward to put in place."""

    def __post_init__(self) -> None:
        problems = []
        if self.mode not in ("keep", "subtract", "replace"):
            problems.append(f"mode is {self.mode!r}; expected keep, subtract or replace")
        if not math.isfinite(self.value):
            problems.append(f"value is {self.value}; expected a finite number")
        if self.mode == "subtract" and self.value < 0:
            problems.append(f"value is {self.value}; a penalty to subtract is 0 or more")
        if problems:
            raise ConfigError("missing_eos", problems)

    def apply(self, values: Sequence[float], completions: Sequence[Completion]) -> list[float]:
        """Rewards after the rule; completions that the model ended itself are not touched."""
        if self.mode == "keep":
            return list(values)
        return [
            value if completion.finish_reason.is_complete else self._of_cut(value)
            for value, completion in zip(values, completions, strict=True)
        ]

    def _of_cut(self, value: float) -> float:
        return value - self.value if self.mode == "subtract" else self.value


def _shown(value: object, *, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
