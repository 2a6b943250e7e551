"""Judgments as arrays: which pair, which annotator, which side stood left, which answer was given.

A pair is a prompt with two answers regardless of which stood left; its canonical order is the
order of the two texts, which nobody saw and which therefore favors no side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import Choice, DataError, Judgment, Prompt
from accord.quality.labels import RepeatPolicy

LEFT, RIGHT, TIE = 0, 1, 2
"""Answers on screen; both bad counts as a tie, for it says nothing about which is better."""


@dataclass(frozen=True)
class Pair:
    """A prompt with two answers in canonical order."""

    prompt: Prompt
    first: str
    second: str


@dataclass(frozen=True)
class JudgmentTable:
    """Judgments of pairs, in the order of the pairs' first appearance."""

    pairs: tuple[Pair, ...]
    annotator_ids: tuple[str, ...]
    judgment_ids: tuple[str, ...]
    pair_index: NDArray[np.intp]
    """[judgment]"""
    annotator_index: NDArray[np.intp]
    """[judgment]"""
    is_flipped: NDArray[np.bool_]
    """[judgment] True where the canonically second answer stood left."""
    answer: NDArray[np.intp]
    """[judgment] LEFT, RIGHT or TIE, as seen on screen."""

    @property
    def first_votes(self) -> NDArray[np.float64]:
        """[pair] How many judgments preferred the first answer; a tie counts half."""
        for_left = np.array([1.0, 0.0, 0.5])[self.answer]
        for_first = np.where(self.is_flipped, 1 - for_left, for_left)
        return np.bincount(self.pair_index, weights=for_first, minlength=len(self.pairs)).astype(np.float64)

    @property
    def votes(self) -> NDArray[np.intp]:
        """[pair] How many judgments there are."""
        return np.bincount(self.pair_index, minlength=len(self.pairs))


def tabulate_judgments(judgments: Sequence[Judgment], *, repeats: RepeatPolicy = "error") -> JudgmentTable:
    """Judgments as a table.

    A second judgment of one pair by one annotator, in whichever order shown, is settled by
    `repeats`: the first counts, the last counts, or `error` raises. None is ever counted twice.
    """
    kept: dict[tuple[str, str, str, str], Judgment] = {}
    for judgment in judgments:
        first, second = sorted((judgment.comparison.left, judgment.comparison.right))
        key = (judgment.comparison.prompt.id, first, second, judgment.annotator_id)
        if key in kept and repeats == "error":
            raise DataError(
                f"annotator {judgment.annotator_id!r} judged one pair twice (prompt "
                f"{judgment.comparison.prompt.text[:60]!r}); choose repeats='first' or repeats='last'"
            )
        if key not in kept or repeats == "last":
            kept[key] = judgment
    pairs: dict[tuple[str, str, str], int] = {}
    annotators: dict[str, int] = {}
    rows = []
    for key, judgment in kept.items():
        pair = pairs.setdefault(key[:3], len(pairs))
        rows.append(
            (pair, annotators.setdefault(key[3], len(annotators)), judgment.comparison.left != key[1])
        )
    prompts = {judgment.comparison.prompt.id: judgment.comparison.prompt for judgment in kept.values()}
    return JudgmentTable(
        pairs=tuple(Pair(prompts[prompt_id], first, second) for prompt_id, first, second in pairs),
        annotator_ids=tuple(annotators),
        judgment_ids=tuple(judgment.id for judgment in kept.values()),
        pair_index=np.array([row[0] for row in rows], dtype=np.intp),
        annotator_index=np.array([row[1] for row in rows], dtype=np.intp),
        is_flipped=np.array([row[2] for row in rows], dtype=np.bool_),
        answer=np.array([_answer(judgment.choice) for judgment in kept.values()], dtype=np.intp),
    )


def _answer(choice: Choice) -> int:
    return {Choice.LEFT: LEFT, Choice.RIGHT: RIGHT}.get(choice, TIE)
