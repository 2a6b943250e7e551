"""Judges are asked in both orders where order matters, and what they say is checked."""

import math

import pytest

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion, Prompt
from accord.evaluation.comparison.judging import EachPair, ScoreJudge, judge_pairs

PROMPTS = [Prompt.from_text(word) for word in ("a", "b", "c", "d")]
LONG = [Completion(text="a long answer")] * 4
SHORT = [Completion(text="short")] * 4


def test_a_judge_that_always_takes_the_left_side_decides_nothing():
    found = judge_pairs(EachPair(lambda prompt, left, right: 1.0), PROMPTS, LONG, SHORT)
    assert found.preferences == (0.5,) * 4
    assert found.swap_consistency is not None
    assert found.swap_consistency.value == 0.0
    assert (found.wins, found.ties, found.losses) == (0, 4, 0)


def test_a_consistent_judge_is_heard_the_same_in_both_orders():
    found = judge_pairs(
        EachPair(lambda prompt, left, right: float(len(left) > len(right))), PROMPTS, LONG, SHORT
    )
    assert found.preferences == (1.0,) * 4
    assert found.swap_consistency is not None
    assert found.swap_consistency.value == 1.0


def test_both_orders_are_averaged():
    # Left gets 0.2 more than it should: 0.7 + 0.2 forward, and 0.3 + 0.2 for the other side backward.
    found = judge_pairs(
        EachPair(lambda prompt, left, right: (0.7 if len(left) > len(right) else 0.3) + 0.2),
        PROMPTS,
        LONG,
        SHORT,
    )
    assert found.preferences == pytest.approx([(0.9 + 0.5) / 2] * 4)


def test_a_judge_without_order_is_asked_once():
    asked = []

    def judge(prompt: Prompt, left: str, right: str) -> float:
        asked.append(prompt.text)
        return 0.5

    found = judge_pairs(EachPair(judge, has_order=False), PROMPTS, LONG, SHORT)
    assert asked == ["a", "b", "c", "d"]
    assert found.swap_consistency is None


def test_scores_make_wins_ties_and_losses():
    table = {"x": [1.0, 2.0, 3.0, 4.0], "y": [0.0, 2.0, 3.05, 5.0]}
    judge = ScoreJudge(lambda prompts, rows: table[rows[0].text], "table", tie_margin=0.1)
    found = judge_pairs(judge, PROMPTS, [Completion(text="x")] * 4, [Completion(text="y")] * 4)
    assert found.preferences == (1.0, 0.5, 0.5, 0.0)
    assert found.candidate_scores == (1.0, 2.0, 3.0, 4.0)
    assert judge.prefer(PROMPTS, [Completion(text="x")] * 4, [Completion(text="y")] * 4) == [1, 0.5, 0.5, 0]


@pytest.mark.parametrize("value", [math.nan, 1.2, -0.1])
def test_a_preference_that_is_none_is_refused_with_its_prompt(value: float):
    judge = EachPair(lambda prompt, left, right: value if prompt.text == "c" else 0.5, name="odd")
    with pytest.raises(EvaluationError, match=f"judge 'odd' said {value} of the prompt 'c'"):
        judge_pairs(judge, PROMPTS, LONG, SHORT)


def test_scores_that_are_nan_or_too_few_are_refused():
    nan = ScoreJudge(lambda prompts, rows: [1.0, math.nan, 2.0, math.inf], "rm")
    with pytest.raises(EvaluationError, match="said nan of the prompt 'b' and of 1 more"):
        judge_pairs(nan, PROMPTS, LONG, SHORT)
    with pytest.raises(EvaluationError, match="3 scores for 4 answers"):
        judge_pairs(ScoreJudge(lambda prompts, rows: [1.0] * 3, "rm"), PROMPTS, LONG, SHORT)
    with pytest.raises(EvaluationError, match="1 answers about 4 pairs"):
        judge_pairs(ShortJudge(), PROMPTS, LONG, SHORT)


class ShortJudge:
    """Gives up after the first pair."""

    name, has_order = "short", True

    def prefer(self, prompts: object, left: object, right: object) -> list[float]:
        return [0.5]
