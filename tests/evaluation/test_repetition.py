"""Counts by hand; looping answers stand out against the start's."""

import math
import zlib

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion, FinishReason
from accord.evaluation.repetition import (
    compare_repetition,
    compression_ratio,
    held_out_openings,
    measure_repetition,
)


def answers(*texts, capped=()):
    return [
        Completion(text=text, finish_reason=FinishReason.LENGTH if i in capped else FinishReason.STOP)
        for i, text in enumerate(texts)
    ]


def test_counts_by_hand():
    found = measure_repetition(answers("a b a b a b", "c d", capped=(0,)))
    # first answer: 2 of 6 words, 2 of 5 pairs, 2 of 4 triples, 2 of 3 fours are distinct; the second
    # repeats none
    assert [found.repeated[order].value for order in (1, 2, 3, 4)] == pytest.approx(
        [(1 - 2 / 6) / 2, (1 - 2 / 5) / 2, (1 - 2 / 4) / 2, (1 - 2 / 3) / 2]
    )
    assert [found.distinct[order] for order in (1, 2, 3, 4)] == pytest.approx([4 / 8, 3 / 6, 2 / 4, 2 / 3])
    assert found.capped.value == 0.5
    assert (found.opening, found.opening_share.value) == ("a b a b a", 0.5)
    assert (found.n, found.n_words) == (2, 8)


def test_compression_by_hand():
    text = b"round and round " * 200
    assert compression_ratio(text) == len(text) / len(zlib.compress(text, 9))
    assert compression_ratio(text) > 50
    assert math.isnan(compression_ratio(b""))


def test_blank_and_short_answers_have_no_opening():
    found = measure_repetition(answers("", "one two"))
    assert (found.opening, found.opening_share.value) == ("", 0.0)
    assert math.isnan(found.distinct[3])
    assert found.repeated[1].value == 0.0


def test_looping_policy_stands_out_against_the_start():
    start = answers(*(f"this answer number {i} says its own thing and stops at {i}" for i in range(40)))
    loops = answers(*(f"Sure I can help you {i} " + "very good " * 12 for i in range(40)), capped=range(10))
    found = compare_repetition(loops, start)
    assert found.repeated[4].is_above(0.3)
    assert found.capped.value == pytest.approx(0.25)
    assert found.capped.is_above(0.0)
    assert found.opening.value == 1.0
    same = compare_repetition(start, start)
    assert (same.repeated[4].value, same.repeated[4].high) == (0.0, 0.0)


def test_the_commonest_of_equal_openings_has_not_become_commoner():
    # 20 openings alike on both sides: told on the same answers, the commonest gains 3.2 points on average
    generator = np.random.default_rng(3)
    gains = []
    for seed in range(60):
        sides = [[("o", str(k)) for k in generator.integers(0, 20, 200)] for _ in range(2)]
        first, second = held_out_openings(*sides, [f"{seed}-{i}" for i in range(200)])
        gains.append(float(first.mean() - second.mean()))
    assert np.mean(gains) == pytest.approx(0.0, abs=3 * np.std(gains) / 60**0.5)
    assert abs(np.mean(gains)) < 0.012
    alone = held_out_openings([("a",)], [("b",)], ["x"])
    assert (alone[0].tolist(), alone[1].tolist()) == ([1.0], [0.0])
    assert held_out_openings([()], [()], ["x"])[0].tolist() == [0.0]


def test_equal_openings_are_chosen_by_spelling():
    assert measure_repetition(answers("z z z z z", "b b b b b")).opening == "b b b b b"


def test_nothing_and_unpaired_answers_are_refused():
    with pytest.raises(EvaluationError, match="n = 0"):
        measure_repetition([])
    with pytest.raises(EvaluationError, match="2 answers against 1"):
        compare_repetition(answers("a", "b"), answers("a"))
