"""How good a benchmark is at telling models apart: separability, and agreement with another ranking.

Leaves out how scores and intervals come about, and the confidence agreement that weighs intervals.
"""

from collections.abc import Mapping
from itertools import combinations

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate


def separability(scores: Mapping[str, Estimate]) -> float:
    """Share of pairs of models whose intervals do not overlap (Li et al. 2024); ends that touch overlap.

    A model without an interval and fewer than two models raise.
    """
    _require_pairs(len(scores))
    missing = sorted(name for name, score in scores.items() if not score.has_interval)
    if missing:
        raise EvaluationError(f"{missing[0]!r} has no interval; separability needs one for each model")
    pairs = list(combinations(scores.values(), 2))
    return sum(one.high < two.low or two.high < one.low for one, two in pairs) / len(pairs)


def pairwise_agreement(scores: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Share of pairs of models put in the same strict order by both; a tie in either is no agreement.

    Both must score the same models, higher better. Fewer than two models raise.
    """
    strays = sorted(set(scores) ^ set(reference))
    if strays:
        raise EvaluationError(f"{strays[0]!r} is scored by one side only; give both the same models")
    _require_pairs(len(scores))
    pairs = list(combinations(scores, 2))
    agreed = sum((scores[i] - scores[j]) * (reference[i] - reference[j]) > 0 for i, j in pairs)
    return agreed / len(pairs)


def _require_pairs(n: int) -> None:
    if n < 2:
        raise EvaluationError(f"there are {n} models; a pair needs two")
