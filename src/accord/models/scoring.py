"""From a reward head's outputs to one score: members combined, length taken out, a temperature.

Travels with the saved model. Leaves out fitting any of it (`training/`).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from accord.domain.errors import ModelError

Rule = Literal["mean", "worst_case", "variance_penalty"]
RULES: tuple[Rule, ...] = ("mean", "worst_case", "variance_penalty")


@dataclass(frozen=True)
class EnsembleScores:
    """What the members of a reward model say of each answer, on the scale of its scores."""

    mean: Float[Tensor, " answer"]
    std: Float[Tensor, " answer"]
    """Over members, divided by their number less one; zeros for a single member."""
    members: Float[Tensor, "answer member"]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a score is made of a head's outputs; the default leaves a head of one output as it is."""

    members: int = 1
    """Outputs that are members of one ensemble; 1: outputs are dimensions of a score, or the score."""
    rule: Rule = "mean"
    """mean; worst_case: the lowest member; variance_penalty: mean - penalty * variance over members."""
    penalty: float = 1.0
    """Weight of the variance (divided by the number of members, as in Coste et al. 2023)."""
    centers: tuple[float, ...] = ()
    """Taken from each member first, so that their arbitrary zeros agree; they add up to 0, one a member."""
    length_slope: float = 0.0
    """Reward a token brings at equal preference; it is taken out again."""
    length_center: float = 0.0
    """Tokens at which taking it out changes nothing."""
    temperature: float = 1.0
    """A difference of raw scores divided by it is the log-odds that people prefer the higher."""

    def __post_init__(self) -> None:
        numbers = (self.penalty, self.length_slope, self.length_center, self.temperature, *self.centers)
        if self.members < 1 or self.rule not in RULES or self.temperature <= 0 or self.penalty < 0:
            raise ModelError(
                f"scoring of {self.members} members by {self.rule!r}, penalty {self.penalty}, temperature "
                f"{self.temperature}: expected 1 or more members, one of {', '.join(RULES)}, a penalty of 0 "
                f"or more and a temperature above 0"
            )
        if not all(map(math.isfinite, numbers)) or len(self.centers) not in (0, self.members):
            raise ModelError(f"{len(self.centers)} centers for {self.members} members, or one not finite")

    @property
    def is_ensemble(self) -> bool:
        """Whether there are several members."""
        return self.members > 1

    @property
    def is_plain(self) -> bool:
        """Whether a score is what the head says."""
        return not self.is_ensemble and self.length_slope == 0.0

    def centered(self, members: Float[Tensor, "answer member"]) -> Float[Tensor, "answer member"]:
        """Raw members with their zeros in one place."""
        return members - members.new_tensor(self.centers) if self.centers else members

    def combine(self, members: Float[Tensor, "answer member"]) -> Float[Tensor, " answer"]:
        """One raw score for each answer by the rule."""
        centered = self.centered(members)
        if self.rule == "worst_case":
            return centered.amin(-1)
        mean = centered.mean(-1)
        return mean if self.rule == "mean" else mean - self.penalty * centered.var(-1, correction=0)

    def without_length(
        self, raw: Float[Tensor, " answer"], tokens: Float[Tensor, " answer"]
    ) -> Float[Tensor, " answer"]:
        """Raw scores less what length brings."""
        return raw - self.length_slope * (tokens - self.length_center)

    def facts(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {**asdict(self), "centers": list(self.centers)}


def read_scoring(facts: Mapping[str, Any]) -> Scoring:
    """From what `facts` gave; `ModelError` where it does not fit."""
    try:
        return Scoring(**{**facts, "centers": tuple(facts.get("centers", ()))})
    except TypeError as error:
        raise ModelError(f"the scoring of the reward model does not fit: {error}") from error
