"""Bounds on rewards: maximize one subject to others, by multipliers that rise while a bound is broken.

    maximize E[R] subject to E[c_i] >= b_i
    reward of a completion: (R + sum_i lambda_i c_i) / (1 + sum_i lambda_i)
    log lambda_i <- clip(log lambda_i + rate (b_i - mean c_i), log LEAST, log most)

The division keeps the size of the reward, and with it the step, as multipliers grow (Dai et al. 2023, "Safe
RLHF", 2310.12773, section 3.3 and appendix). Departs from their update, which multiplies the step by lambda
itself: on the log scale a multiplier near 0 would then not come back. Leaves out the model: it moves numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accord.domain import ConfigError, TrainingError

LEAST_MULTIPLIER = 1e-4
"""Lower end of the projection: small enough to count for nothing, and near enough to come back from."""


@dataclass(frozen=True, kw_only=True)
class ConstraintConfig:
    """A bound on the mean of a named part of the reward."""

    part: str
    """Name of the part, as `reward/part/*` logs it; its weight in the reward itself may be 0."""
    at_least: float
    """The mean over the rollout's completions that is asked for, in the part's own units."""
    start: float = 1.0
    """The multiplier before the first rollout."""
    rate: float = 0.1
    """Step of the multiplier's logarithm for one unit of violation."""
    most: float = 100.0
    """Upper end of the projection."""

    def __post_init__(self) -> None:
        problems = []
        if not math.isfinite(self.at_least):
            problems.append(f"at_least is {self.at_least}; expected a finite number")
        if not LEAST_MULTIPLIER <= self.start <= self.most < math.inf:
            problems.append(
                f"start is {self.start} and most {self.most}; expected {LEAST_MULTIPLIER} <= start <= most"
            )
        if not 0 < self.rate < math.inf:
            problems.append(f"rate is {self.rate}; expected a finite number above 0")
        if problems:
            raise ConfigError(f"constraint on {self.part!r}", problems)


class Lagrangian:
    """The multipliers of some constraints; equal state gives equal rewards, so that a run can be resumed."""

    def __init__(
        self, constraints: Sequence[ConstraintConfig], multipliers: Mapping[str, float] | None = None
    ):
        self.constraints = tuple(constraints)
        names = [constraint.part for constraint in constraints]
        if len(set(names)) < len(names):
            raise ConfigError("constraints", [f"a part is bound twice: {', '.join(names)}; bind each once"])
        starts = {constraint.part: constraint.start for constraint in constraints}
        self.multipliers: Mapping[str, float] = {**starts, **(multipliers or {})}

    def rewards(self, values: Sequence[float], parts: Mapping[str, Sequence[float]]) -> list[float]:
        """One reward a completion from the one that is maximized and the bound parts."""
        if not self.constraints:
            return list(values)
        self._require(parts)
        scale = 1.0 + math.fsum(self.multipliers.values())
        return [
            math.fsum([value, *(weight * parts[name][i] for name, weight in self.multipliers.items())])
            / scale
            for i, value in enumerate(values)
        ]

    def after(self, parts: Mapping[str, Sequence[float]]) -> "Lagrangian":
        """The multipliers after a rollout with these parts: up where a bound is broken, down where not."""
        self._require(parts)
        moved = {}
        for constraint in self.constraints:
            violation = constraint.at_least - _mean(parts[constraint.part])
            log_multiplier = math.log(self.multipliers[constraint.part]) + constraint.rate * violation
            highest, lowest = math.log(constraint.most), math.log(LEAST_MULTIPLIER)
            moved[constraint.part] = math.exp(min(max(log_multiplier, lowest), highest))
        return Lagrangian(self.constraints, moved)

    def metrics(self, parts: Mapping[str, Sequence[float]]) -> dict[str, float]:
        """The multiplier each reward was made with, and how far its bound is broken."""
        found = {f"constraint/multiplier/{name}": value for name, value in self.multipliers.items()}
        for constraint in self.constraints:
            violation = constraint.at_least - _mean(parts[constraint.part])
            found[f"constraint/violation/{constraint.part}"] = violation
        return found

    def _require(self, parts: Mapping[str, Sequence[float]]) -> None:
        missing = [constraint.part for constraint in self.constraints if constraint.part not in parts]
        if missing:
            raise TrainingError(
                f"the reward has no part {', '.join(missing)}, which a constraint binds; it has "
                f"{', '.join(parts) or 'none'}. Name the rewards (a mapping, or [rewards] in a config)"
            )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
