"""Choices, rankings and ratings refuse what they cannot mean."""

import pytest

from accord.domain import Choice, Comparison, DataError, Judgment, Prompt, Ranking, Rating, Source

HI = Prompt.from_text("Hi")


def test_a_tie_and_both_bad_count_half_for_each_side():
    assert [choice.left_share for choice in Choice] == [1.0, 0.0, 0.5, 0.5]
    assert [choice.is_decided for choice in Choice] == [True, True, False, False]


def test_the_order_shown_is_part_of_a_comparison():
    assert Comparison(prompt=HI, left="a", right="b").id != Comparison(prompt=HI, left="b", right="a").id


def test_who_judged_and_how_is_part_of_a_judgment():
    comparison = Comparison(prompt=HI, left="a", right="b")
    judgment = Judgment(comparison=comparison, annotator_id="w1", choice=Choice.LEFT)
    others = [
        Judgment(comparison=comparison, annotator_id="w2", choice=Choice.LEFT),
        Judgment(comparison=comparison, annotator_id="w1", choice=Choice.TIE),
        Judgment(comparison=comparison, annotator_id="w1", choice=Choice.LEFT, source=Source.SIMULATED),
    ]
    assert len({judgment.id, *(other.id for other in others)}) == 4


def test_a_ranking_has_one_rank_from_one_for_each_of_two_or_more():
    with pytest.raises(DataError, match="2 completions and 1 ranks"):
        Ranking(prompt=HI, completions=("a", "b"), ranks=(1,))
    with pytest.raises(DataError, match="two or more"):
        Ranking(prompt=HI, completions=("a",), ranks=(1,))
    with pytest.raises(DataError, match="count from 1"):
        Ranking(prompt=HI, completions=("a", "b"), ranks=(0, 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_rating_is_a_finite_number(value):
    with pytest.raises(DataError, match="must be a finite number"):
        Rating(prompt=HI, completion="a", value=value)
