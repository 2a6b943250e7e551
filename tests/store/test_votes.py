"""Vote shares derived by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.domain import Choice, Comparison, Judgment, Prompt, Ranking
from accord.store import judgments_from_ranking, preferences_from_judgments

PROMPT = Prompt.from_text("Hi")


def vote(left, right, choice, annotator="w"):
    return Judgment(
        comparison=Comparison(prompt=PROMPT, left=left, right=right), annotator_id=annotator, choice=choice
    )


def outcome(preference):
    return preference.chosen, preference.rejected, preference.p_chosen


def test_both_orders_of_a_pair_are_one_item():
    # for "a": left 1, then shown right and chosen 1, then shown right and not chosen 0 -> 2/3
    votes = [vote("a", "b", Choice.LEFT), vote("b", "a", Choice.RIGHT), vote("b", "a", Choice.LEFT)]
    [preference] = preferences_from_judgments(votes)
    assert outcome(preference) == ("a", "b", pytest.approx(2 / 3))
    assert preference.weight == 1.0
    assert preference.provenance.votes == 3


def test_a_tie_and_both_bad_count_half_for_each_side():
    # for "b": 0.5 + 0.5 + 1 of 3 -> 2/3
    votes = [vote("a", "b", Choice.TIE), vote("a", "b", Choice.BOTH_BAD), vote("a", "b", Choice.RIGHT)]
    [preference] = preferences_from_judgments(votes)
    assert outcome(preference) == ("b", "a", pytest.approx(2 / 3))


def test_equal_shares_choose_the_side_first_shown_left():
    [preference] = preferences_from_judgments([vote("b", "a", Choice.LEFT), vote("a", "b", Choice.LEFT)])
    assert outcome(preference) == ("b", "a", 0.5)
    assert preference.is_tie


def test_identical_answers_are_a_tie_whatever_was_voted():
    [preference] = preferences_from_judgments([vote("a", "a", Choice.LEFT)])
    assert outcome(preference) == ("a", "a", 0.5)


def test_votes_may_be_the_weight():
    votes = [vote("a", "b", Choice.LEFT), vote("a", "b", Choice.LEFT), vote("a", "c", Choice.LEFT)]
    assert [preference.weight for preference in preferences_from_judgments(votes, weighting="votes")] == [
        2,
        1,
    ]


def test_a_ranking_is_all_its_pairs():
    ranking = Ranking(prompt=PROMPT, completions=("a", "b", "c"), ranks=(2, 1, 2), annotator_id="w")
    judged = [
        (one.comparison.left, one.comparison.right, one.choice) for one in judgments_from_ranking(ranking)
    ]
    assert judged == [("a", "b", Choice.RIGHT), ("a", "c", Choice.TIE), ("b", "c", Choice.LEFT)]


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("abc"), st.sampled_from(Choice), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_showing_a_pair_the_other_way_round_changes_no_share(rows):
    mirrored = {Choice.LEFT: Choice.RIGHT, Choice.RIGHT: Choice.LEFT}
    straight = [vote(left, right, choice) for left, right, choice, _ in rows]
    turned = [
        vote(right, left, mirrored.get(choice, choice)) if is_turned else vote(left, right, choice)
        for left, right, choice, is_turned in rows
    ]

    def share_of_lesser(preference):
        is_chosen = preference.chosen < preference.rejected
        return preference.p_chosen if is_chosen else 1 - preference.p_chosen

    shares = [
        [share_of_lesser(one) for one in preferences_from_judgments(votes)] for votes in (straight, turned)
    ]
    assert shares[0] == pytest.approx(shares[1])
