"""Repetition within answers and sameness between them, and how both differ from the start's answers.

Adds to `degeneracy.py` n-grams of every order, compressibility and comparisons. Leaves out meaning.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion
from accord.domain.splits import hash_fraction
from accord.evaluation.clusters import FloatArray
from accord.evaluation.degeneracy import distinct_ngrams, repeated_share
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate

ORDERS = (1, 2, 3, 4)
OPENING = 5
LEVEL = 9
"""Of zlib; fixed, so that ratios compare."""

Split = Callable[[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Repetition of a set of answers."""

    repeated: dict[int, Estimate]
    """By order n: mean over answers of 1 - distinct / all n-grams of the answer; shorter ones count 0."""
    distinct: dict[int, float]
    """By order n: distinct over all n-grams of all answers together; falls with more text, so compare
    equal sizes."""
    compression: float
    """Bytes of all answers over their bytes after DEFLATE; 2 to 3 is ordinary prose, far above is repetition.
    The common gzip ratio without the file header."""
    capped: Estimate
    """Share of answers that ran out of their token budget."""
    opening_share: Estimate
    """Share of answers that open with the most common five words; its interval holds that opening fixed."""
    opening: str
    n: int
    n_words: int


@dataclass(frozen=True, kw_only=True)
class RepetitionChange:
    """Candidate minus start, prompt by prompt; all in shares."""

    repeated: dict[int, Estimate]
    capped: Estimate
    opening: Estimate
    """Share of the candidate's most common opening, in the candidate less in the start; each half of the
    prompts at the opening of the other half (`held_out_openings`)."""


def measure_repetition(
    completions: Sequence[Completion],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    split: Split = str.split,
    seed: int = 0,
) -> Repetition:
    """Measure one set of answers; intervals resample prompts. n = 0 raises; blank answers count."""
    words = _words(completions, split)
    opening = _common_opening(words)
    text = "\n".join(completion.text for completion in completions).encode()
    return Repetition(
        repeated={
            order: mean_estimate(_repeated(words, order), prompt_ids, method="percentile", seed=seed)
            for order in ORDERS
        },
        distinct={order: distinct_ngrams(words, order=order) for order in ORDERS},
        compression=compression_ratio(text),
        capped=share_estimate(_capped(completions), prompt_ids, seed=seed),
        opening_share=share_estimate(_opens_with(words, opening), prompt_ids, seed=seed),
        opening=" ".join(opening),
        n=len(completions),
        n_words=sum(map(len, words)),
    )


def compare_repetition(
    candidate: Sequence[Completion],
    start: Sequence[Completion],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    split: Split = str.split,
    seed: int = 0,
) -> RepetitionChange:
    """Differences of two policies' answers to the same prompts, row by row. Unequal numbers of rows raise.

    Distinct n-grams and compression belong to whole sets and have no row-by-row difference;
    compare their values at equal numbers of answers.
    """
    if len(candidate) != len(start):
        raise EvaluationError(
            f"{len(candidate)} answers against {len(start)}; rows must pair up, one prompt each"
        )
    new, old = _words(candidate, split), _words(start, split)
    ids: list[Hashable] = [*range(len(new))] if prompt_ids is None else list(prompt_ids)
    opened = [[tuple(row[:OPENING]) if len(row) >= OPENING else () for row in side] for side in (new, old)]
    openings = held_out_openings(opened[0], opened[1], ids, seed=seed)

    def change(left: FloatArray, right: FloatArray) -> Estimate:
        return mean_estimate(left - right, prompt_ids, method="percentile", seed=seed)

    return RepetitionChange(
        repeated={order: change(_repeated(new, order), _repeated(old, order)) for order in ORDERS},
        capped=change(_capped(candidate), _capped(start)),
        opening=change(*openings),
    )


def held_out_openings(
    new: Sequence[tuple[str, ...]],
    old: Sequence[tuple[str, ...]],
    prompt_ids: Sequence[Hashable],
    *,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """[row] Whether an answer opens as most of the new answers do, for the new and for the old answers.

    Which opening that is, is told by the OTHER half of the prompts, so that the difference of two sets that
    do not differ has expectation 0. Where one half is empty all rows tell it. The empty opening counts
    nowhere.
    """
    half = np.array([hash_fraction(str(label), seed=seed) < 0.5 for label in prompt_ids], dtype=bool)
    if half.all() or not half.any():
        parts = [(np.ones(len(half), dtype=bool), np.ones(len(half), dtype=bool))]
    else:
        parts = [(half, ~half), (~half, half)]
    found = np.zeros((2, len(half)))
    for told, measured in parts:
        counts = Counter(one for one, is_told in zip(new, told, strict=True) if is_told and one)
        if not counts:
            continue
        opening = min(counts, key=lambda one: (-counts[one], one))
        for i, side in enumerate((new, old)):
            found[i] += measured * np.array([float(one == opening) for one in side])
    return found[0], found[1]


def compression_ratio(text: bytes) -> float:
    """Bytes over compressed bytes; NaN for empty text. Short texts compress badly: under 1 is possible."""
    return len(text) / len(zlib.compress(text, LEVEL)) if text else float("nan")


def _words(completions: Sequence[Completion], split: Split) -> list[list[str]]:
    if not completions:
        raise EvaluationError("there are no completions to measure (n = 0)")
    return [split(completion.text) for completion in completions]


def _repeated(words: Sequence[list[str]], order: int) -> FloatArray:
    return np.array([repeated_share(row, order=order) for row in words])


def _capped(completions: Sequence[Completion]) -> FloatArray:
    return np.array([float(not completion.finish_reason.is_complete) for completion in completions])


def _common_opening(words: Sequence[list[str]]) -> tuple[str, ...]:
    """The most common first five words of answers that have five; the first by spelling among equals."""
    counts = Counter(tuple(row[:OPENING]) for row in words if len(row) >= OPENING)
    return min(counts, key=lambda opening: (-counts[opening], opening)) if counts else ()


def _opens_with(words: Sequence[list[str]], opening: tuple[str, ...]) -> FloatArray:
    return np.array([float(bool(opening) and tuple(row[:OPENING]) == opening) for row in words])
