import pytest

from accord.domain import Choice, Comparison, DataError, Judgment, Prompt
from accord.quality import tabulate_judgments

PROMPT = Prompt.from_text("Which?")


def judgment(annotator, choice, *, left="apple", right="pear"):
    return Judgment(
        comparison=Comparison(prompt=PROMPT, left=left, right=right), annotator_id=annotator, choice=choice
    )


def test_a_pair_is_one_pair_in_either_order_and_a_tie_counts_half():
    table = tabulate_judgments(
        [
            judgment("ann", Choice.LEFT),  # apple
            judgment("bob", Choice.LEFT, left="pear", right="apple"),  # pear
            judgment("cat", Choice.TIE),
            judgment("dan", Choice.RIGHT, left="pear", right="apple"),  # apple
            judgment("eve", Choice.BOTH_BAD),
        ]
    )
    assert [(pair.first, pair.second) for pair in table.pairs] == [("apple", "pear")]
    assert table.first_votes.tolist() == [1 + 0 + 0.5 + 1 + 0.5]
    assert table.votes.tolist() == [5]
    assert table.is_flipped.tolist() == [False, True, False, True, False]


def test_a_repeat_is_settled_by_the_named_policy_and_never_counted_twice():
    repeated = [judgment("ann", Choice.LEFT), judgment("ann", Choice.LEFT, left="pear", right="apple")]
    with pytest.raises(DataError, match="judged one pair twice"):
        tabulate_judgments(repeated)
    assert tabulate_judgments(repeated, repeats="first").first_votes.tolist() == [1.0]
    assert tabulate_judgments(repeated, repeats="last").first_votes.tolist() == [0.0]
