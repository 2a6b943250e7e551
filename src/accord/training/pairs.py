"""Preferences as token ids: pairs that share their prompt's run, and pairs held out for evaluation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.domain import DataError, Preference, Streams, split_by_prompt
from accord.models.ragged import PackedCompletions, prompt_completion_batch
from accord.models.reward import RewardModel


@dataclass(frozen=True)
class PairRow:
    """One preference as ids: the prompt runs once for both answers."""

    key: str
    """Hash of its ids."""
    packed: PackedCompletions
    p_chosen: float
    weight: float
    margin: float
    is_cut: bool

    @property
    def group(self) -> tuple[list[int], list[list[int]]]:
        """Prompt ids and the ids of both answers, chosen first."""
        ids = self.packed.ragged.token_ids.tolist()
        prompt, chosen, rejected = (ids[self.packed.ragged.slice_of(i)] for i in range(3))
        return prompt, [chosen, rejected]


@dataclass(frozen=True)
class PairMicroBatch:
    """Some of an update's pairs, and the update's total weight."""

    rows: list[PairRow]
    normalizer: float

    def column(self, name: str, device: torch.device) -> Tensor:
        """One number of each pair as a float tensor [pair]."""
        return torch.tensor([getattr(row, name) for row in self.rows], dtype=torch.float32, device=device)


def tokenize_preferences(
    model: RewardModel, preferences: Sequence[Preference], *, max_tokens: int
) -> list[PairRow]:
    """Pairs as ids, both answers after one prompt; pairs of weight 0 count for nothing and are left out."""
    context: int = model.body.config.max_position_embeddings
    rows: list[PairRow] = []
    for preference in preferences:
        if preference.weight == 0:
            continue
        chosen, rejected = model.tokenizer.examples(
            preference.prompt, [preference.chosen, preference.rejected], max_tokens=min(max_tokens, context)
        )
        answers = [chosen.completion_ids, rejected.completion_ids]
        rows.append(
            PairRow(
                key=hashlib.sha256(f"{chosen.prompt_ids}{answers}".encode()).hexdigest(),
                packed=prompt_completion_batch([(chosen.prompt_ids, answers)]),
                p_chosen=preference.p_chosen,
                weight=preference.weight,
                margin=preference.margin,
                is_cut=chosen.is_truncated or rejected.is_truncated or chosen.dropped_prompt_tokens > 0,
            )
        )
    return rows


def hold_out(
    preferences: Sequence[Preference],
    eval_preferences: Sequence[Preference] | None,
    share: float,
    streams: Streams,
) -> tuple[Sequence[Preference], Sequence[Preference]]:
    """Training and held-out pairs; a prompt on both sides raises, since the figures would flatter."""
    if eval_preferences is None:
        if not share:
            return preferences, ()
        split = split_by_prompt(preferences, test_share=share, seed=streams.child("held_out").value)
        return (split.train, split.test) if split.train else (preferences, ())
    shared = {item.prompt.id for item in preferences} & {item.prompt.id for item in eval_preferences}
    if shared:
        example = next(item.prompt.text for item in eval_preferences if item.prompt.id in shared)
        raise DataError(
            f"{len(shared)} prompts stand in training and in held-out pairs, e.g. {example[:60]!r}: accuracy "
            f"on them would flatter. Split with accord.domain.split_by_prompt or `accord data split`."
        )
    return preferences, eval_preferences
