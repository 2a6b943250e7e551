"""Weights of groups of annotators: as they come, each group alike, or more where the loss is high.

Group distributionally robust optimization (Sagawa et al. 2020, algorithm 1): weights q start equal, and after
each update q_g is multiplied by exp(step * mean loss of g) and all are normalized; a row of group g counts
q_g / (share of g in the training weight). Leaves out who is in which group.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accord.domain import DataError
from accord.training.settings import check_settings

Mode = Literal["none", "balanced", "worst"]


@dataclass(frozen=True, kw_only=True)
class GroupWeightsConfig:
    """How groups of annotators count in the loss."""

    mode: Mode = "none"
    """none: each pair as its weight says; balanced: each group alike; worst: more where the loss is high."""
    key: str = "group"
    """Field of a pair's `meta` that names its group."""
    step: float = 0.05
    """How fast `worst` moves; 0 leaves it balanced."""

    def __post_init__(self) -> None:
        check_settings(
            "group_weights",
            self,
            (("key", bool(self.key), "a field's name"), ("step", 0 <= self.step < math.inf, "0 or more")),
        )


class GroupWeights:
    """The weights as training goes on; `groups` and `weights` are those of the training pairs."""

    def __init__(self, config: GroupWeightsConfig, groups: Sequence[str], weights: Sequence[float]):
        self.config = config
        self.shares: dict[str, float] = {}
        if config.mode == "none":
            return
        if "" in groups:
            raise DataError(
                f"{groups.count('')} of {len(groups)} training pairs name no group in meta.{config.key}; "
                "give each one, or leave group_weights.mode at none"
            )
        total = math.fsum(weights)
        for group, weight in zip(groups, weights, strict=True):
            self.shares[group] = self.shares.get(group, 0.0) + weight / total
        self.shares = dict(sorted(self.shares.items()))
        self.parts = {group: 1.0 / len(self.shares) for group in self.shares}
        self._seen: dict[str, tuple[float, float]] = {}

    def factor(self, group: str) -> float:
        """What a pair's weight is multiplied by; its mean over the training weight is 1."""
        return 1.0 if not self.shares else self.parts[group] / self.shares[group]

    def note(self, group: str, loss: float, weight: float) -> None:
        """Remember a pair's loss for the next `move`."""
        if self.config.mode == "worst":
            total, count = self._seen.get(group, (0.0, 0.0))
            self._seen[group] = (total + weight * loss, count + weight)

    def move(self) -> None:
        """After an update: more weight for the groups whose loss was high; unseen ones stay as they are."""
        if not self.shares or not self._seen:
            return
        grown = dict(self.parts)
        for group, (total, count) in self._seen.items():
            if count > 0:
                grown[group] *= math.exp(self.config.step * total / count)
        whole = math.fsum(grown.values())
        self.parts = {group: part / whole for group, part in grown.items()}
        self._seen = {}

    def state_dict(self) -> dict[str, float]:
        """The weights now, what was noted included."""
        self.move()
        return dict(self.parts) if self.shares else {}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up where `state_dict` was called."""
        if self.shares and state:
            self.parts = dict(state)
            self._seen = {}
