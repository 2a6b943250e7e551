"""KL estimators by hand and against the exact KL of a toy vocabulary."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.divergence import measure_divergence, measure_token_divergence


def test_k1_by_hand():
    # log-ratios 1, 3 and -1 over 2 + 3 + 5 tokens
    result = measure_divergence([-4.0, -2.0, -6.0], [-5.0, -5.0, -5.0], [2, 3, 5], list("abc"))
    assert result.per_sequence.value == pytest.approx(1.0)
    assert result.per_token.value == pytest.approx(3.0 / 10)
    assert result.distance == pytest.approx(1.0)
    assert (result.n_tokens, result.per_sequence_k3) == (10, None)


def test_k3_by_hand():
    # one token at ratio log(p/r) = ln 2: k1 = ln 2, k3 = 1/2 - 1 + ln 2
    result = measure_token_divergence([[-1.0], [-1.0]], [[-1.0 - math.log(2)]] * 2)
    assert result.per_sequence.value == pytest.approx(math.log(2))
    assert result.per_sequence_k3.value == pytest.approx(math.log(2) - 0.5)


def test_reference_against_itself_is_exactly_zero():
    rows = [np.array([-0.3, -2.0]), np.array([-1.1])]
    result = measure_token_divergence(rows, rows)
    assert (result.per_sequence.value, result.per_sequence_k3.value, result.distance) == (0.0, 0.0, 0.0)


def test_both_estimators_find_the_exact_kl():
    generator = np.random.default_rng(0)
    policy, reference = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    exact = 4 * float(policy @ np.log(policy / reference))  # four independent tokens an answer
    draws = generator.choice(3, p=policy, size=(4000, 4))
    result = measure_token_divergence(np.log(policy)[draws], np.log(reference)[draws])
    assert result.per_sequence.low < exact < result.per_sequence.high
    assert result.per_sequence_k3.low < exact < result.per_sequence_k3.high
    assert result.per_token.value == pytest.approx(result.per_sequence.value / 4)


def test_k3_is_never_negative_for_any_answer():
    generator = np.random.default_rng(1)
    policy, reference = generator.normal(size=(2, 50, 3))
    for first, second in zip(policy, reference, strict=True):
        assert measure_token_divergence([first], [second]).per_sequence_k3.value >= 0


def test_far_apart_log_probs_do_not_overflow():
    result = measure_token_divergence([[-2000.0]], [[0.0]])
    assert math.isfinite(result.per_sequence_k3.value)


def test_empty_answer_has_no_divergence():
    assert measure_token_divergence([[], [-1.0]], [[], [-2.0]]).per_sequence.value == 0.5


def test_mismatched_answers_are_refused():
    with pytest.raises(EvaluationError, match="reference log-probs of answer 0 has 1 rows, expected 2"):
        measure_token_divergence([[-1.0, -1.0]], [[-1.0]])
    with pytest.raises(EvaluationError, match="1 answers under the policy"):
        measure_token_divergence([[-1.0]], [])


def test_no_answers_is_an_error():
    with pytest.raises(EvaluationError, match="n = 0"):
        measure_divergence([], [], [])
