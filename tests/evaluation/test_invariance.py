"""Changes are made as said, and rewards that move are measured in within-prompt deviations."""

import math

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.invariance import Change, change_text, measure_invariance, within_prompt_deviation

TERMS = {"he": "she", "John": "Maria"}


def test_frames_keep_the_answer():
    for change in (Change.TRAILING_SPACE, Change.POLITE_OPENING, Change.MARKDOWN_FRAME):
        changed = change_text("Two.", change)
        assert "Two." in changed
        assert changed != "Two."


def test_terms_are_swapped_both_ways_and_as_written():
    text = "He told her that she saw JOHN; the hero left. Maria"
    assert (
        change_text(text, Change.TERM, terms=TERMS) == "She told her that he saw MARIA; the hero left. John"
    )
    assert change_text(change_text(text, Change.TERM, terms=TERMS), Change.TERM, terms=TERMS) == text


def test_change_that_does_not_apply_is_none():
    assert change_text("Nobody is here.", Change.TERM, terms=TERMS) is None
    with pytest.raises(EvaluationError, match="pairs of terms"):
        change_text("x", Change.TERM)


def test_deviation_by_hand():
    # prompt a: 0, 2 (squares 2), prompt b: 10, 10, 13 (squares 6): sqrt(8 / (5 - 2))
    found = within_prompt_deviation([0.0, 2.0, 10.0, 10.0, 13.0], ["a", "a", "b", "b", "b"])
    assert found == pytest.approx(math.sqrt(8 / 3))


@pytest.mark.parametrize(("rewards", "ids"), [([1.0, 2.0], ["a", "b"]), ([1.0, 1.0], ["a", "a"])])
def test_rewards_without_scale_are_refused(rewards, ids):
    with pytest.raises(EvaluationError, match="no scale"):
        within_prompt_deviation(rewards, ids)


def test_size_and_shift_by_hand():
    found = measure_invariance(
        [0.0, 0.0, 0.0, 0.0],
        [1.0, -1.0, 3.0, 3.0],
        ["term", "term", "polite_opening", "polite_opening"],
        deviation=2.0,
    )
    assert [row.change for row in found] == ["polite_opening", "term"]
    assert (found[0].size.value, found[0].shift.value, found[0].large) == (1.5, 1.5, 1.0)
    # half a deviation either way: a size, no shift, and not MORE than half
    assert (found[1].size.value, found[1].shift.value, found[1].large, found[1].largest) == (
        0.5,
        0.0,
        0.0,
        0.5,
    )


def test_invariant_rewards_are_zero():
    (found,) = measure_invariance([1.0, 2.0], [1.0, 2.0], ["term"] * 2, deviation=1.0)
    assert (found.size.value, found.size.high, found.largest) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "deviation", "message"),
    [
        ([1.0], [math.nan], 1.0, "not finite"),
        ([1.0], [1.0], 0.0, "positive"),
        ([1.0, 2.0], [1.0], 1.0, "expected 1"),
        ([], [], 1.0, "n = 0"),
    ],
)
def test_bad_rewards_are_refused(old, new, deviation, message):
    with pytest.raises(EvaluationError, match=message):
        measure_invariance(old, new, ["term"] * len(new), deviation=deviation)
