"""Preferences as token ids: pairs that share their prompt's run, and pairs held out for evaluation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from accord.domain import DataError, Preference, Streams, split_by_prompt
from accord.models.language_model import LanguageModel
from accord.models.ragged import body_of
from accord.models.reward import RewardModel


@dataclass(frozen=True)
class PairRow:
    """One preference as ids."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    p_chosen: float = 1.0
    weight: float = 1.0
    margin: float = 0.0
    is_cut: bool = False
    group: str = ""
    """Whose judgment it is, where groups are weighed."""
    counts: tuple[float, ...] = (1.0,)
    """[member] How often each member of an ensemble learns from it."""

    @property
    def key(self) -> str:
        """Hash of its ids."""
        ids = f"{self.prompt_ids}{[self.chosen_ids, self.rejected_ids]}"
        return hashlib.sha256(ids.encode()).hexdigest()


@dataclass(frozen=True)
class PairGroup:
    """Pairs of one prompt that run together: the prompt once, and each distinct answer once."""

    rows: tuple[PairRow, ...]
    answers: tuple[list[int], ...]
    """Ids of the distinct answers, in order of appearance."""
    chosen: tuple[int, ...]
    """Answer of each row that is preferred."""
    rejected: tuple[int, ...]
    """The other answer of each row."""

    @classmethod
    def of(cls, rows: Sequence[PairRow]) -> "PairGroup":
        """A group of rows that share their prompt's ids."""
        answers: dict[tuple[int, ...], int] = {}
        chosen = tuple(answers.setdefault(tuple(row.chosen_ids), len(answers)) for row in rows)
        rejected = tuple(answers.setdefault(tuple(row.rejected_ids), len(answers)) for row in rows)
        return cls(tuple(rows), tuple(list(ids) for ids in answers), chosen, rejected)

    @property
    def key(self) -> str:
        """Hash of its ids."""
        return hashlib.sha256(f"{self.rows[0].prompt_ids}{self.answers}".encode()).hexdigest()

    @property
    def ids(self) -> tuple[list[int], list[list[int]]]:
        """Prompt ids and the ids of each answer, as `prompt_completion_batch` takes them."""
        return self.rows[0].prompt_ids, list(self.answers)

    @property
    def n_tokens(self) -> int:
        """Tokens that run."""
        return len(self.rows[0].prompt_ids) + sum(len(ids) for ids in self.answers)

    @property
    def n_plain_tokens(self) -> int:
        """Tokens of the same pairs with each prompt repeated before each answer of each pair."""
        prompt = len(self.rows[0].prompt_ids)
        return sum(2 * prompt + len(row.chosen_ids) + len(row.rejected_ids) for row in self.rows)


def group_pairs(rows: Sequence[PairRow], *, max_pairs: int) -> list[PairGroup]:
    """Rows of one prompt in groups of at most `max_pairs`, in order of first appearance."""
    groups: list[list[PairRow]] = []
    open_group: dict[tuple[int, ...], int] = {}
    for row in rows:
        place = open_group.get(tuple(row.prompt_ids))
        if place is None or len(groups[place]) == max_pairs:
            open_group[tuple(row.prompt_ids)] = len(groups)
            groups.append([row])
        else:
            groups[place].append(row)
    return [PairGroup.of(members) for members in groups]


@dataclass(frozen=True)
class PairMicroBatch:
    """Some of an update's groups, and the update's total weight."""

    groups: list[PairGroup]
    normalizer: float

    @property
    def rows(self) -> list[PairRow]:
        """The pairs, group after group."""
        return [row for group in self.groups for row in group.rows]

    def sides(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [pair] of the chosen and of the rejected answers, from those of all answers in order."""
        starts = [0, *accumulate(len(group.answers) for group in self.groups)]
        placed = list(zip(starts, self.groups, strict=False))
        chosen = [start + answer for start, group in placed for answer in group.chosen]
        rejected = [start + answer for start, group in placed for answer in group.rejected]
        return scores[chosen], scores[rejected]

    def column(self, name: str, device: torch.device) -> Tensor:
        """One number of each pair as a float tensor [pair]."""
        return torch.tensor([getattr(row, name) for row in self.rows], dtype=torch.float32, device=device)


def tokenize_preferences(
    model: RewardModel | LanguageModel,
    preferences: Sequence[Preference],
    *,
    max_tokens: int,
    group_key: str = "",
) -> list[PairRow]:
    """Pairs as ids, both answers after one prompt; pairs of weight 0 count for nothing and are left out.

    `group_key` names the field of `meta` that holds a pair's group.
    """
    context: int = body_of(model.body).config.max_position_embeddings
    rows: list[PairRow] = []
    for preference in preferences:
        if preference.weight == 0:
            continue
        chosen, rejected = model.tokenizer.examples(
            preference.prompt, [preference.chosen, preference.rejected], max_tokens=min(max_tokens, context)
        )
        rows.append(
            PairRow(
                prompt_ids=chosen.prompt_ids,
                chosen_ids=chosen.completion_ids,
                rejected_ids=rejected.completion_ids,
                p_chosen=preference.p_chosen,
                weight=preference.weight,
                margin=preference.margin,
                is_cut=chosen.is_truncated or rejected.is_truncated or chosen.dropped_prompt_tokens > 0,
                group=str(preference.meta.get(group_key, "")) if group_key else "",
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
