"""Paired tests by hand and by counting; their level under the null."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from accord.domain.errors import EvaluationError
from accord.evaluation.paired import mcnemar, sign_flip


def test_mcnemar_by_hand():
    # 5 only candidate, 1 only incumbent: exact 2 * (1 + 6) / 64, mid-p less 6 / 64
    candidate = [1] * 5 + [0] + [1, 0] * 7
    incumbent = [0] * 5 + [1] + [1, 0] * 7
    found = mcnemar(candidate, incumbent)
    assert (found.n, found.only_candidate, found.only_incumbent) == (20, 5, 1)
    assert found.exact_p == pytest.approx(14 / 64)
    assert found.mid_p == pytest.approx(8 / 64)
    assert found.p_value == found.exact_p


def test_mcnemar_is_symmetric_and_equals_a_sign_test():
    generator = np.random.default_rng(1)
    one, other = generator.random((2, 300)) < 0.6
    found, turned = mcnemar(one, other), mcnemar(other, one)
    wins = found.only_candidate
    exact = binomtest(wins, wins + found.only_incumbent).pvalue
    assert found.exact_p == pytest.approx(turned.exact_p) == pytest.approx(exact)
    assert found.p_value == found.mid_p < found.exact_p


def test_no_discordant_pair_gives_one():
    found = mcnemar([1, 0], [1, 0])
    assert found.exact_p == found.mid_p == 1


def test_mcnemar_refuses_scores_and_other_lengths():
    with pytest.raises(EvaluationError, match="sign_flip"):
        mcnemar([0.5], [1])
    with pytest.raises(EvaluationError, match="2 prompts of the candidate and 1"):
        mcnemar([1, 0], [1])


def test_sign_flips_of_few_prompts_are_counted():
    sums = [3.0, -1.0, 2.0]
    flips = [
        abs(sum(s * v for s, v in zip(signs, sums, strict=True)))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    expected = np.mean([value >= 4 for value in flips])
    # the first prompt in two rows is flipped as a whole
    assert sign_flip([1.0, 2.0, -1.0, 2.0], ["a", "a", "b", "c"]) == pytest.approx(expected) == 0.5


def test_sign_flip_holds_its_level_and_ignores_order():
    generator = np.random.default_rng(2)
    level = np.mean([sign_flip(generator.normal(size=12)) <= 0.05 for _ in range(2000)])
    assert abs(level - 0.05) < 0.015
    values = generator.normal(0.4, 1, 80)
    assert sign_flip(values) == pytest.approx(sign_flip(values[::-1]), abs=0.005)
    assert sign_flip(values) < 0.05
    assert sign_flip([2.0]) == 1
