"""Answers as a reward model reads them: rows of ids, the tokens it is asked at, and what was said of them.

A row is one record: a ranking, a rated answer, an answer in steps, a judgment. Leaves out what is learnt from
it: that is the objective's (`rankings`, `ratings`, `stepwise`, `habits`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from accord.domain import Prompt, content_hash
from accord.models.ragged import PackedCompletions, body_of
from accord.models.reward import RewardModel
from accord.training.task import LossPart


@dataclass(frozen=True)
class AnswerRow:
    """One record as ids."""

    prompt_ids: list[int]
    answers: tuple[list[int], ...]
    """Ids of each answer."""
    reads: tuple[tuple[int, ...], ...]
    """For each answer the places in it whose hidden states are scored, in order."""
    said: tuple[Any, ...]
    """What the objective learns from, in its own terms; JSON."""
    weight: float = 1.0
    """Its part of the loss's denominator: 1 of a ranking or judgment, else its rated cells or steps."""
    is_cut: bool = False

    @property
    def n_tokens(self) -> int:
        """Tokens that run, the prompt once."""
        return len(self.prompt_ids) + sum(map(len, self.answers))

    @property
    def n_plain_tokens(self) -> int:
        """Tokens of the same work with the prompt repeated before each answer."""
        return len(self.prompt_ids) * len(self.answers) + sum(map(len, self.answers))

    @property
    def n_reads(self) -> int:
        """Scores that come out of it."""
        return sum(map(len, self.reads))

    @property
    def key(self) -> str:
        """Hash of its ids."""
        return content_hash([self.prompt_ids, [list(ids) for ids in self.answers]])


@dataclass(frozen=True)
class AnswerMicroBatch:
    """Some rows of an update, and the update's denominator."""

    rows: list[AnswerRow]
    normalizer: float


class RewardObjective(Protocol):
    """What a reward model learns from one kind of record. Scores come as [read, dimension], row after row."""

    dimensions: tuple[str, ...]
    """Names of the head's outputs."""
    mix: tuple[float, ...]
    """What each counts in the one score of the finished model."""

    def rows(self, model: RewardModel, records: Sequence[Any], *, max_tokens: int) -> list[AnswerRow]:
        """The records as ids; those that can teach nothing are left out."""
        ...

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What is learnt beside the model and dropped at use; none for most."""
        ...

    def loss(self, scores: Tensor, rows: Sequence[AnswerRow], normalizer: float) -> LossPart:
        """The rows' share of the update's loss: a sum over `normalizer`, the weight of the update."""
        ...

    def evaluate(self, scores: Tensor, rows: Sequence[AnswerRow]) -> dict[str, float]:
        """Held-out metrics of `scores` in fp64 on the CPU; `rows` is not empty."""
        ...

    def report(self) -> Mapping[str, Any]:
        """What was learnt beside the model, for `beside.json` in the run's folder; {} for nothing."""
        ...


def last_token_row(
    model: RewardModel,
    prompt: Prompt,
    answers: Sequence[str],
    *,
    said: Sequence[Any],
    max_tokens: int,
    weight: float = 1.0,
) -> AnswerRow:
    """A row whose answers are each read at their last token, cut by the rules of `ChatTokenizer.examples`."""
    examples = model.tokenizer.examples(prompt, answers, max_tokens=row_tokens(model, max_tokens))
    return AnswerRow(
        prompt_ids=examples[0].prompt_ids,
        answers=tuple(example.completion_ids for example in examples),
        reads=tuple((len(example.completion_ids) - 1,) for example in examples),
        said=tuple(said),
        weight=weight,
        is_cut=any(example.is_truncated or example.dropped_prompt_tokens > 0 for example in examples),
    )


def row_tokens(model: RewardModel, max_tokens: int) -> int:
    """Longest row: `max_tokens`, never above the model's context."""
    context: int = body_of(model.body).config.max_position_embeddings
    return min(max_tokens, context)


def read_index(packed: PackedCompletions, rows: Sequence[AnswerRow]) -> Tensor:
    """[read] Rows of the packed batch whose hidden states are scored, in order; on the batch's device."""
    starts = [
        last - length + 1
        for last, length in zip(packed.last_index.tolist(), packed.completion_lengths, strict=True)
    ]
    reads = [places for row in rows for places in row.reads]
    index = [start + place for start, places in zip(starts, reads, strict=True) for place in places]
    return torch.tensor(index, dtype=torch.long, device=packed.last_index.device)


def per_row(scores: Tensor, rows: Sequence[AnswerRow]) -> tuple[Tensor, ...]:
    """`scores` [read, ...] cut into one piece a row."""
    return scores.split([row.n_reads for row in rows])
