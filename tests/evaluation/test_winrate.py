"""Win rates by hand, from scores, completions and judgments."""

import pytest

from accord.domain import Choice, Comparison, Completion, EvaluationError, Judgment, Prompt
from accord.evaluation.intervals import wilson
from accord.evaluation.winrate import compare_completions, compare_judgments, compare_scores, sign_test


def test_tie_counts_half_for_each_side():
    result = compare_scores([2.0, 1.0, 0.0, 5.0], [1.0, 1.0, 1.0, 1.0], list("abcd"))
    assert (result.wins, result.ties, result.losses, result.n) == (2, 1, 1, 4)
    assert result.rate.value == 2.5 / 4
    assert result.mean_difference.value == pytest.approx((1 + 0 - 1 + 4) / 4)


def test_one_pair_a_prompt_without_ties_is_wilson():
    result = compare_scores([1.0, 1.0, 0.0], [0.0, 0.0, 1.0], list("abc"))
    assert result.rate == wilson(2, 3)


def test_all_ties_prove_nothing():
    result = compare_scores([1.0, 1.0], [1.0, 1.0], ["a", "b"])
    assert result.rate.value == 0.5
    assert result.rate.low < 0.5 < result.rate.high
    assert result.sign_test_p == 1.0
    assert not result.is_better


def test_winning_always_is_not_certainty():
    result = compare_scores([1.0] * 30, [0.0] * 30, list(range(30)))
    assert result.rate.value == 1.0
    assert result.rate.low == wilson(30, 30).low
    assert result.sign_test_p == pytest.approx(2 * 0.5**30)
    assert result.is_better


def test_one_pair_is_never_better():
    assert not compare_scores([1.0], [0.0], ["a"]).is_better


def test_swapping_the_sides_mirrors_the_rate():
    left, right, ids = [1.0, 2.0, 0.0, 4.0], [0.0, 2.0, 3.0, 1.0], list("aabb")
    there, back = compare_scores(left, right, ids), compare_scores(right, left, ids)
    assert there.rate.value == 1 - back.rate.value
    assert there.sign_test_p == back.sign_test_p


def test_small_differences_are_ties_within_the_margin():
    result = compare_scores([1.05, 1.2], [1.0, 1.0], ["a", "b"], tie_margin=0.1)
    assert (result.wins, result.ties) == (1, 1)


def test_sign_test_by_hand():
    # 5 positive of 6: two-sided p = 2 (C(6,5) + C(6,6)) / 2^6 = 14/64; zeros do not count
    assert sign_test([1, 1, 1, 1, 1, -1, 0, 0]) == pytest.approx(14 / 64)
    assert sign_test([0.0, 0.0]) == 1.0


def test_sign_test_counts_prompts_not_pairs():
    # prompt a: two wins, prompt b: one win and one loss cancel -> one positive prompt, p = 1
    result = compare_scores([1, 1, 1, 0], [0, 0, 0, 1], ["a", "a", "b", "b"])
    assert result.sign_test_p == 1.0


def test_completions_are_scored_on_the_same_prompts():
    prompts = [Prompt.from_text("one"), Prompt.from_text("two")]
    candidate, incumbent = (
        [Completion(text="aaa"), Completion(text="b")],
        [Completion(text="a"), Completion(text="bb")],
    )
    result = compare_completions(
        prompts, candidate, incumbent, lambda _, answers: [len(answer.text) for answer in answers]
    )
    assert (result.wins, result.losses) == (1, 1)
    assert result.mean_difference.value == pytest.approx((2 - 1) / 2)


def test_unequal_numbers_of_completions_are_refused():
    with pytest.raises(EvaluationError, match="2 prompts, 1 candidate"):
        compare_completions(
            [Prompt.from_text("a"), Prompt.from_text("b")], [Completion(text="")], [], lambda _, rows: [0.0]
        )


def test_judgments_follow_the_candidate_to_its_side():
    def judged(text: str, choice: Choice) -> Judgment:
        pair = Comparison(prompt=Prompt.from_text(text), left="x", right="y")
        return Judgment(comparison=pair, annotator_id="ann", choice=choice)

    rows = [judged("a", Choice.LEFT), judged("b", Choice.RIGHT), judged("c", Choice.BOTH_BAD)]
    assert compare_judgments(rows).rate.value == 0.5
    on_left = {rows[0].comparison.id}
    swapped = compare_judgments(rows, is_candidate_left=lambda row: row.comparison.id in on_left)
    assert (swapped.wins, swapped.ties, swapped.losses) == (2, 1, 0)
    assert swapped.mean_difference is None


def test_nothing_to_compare_is_an_error():
    with pytest.raises(EvaluationError, match="n = 0"):
        compare_scores([], [], [])
    with pytest.raises(EvaluationError, match="n = 0"):
        compare_judgments([])


def test_not_a_number_is_an_error():
    with pytest.raises(EvaluationError, match="candidate scores"):
        compare_scores([float("nan")], [0.0], ["a"])
