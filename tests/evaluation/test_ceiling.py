"""The human ceiling by hand and by recovery of a known disagreement."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from accord.domain import Choice, Comparison, EvaluationError, Judgment, Prompt
from accord.evaluation.ceiling import (
    VoteCounts,
    best_majority_accuracy,
    best_single_accuracy,
    best_single_nll,
    count_votes,
    fit_concentration,
    measure_ceiling,
)


def test_uniform_shares_by_hand():
    # p uniform: E[max(p, 1-p)] = 3/4, E[entropy] = 1/2 nat
    assert best_single_accuracy(1.0) == pytest.approx(0.75)
    assert best_single_nll(1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.3, 2.5])
def test_closed_forms_agree_with_integration(value):
    density = beta(value, value).pdf
    accuracy = 2 * quad(lambda p: p * density(p), 0.5, 1)[0]
    entropy = 2 * quad(lambda p: -(p * math.log(p) + (1 - p) * math.log1p(-p)) * density(p), 0.5, 1)[0]
    assert best_single_accuracy(value) == pytest.approx(accuracy, rel=1e-4)
    assert best_single_nll(value) == pytest.approx(entropy, rel=1e-4)


def test_majority_of_one_is_a_single_vote_and_more_votes_raise_it():
    one, three = (best_majority_accuracy(1.0, np.array([k]), np.array([1])) for k in (1, 3))
    assert one == pytest.approx(0.75, abs=1e-3)
    # uniform p: 2 int_{1/2}^1 p^2 (3 - 2p) dp = 2 [p^3 - p^4/2] = 2 (1/2 - 1/8 + 1/32) = 13/16
    assert three == pytest.approx(13 / 16, abs=1e-3)


def test_even_splits_are_left_out_of_the_majority():
    # two votes, uniform p, q = max: q^2 / (q^2 + (1-q)^2) pooled: E[q^2] = 7/12, E[(1-q)^2] = 1/12
    assert best_majority_accuracy(1.0, np.array([2]), np.array([1])) == pytest.approx(7 / 8, abs=1e-3)


def test_leave_one_out_agreement_by_hand():
    # 2:1 -> each of the two sees a split (half), the one sees 0:2 (wrong): (0.5 + 0.5 + 0)/3
    # 3:0 -> all agree
    votes = [VoteCounts(left=2, right=1, prompt_id="a"), VoteCounts(left=0, right=3, prompt_id="b")]
    assert measure_ceiling(votes).annotator_agreement.value == pytest.approx((1 + 3) / 6)


def test_known_disagreement_is_recovered():
    truth = best_single_accuracy(0.8), best_single_nll(0.8)
    is_covered, naive_is_above = [], []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        left = generator.binomial(3, generator.beta(0.8, 0.8, size=300))
        votes = [
            VoteCounts(left=int(count), right=3 - int(count), prompt_id=i) for i, count in enumerate(left)
        ]
        result = measure_ceiling(votes)
        is_covered.append(result.best_single.low < truth[0] < result.best_single.high)
        is_covered.append(result.best_nll.low < truth[1] < result.best_nll.high)
        naive = np.maximum(left, 3 - left).mean() / 3  # what the shares of three votes claim
        naive_is_above.append(naive > result.best_single.high)
    assert np.mean(is_covered) >= 0.8  # 0.95 less 3 Monte Carlo errors
    assert all(naive_is_above)


def test_total_agreement_and_coin_flips_reach_the_ends():
    agreed = measure_ceiling([VoteCounts(left=5, right=0, prompt_id=i) for i in range(30)])
    assert agreed.best_single.value > 0.998
    assert agreed.annotator_agreement.value == 1.0
    assert agreed.annotator_agreement.low < 1.0
    assert fit_concentration(np.array([5] * 50), np.array([5] * 50)) > 100


def test_swapping_sides_changes_nothing():
    rows = np.array([3, 1, 0]), np.array([0, 2, 3])
    assert fit_concentration(*rows) == fit_concentration(rows[1], rows[0])


def test_single_votes_have_no_ceiling():
    with pytest.raises(EvaluationError, match="no pair has two decided votes"):
        measure_ceiling([VoteCounts(left=1, right=0, prompt_id="a")])


def test_votes_are_counted_by_answer_not_by_side():
    prompt = Prompt.from_text("q")
    shown = Comparison(prompt=prompt, left="x", right="y")
    swapped = Comparison(prompt=prompt, left="y", right="x")
    rows = [
        Judgment(comparison=shown, annotator_id="1", choice=Choice.LEFT),
        Judgment(comparison=swapped, annotator_id="2", choice=Choice.RIGHT),
        Judgment(comparison=swapped, annotator_id="3", choice=Choice.LEFT),
        Judgment(comparison=shown, annotator_id="4", choice=Choice.TIE),
    ]
    assert count_votes(rows) == [VoteCounts(left=2, right=1, prompt_id=prompt.id)]
