"""Degeneracy by hand on short texts."""

import math

import pytest

from accord.domain import Completion, EvaluationError, FinishReason
from accord.evaluation.degeneracy import (
    distinct_ngrams,
    length_statistics,
    measure_degeneracy,
    repeated_share,
)


def test_repeated_share_by_hand():
    # a b a b a b: 4-grams abab, baba, abab -> 2 distinct of 3
    assert repeated_share(["a", "b", "a", "b", "a", "b"]) == pytest.approx(1 / 3)
    assert repeated_share(["a", "b", "c", "d"]) == 0.0
    assert repeated_share(["a", "a", "a"]) == 0.0  # shorter than four words


def test_distinct_ngrams_pool_all_answers():
    # words a b b | a: distinct {a, b} of 4; pairs ab, bb of 2
    assert distinct_ngrams([["a", "b", "b"], ["a"]], order=1) == 0.5
    assert distinct_ngrams([["a", "b", "b"], ["a"]], order=2) == 1.0
    assert math.isnan(distinct_ngrams([["a"]], order=2))


def test_measures_by_hand():
    rows = [
        Completion(text="same words here"),
        Completion(text=" same words here "),
        Completion(text="  "),
        Completion(text="a b a b a b", finish_reason=FinishReason.LENGTH),
    ]
    result = measure_degeneracy(rows)
    assert result.empty.value == 0.25
    assert result.cut_off.value == 0.25
    assert result.duplicates == 0.25  # one of the two equal texts is a repeat
    assert result.common_opening == 0.5
    assert result.repetition == pytest.approx((1 / 3) / 4)
    assert result.length.mean == (3 + 3 + 0 + 6) / 4
    assert result.n == 4


def test_length_is_in_tokens_when_there_are_ids():
    rows = [Completion(text="one word", token_ids=(1, 2, 3, 4)), Completion(text="b", token_ids=(1, 2))]
    assert measure_degeneracy(rows).length.mean == 3.0


def test_length_statistics_by_hand():
    result = length_statistics([1, 2, 3, 10])
    assert (result.shortest, result.median, result.longest, result.mean) == (1, 2.5, 10, 4.0)
    assert result.standard_deviation == pytest.approx(math.sqrt((9 + 4 + 1 + 36) / 3))
    assert length_statistics([5]).standard_deviation == 0.0


def test_only_blank_answers_have_no_words():
    result = measure_degeneracy([Completion(text=""), Completion(text=" ")])
    assert math.isnan(result.distinct_1)
    assert (result.repetition, result.duplicates, result.empty.value) == (0.0, 0.5, 1.0)


def test_no_answers_is_an_error():
    with pytest.raises(EvaluationError, match="n = 0"):
        measure_degeneracy([])
