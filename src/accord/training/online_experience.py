"""What a rollout leaves for learning: ids, rewards and flat numbers a token, cut into micro-batches.

An experience serves one update or several; a checkpoint between two of them holds it as tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from accord.models.ragged import PackedCompletions, TrunkStates, prompt_completion_batch
from accord.training.objectives.policy import Normalizers
from accord.training.rollout import Rollout

TOKENS, COMPLETIONS = "experience.tokens.", "experience.completions."
"""Beginnings of the names that a checkpoint keeps numbers under."""


@dataclass(frozen=True, kw_only=True)
class Experience:
    """Groups of completions; n = completion tokens of all, N = completions, in the order of the groups."""

    prompt_ids: list[list[int]]
    completion_ids: list[list[list[int]]]
    """[group][sample][token]; all groups have the same size."""
    rewards: Tensor
    """[group, sample] after shaping and constraints, before KL."""
    tokens: Mapping[str, Tensor] = field(default_factory=dict)
    """[n] each: log-probs of reference, sampler and learner; what a strategy made, such as advantages."""
    completions: Mapping[str, Tensor] = field(default_factory=dict)
    """[N] each."""

    @classmethod
    def of(cls, rollout: Rollout, rewards: Tensor) -> "Experience":
        """The ids of a rollout with the rewards it is learned from."""
        return cls(
            prompt_ids=rollout.prompt_ids,
            completion_ids=[[list(one.token_ids) for one in group] for group in rollout.groups],
            rewards=rewards,
        )

    @property
    def lengths(self) -> Tensor:
        """[N] tokens of each completion."""
        return torch.tensor(
            [len(ids) for group in self.completion_ids for ids in group], device=self.rewards.device
        )

    @property
    def sequence_index(self) -> Tensor:
        """[n] which completion a token belongs to."""
        lengths = self.lengths
        return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)

    @property
    def sizes(self) -> list[int]:
        """Tokens that run for each group."""
        return [
            len(prompt) + sum(map(len, group))
            for prompt, group in zip(self.prompt_ids, self.completion_ids, strict=True)
        ]

    def normalizers(self, members: Sequence[int], constant: int) -> Normalizers:
        """Counts of an update of these groups."""
        completions = [ids for i in members for ids in self.completion_ids[i]]
        return Normalizers(sequences=len(completions), tokens=sum(map(len, completions)), constant=constant)

    def with_tokens(self, **values: Tensor) -> "Experience":
        """The same with more numbers a token."""
        return replace(self, tokens={**self.tokens, **values})

    def with_completions(self, **values: Tensor) -> "Experience":
        """The same with more numbers a completion."""
        return replace(self, completions={**self.completions, **values})

    def pack(self, members: Sequence[int]) -> PackedCompletions:
        """These groups as a batch in which each prompt runs once."""
        packed = prompt_completion_batch([(self.prompt_ids[i], self.completion_ids[i]) for i in members])
        return packed.to(self.rewards.device)

    def token_rows(self, members: Sequence[int]) -> Tensor:
        """Places of the groups' tokens among the n, in the order of `members`."""
        counts = [sum(map(len, group)) for group in self.completion_ids]
        starts = [0, *torch.tensor(counts).cumsum(0).tolist()]
        rows = [torch.arange(starts[i], starts[i] + counts[i]) for i in members]
        return torch.cat(rows).to(self.rewards.device)

    def completion_rows(self, members: Sequence[int]) -> Tensor:
        """Places of the groups' completions among the N."""
        size = self.rewards.shape[1]
        rows = [torch.arange(i * size, (i + 1) * size) for i in members]
        return torch.cat(rows).to(self.rewards.device)

    def state(self) -> dict[str, Tensor]:
        """Itself as named tensors."""
        flat = [token for group in self.completion_ids for ids in group for token in ids]
        return {
            "experience.prompt_ids": torch.tensor([token for ids in self.prompt_ids for token in ids]),
            "experience.prompt_lengths": torch.tensor([len(ids) for ids in self.prompt_ids]),
            "experience.completion_ids": torch.tensor(flat),
            "experience.completion_lengths": self.lengths.cpu(),
            "experience.rewards": self.rewards.cpu(),
            **{TOKENS + name: values.cpu() for name, values in self.tokens.items()},
            **{COMPLETIONS + name: values.cpu() for name, values in self.completions.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> "Experience":
        """The experience that `state` was made from."""
        rewards: Tensor = state["experience.rewards"].to(device)
        completions = _cut(state["experience.completion_ids"], state["experience.completion_lengths"])
        size = rewards.shape[1]
        return cls(
            prompt_ids=_cut(state["experience.prompt_ids"], state["experience.prompt_lengths"]),
            completion_ids=[completions[i : i + size] for i in range(0, len(completions), size)],
            rewards=rewards,
            tokens=_named(state, TOKENS, device),
            completions=_named(state, COMPLETIONS, device),
        )


@dataclass(frozen=True, kw_only=True)
class OnlineMicroBatch:
    """Some whole groups of an update, with everything that does not depend on the policy's step."""

    packed: PackedCompletions
    trunk: TrunkStates | None
    rewards: Tensor
    """[group, sample]"""
    tokens: Mapping[str, Tensor]
    """[n] each, see `Experience`."""
    completions: Mapping[str, Tensor]
    """[completion] each."""
    normalizers: Normalizers
    """Counts of the update."""
    rollout: int
    """Rollouts before this one."""
    is_first: bool
    """True in the first update from a rollout, whose weights are those it was drawn under."""
    has_entropy: bool

    @property
    def reference_logprobs(self) -> Tensor:
        """[n]"""
        return self.tokens["reference"]

    def log_ratio(self, logprobs: Tensor) -> Tensor:
        """[n] log pi - log ref."""
        return logprobs - self.reference_logprobs


def _cut(flat: Tensor, lengths: Tensor) -> list[list[int]]:
    return [piece.tolist() for piece in flat.split(lengths.tolist())]


def _named(state: Mapping[str, Any], prefix: str, device: torch.device) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value.to(device) for key, value in state.items() if key.startswith(prefix)
    }
