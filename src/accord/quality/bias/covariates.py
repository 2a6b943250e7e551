"""What an annotator sees of an answer beside its content: how long it is and how it is formatted."""

import re

import numpy as np
from numpy.typing import NDArray

from accord.quality.judgments import JudgmentTable

FloatArray = NDArray[np.float64]

PATTERNS = {
    "list_items": re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+\S", re.MULTILINE),
    "headings": re.compile(r"^#{1,6}\s+\S", re.MULTILINE),
    "bold": re.compile(r"\*\*\S.*?\*\*|__\S.*?__"),
    "code_blocks": re.compile(r"^\s*```", re.MULTILINE),
}
"""Markdown that a reader notices; a code block counts for both of its fences."""
COVARIATES = ("log_characters", *PATTERNS)


def describe_answer(text: str) -> dict[str, float]:
    """log(1 + count) of characters and of each kind of markdown; 0 throughout for an empty answer."""
    counts = {name: len(pattern.findall(text)) for name, pattern in PATTERNS.items()}
    logs = {"log_characters": float(np.log1p(len(text)))}
    return logs | {name: float(np.log1p(count)) for name, count in counts.items()}


def side_differences(table: JudgmentTable) -> dict[str, FloatArray]:
    """Left answer less right answer [judgment] of each covariate, as they stood on screen."""
    answers = {text: describe_answer(text) for pair in table.pairs for text in (pair.first, pair.second)}
    differences = {}
    for name in COVARIATES:
        by_pair = np.array([answers[pair.first][name] - answers[pair.second][name] for pair in table.pairs])
        side = np.where(table.is_flipped, -1.0, 1.0)
        differences[name] = np.asarray(side * by_pair[table.pair_index])
    return differences
