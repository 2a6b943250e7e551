"""Plain features of texts, for tests of drift where no model's features are at hand.

Leaves out meaning: shares of common words, length, digits, question marks and other scripts. A test on them
sees other topics, manners and languages; it cannot see the same words put to another use.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray

WORDS = 64
"""Most common words of both sides together that become a feature each."""
SHAPES = ("length", "digits", "question marks", "other scripts")
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """Two sets of texts as one table of features, standardized over both together."""

    reference: FloatArray
    """[row, feature]"""
    current: FloatArray
    names: tuple[str, ...]


def text_features(reference: Sequence[str], current: Sequence[str], *, words: int = WORDS) -> TextFeatures:
    """Features of both sides; which words count is decided on the pooled texts, blind to the side."""
    if not reference or not current:
        raise EvaluationError(f"drift needs texts on both sides, got {len(reference)} and {len(current)}")
    pooled = [*reference, *current]
    counted = [Counter(word.lower() for word in WORD.findall(text)) for text in pooled]
    spread = Counter(word for row in counted for word in row)
    common = sorted((word for word in spread if spread[word] > 1), key=lambda word: (-spread[word], word))
    kept = common[:words]
    table = np.array([_row(text, row, kept) for text, row in zip(pooled, counted, strict=True)])
    deviation = table.std(axis=0)
    is_varying = deviation > 0
    if not is_varying.any():
        raise EvaluationError(f"all {len(pooled)} texts are alike, so there is no distribution to compare")
    table = (table[:, is_varying] - table[:, is_varying].mean(axis=0)) / deviation[is_varying]
    names = np.array([*SHAPES, *kept])[is_varying]
    return TextFeatures(
        reference=table[: len(reference)],
        current=table[len(reference) :],
        names=tuple(str(name) for name in names),
    )


def _row(text: str, words: Counter[str], kept: Sequence[str]) -> list[float]:
    total = max(1, sum(words.values()))
    size = max(1, len(text))
    shapes = [
        math.log1p(total),
        sum(letter.isdigit() for letter in text) / size,
        text.count("?") / size,
        sum(ord(letter) > 0x24F for letter in text) / size,
    ]
    return shapes + [words[word] / total for word in kept]
