"""Degenerate text: repetition, sameness, emptiness and cut-off answers, with length statistics.

Counts words split at white space (or whatever `split` gives). Leaves out judgments of quality.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion
from accord.evaluation.intervals import Estimate, share_estimate

REPEAT_ORDER = 4
"""Length of the n-grams whose repetition within an answer counts as looping."""


@dataclass(frozen=True, kw_only=True)
class LengthStatistics:
    """Lengths of a set of answers."""

    mean: float
    standard_deviation: float
    """With n - 1; 0 for one answer."""
    shortest: int
    median: float
    percentile_90: float
    longest: int


@dataclass(frozen=True, kw_only=True)
class Degeneracy:
    """How degenerate a set of answers is. All shares are in [0, 1]."""

    distinct_1: float
    """Distinct words over all words, all answers together (Li et al. 2016); NaN without words."""
    distinct_2: float
    """The same for word pairs; NaN when no answer has two words."""
    repetition: float
    """Mean over answers of the share of 4-grams that already occurred in the answer; 0 for shorter ones."""
    empty: Estimate
    """Share of answers that are blank."""
    cut_off: Estimate
    """Share of answers that ran out of their token budget."""
    duplicates: float
    """Share of answers whose text already occurred as the answer to another row."""
    common_opening: float
    """Share of answers that begin with the most common first five words (shorter answers: all of theirs)."""
    length: LengthStatistics
    """In tokens where the completions carry ids, in words otherwise."""
    n: int


def measure_degeneracy(
    completions: Sequence[Completion], *, split: Callable[[str], list[str]] = str.split
) -> Degeneracy:
    """Measure one set of answers, one row per completion. n = 0 raises."""
    if not completions:
        raise EvaluationError("there are no completions to measure (n = 0)")
    words = [split(completion.text) for completion in completions]
    has_ids = all(completion.token_ids for completion in completions)
    lengths = [
        len(completion.token_ids) if has_ids else len(row)
        for completion, row in zip(completions, words, strict=True)
    ]
    texts = Counter(completion.text.strip() for completion in completions)
    openings = Counter(tuple(row[:5]) for row in words)
    return Degeneracy(
        distinct_1=distinct_ngrams(words, order=1),
        distinct_2=distinct_ngrams(words, order=2),
        repetition=float(np.mean([repeated_share(row) for row in words])),
        empty=share_estimate([float(not completion.text.strip()) for completion in completions]),
        cut_off=share_estimate(
            [float(not completion.finish_reason.is_complete) for completion in completions]
        ),
        duplicates=sum(count - 1 for count in texts.values()) / len(completions),
        common_opening=max(openings.values()) / len(completions),
        length=length_statistics(lengths),
        n=len(completions),
    )


def distinct_ngrams(rows: Sequence[Sequence[str]], *, order: int) -> float:
    """Distinct n-grams over all n-grams, rows pooled; NaN when there are none."""
    grams = [gram for row in rows for gram in _ngrams(row, order)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def repeated_share(row: Sequence[str], *, order: int = REPEAT_ORDER) -> float:
    """1 - distinct / all n-grams within one answer; 0 when it is shorter than `order`."""
    grams = _ngrams(row, order)
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def length_statistics(lengths: Sequence[int]) -> LengthStatistics:
    """Mean, spread and quantiles of lengths. n = 0 raises."""
    if not lengths:
        raise EvaluationError("there are no lengths to measure (n = 0)")
    column = np.asarray(lengths, dtype=np.float64)
    return LengthStatistics(
        mean=float(column.mean()),
        standard_deviation=float(column.std(ddof=1)) if len(column) > 1 else 0.0,
        shortest=int(column.min()),
        median=float(np.median(column)),
        percentile_90=float(np.quantile(column, 0.9)),
        longest=int(column.max()),
    )


def _ngrams(row: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(row[i : i + order]) for i in range(len(row) - order + 1)]
