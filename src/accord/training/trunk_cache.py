"""Hidden states after the frozen lower layers, kept from epoch to epoch within a memory budget."""

import torch

from accord.models.ragged import (
    PackedCompletions,
    TrunkStates,
    can_split,
    frozen_layers,
    prompt_completion_batch,
    trunk_states,
)
from accord.models.reward import RewardModel

BYTES_PER_GB = 1e9

GroupIds = tuple[list[int], list[list[int]]]
"""A prompt's ids and those of its answers."""


class TrunkCache:
    """States of single groups by key. What does not fit the budget is computed again.

    Groups run through the trunk one by one, cached or not: their states then do not
    depend on which groups they share a batch with, and a resumed run has the same bits.
    """

    def __init__(self, model: RewardModel, budget_gb: float):
        self.model = model
        self.n_layers = frozen_layers(model.body) if budget_gb > 0 else 0
        self._room = int(budget_gb * BYTES_PER_GB)
        self._kept: dict[str, torch.Tensor] = {}

    def states(self, groups: list[tuple[str, GroupIds]], batch: PackedCompletions) -> TrunkStates | None:
        """States of `batch`, made of `groups` in this order; None when no layer is frozen."""
        if not self.n_layers or not can_split(self.model.body, batch.ragged):
            return None
        values = torch.cat([self._of(key, ids) for key, ids in groups])
        return TrunkStates(values.to(self.model.device), self.n_layers)

    def _of(self, key: str, ids: GroupIds) -> torch.Tensor:
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        was_training = self.model.body.training
        self.model.body.eval()
        with torch.no_grad():
            ragged = prompt_completion_batch([ids]).ragged.to(self.model.device)
            values = trunk_states(self.model.body, ragged, self.n_layers).values
        self.model.body.train(was_training)
        size = values.numel() * values.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[key] = values
        return values
