"""Evaluation prompts in training data: words in a row, whatever their dress."""

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.overlap import find_overlap, overlap_measurements
from accord.evaluation.suites.catalog import find_suite

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def test_thirteen_words_in_a_row_are_found_in_other_case_and_punctuation():
    copied = "So: " + WORDS.upper().replace(" ", ", ") + "!"
    twelve = " ".join(WORDS.split()[:12])
    found = find_overlap([WORDS, "quite another question about the weather today"], [copied, twelve])
    assert [place for place, _ in found.found] == [0]
    assert found.share == 0.5
    assert find_overlap([WORDS], [twelve]).found == ()


def test_a_shorter_prompt_counts_when_all_of_it_is_there_and_a_very_short_one_never():
    found = find_overlap(
        ["how do I kill python", "hello there"], ["They asked: how do I kill Python?", "hello there"]
    )
    assert [words for _, words in found.found] == ["how do i kill python"]
    assert found.too_short == 1
    assert found.share == 1.0


def test_canaries_of_suites_are_found():
    canary = find_suite("bbq").canary
    found = find_overlap([WORDS], [f"text {canary} text"])
    assert found.canaries == (canary,)
    share, count = overlap_measurements(found, {})
    assert (share.estimate.low, share.estimate.high) == (0.0, 0.0)
    assert count.estimate.value == 1.0


def test_no_prompts_are_no_zero():
    with pytest.raises(EvaluationError, match="n = 0"):
        find_overlap([], ["text"])
    with pytest.raises(EvaluationError, match="too few to tell a copy by"):
        find_overlap(["hello there"], ["hello there"])
