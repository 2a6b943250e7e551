"""Self-BLEU by hand, and what it must be for answers that are all alike or have nothing in common."""

import math

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.self_bleu import REFERENCES, measure_self_bleu


def test_two_answers_by_hand():
    first, second = ["the", "cat", "sat", "on", "the", "mat"], ["the", "cat", "sat", "on", "a", "mat"]
    # words 5/6 ("the" clipped to one), pairs (3+1)/(5+1), triples (2+1)/(4+1), fours (1+1)/(3+1)
    expected = (5 / 6 * 4 / 6 * 3 / 5 * 2 / 4) ** 0.25
    assert measure_self_bleu([first, second], ["a", "b"])[0] == pytest.approx(expected)


def test_a_short_answer_pays_for_its_shortness():
    # every word, pair, triple and four of it is there: precisions 1, exp(1 - 8/4)
    found = measure_self_bleu([["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f", "g", "h"]], ["a", "b"])
    assert found[0] == pytest.approx(math.exp(-1))


def test_sameness_is_one_nothing_in_common_is_zero_and_so_is_nothing():
    same = measure_self_bleu([["to", "be"]] * 5, range(5))
    assert same.tolist() == pytest.approx([1.0] * 5)
    apart = measure_self_bleu([["a", "b"], ["c", "d"], []], range(3))
    assert apart.tolist() == [0.0, 0.0, 0.0]


def test_answers_to_the_same_prompt_are_no_references():
    words = [["a", "b"], ["a", "b"], ["c", "d"]]
    assert measure_self_bleu(words, ["p", "p", "q"]).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(EvaluationError, match="two prompts"):
        measure_self_bleu(words, ["p", "p", "p"])


def test_references_are_few_and_the_same_for_both_models():
    ids = list(range(60))
    # one odd answer of 60: most of the others are never held against it
    rows = [["same", "words", "here"] for _ in ids]
    assert measure_self_bleu(rows, ids, seed=3).mean() == pytest.approx(1.0)
    rows[0] = ["other"]
    found = measure_self_bleu(rows, ids, seed=3)
    assert found[0] == 0.0
    assert found[1:].tolist() == pytest.approx([1.0] * 59)
    assert REFERENCES < 59
    assert (measure_self_bleu(rows, ids, seed=3) == found).all()
