"""Self-BLEU: how alike the answers to different prompts are, each held against a few of the others.

Leaves out repetition within an answer (`degeneracy.py`) and meaning.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray

ORDERS = (1, 2, 3, 4)
REFERENCES = 8
"""Answers to other prompts that each is held against; with `WORDS` it bounds the work, linear in answers."""
WORDS = 200
"""Of an answer that count, from its start."""

Grams = Counter[tuple[str, ...]]


def measure_self_bleu(
    words: Sequence[Sequence[str]],
    prompt_ids: Sequence[Hashable],
    *,
    references: int = REFERENCES,
    seed: int = 0,
) -> FloatArray:
    """[answer] BLEU-4 of each answer against answers to other prompts, in [0, 1]; 1 if it is among them.

    Zhu et al. 2018; here against `references` others drawn by the seed, the same places for the same ids,
    so that two models' rows can be paired. Precisions above words are smoothed by one (Lin and Och 2004):
    answers of under four words would else all be 0. An empty answer is 0. More references give higher
    values: compare equal settings alone. Intervals over rows hold the references fixed. Answers to one
    prompt only raise.
    """
    if len(words) != len(prompt_ids):
        raise EvaluationError(f"{len(words)} answers and {len(prompt_ids)} prompt ids; give one for each")
    if len(set(prompt_ids)) < 2:
        raise EvaluationError("self-BLEU needs answers to two prompts or more")
    rows = [list(row[:WORDS]) for row in words]
    grams = [{order: _grams(row, order) for order in ORDERS} for row in rows]
    places = _draw(prompt_ids, references, seed)
    return np.array(
        [
            _bleu(len(rows[i]), grams[i], [grams[j] for j in drawn], [len(rows[j]) for j in drawn])
            for i, drawn in enumerate(places)
        ]
    )


def _draw(prompt_ids: Sequence[Hashable], references: int, seed: int) -> list[list[int]]:
    """[answer] Places of answers to other prompts."""
    generator = np.random.default_rng(seed)
    found = []
    for own in prompt_ids:
        order = generator.permutation(len(prompt_ids)).tolist()
        found.append([j for j in order if prompt_ids[j] != own][:references])
    return found


def _bleu(
    length: int, own: dict[int, Grams], others: Sequence[dict[int, Grams]], lengths: Sequence[int]
) -> float:
    if not length:
        return 0.0
    logs = 0.0
    for order in ORDERS:
        total = sum(own[order].values())
        hits = sum(
            min(count, max(other[order][gram] for other in others)) for gram, count in own[order].items()
        )
        if order == 1 and not hits:
            return 0.0
        added = 0 if order == 1 else 1
        logs += math.log((hits + added) / (total + added))
    closest = min(lengths, key=lambda one: (abs(one - length), one))
    return math.exp(logs / len(ORDERS) + min(0.0, 1 - closest / length))


def _grams(row: Sequence[str], order: int) -> Grams:
    return Counter(tuple(row[i : i + order]) for i in range(len(row) - order + 1))
