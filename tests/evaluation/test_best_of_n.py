"""Best-of-n agrees with counting all subsets; the KL bound holds, and is loose exactly where scores tie."""

import itertools
import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.best_of_n import (
    best_of_n_kl,
    best_of_n_kl_bound,
    best_of_n_value,
    measure_best_of_n,
    order_statistic_weights,
)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_value_is_the_mean_over_all_subsets(n):
    generator = np.random.default_rng(n)
    proxy, gold = generator.normal(size=7), generator.normal(size=7)
    subsets = [max(subset, key=lambda i: proxy[i]) for subset in combinations(range(7), n)]
    assert best_of_n_value(proxy, gold, n) == pytest.approx(np.mean([gold[i] for i in subsets]), rel=1e-12)


def test_equal_proxies_are_drawn_from():
    # pairs {0,1}: either, mean 2; {0,2} and {1,2}: sample 2 wins, 10 -> (2 + 10 + 10) / 3
    assert best_of_n_value([1.0, 1.0, 2.0], [0.0, 4.0, 10.0], 2) == pytest.approx(22 / 3)
    assert best_of_n_value([1.0, 2.0, 1.0], [4.0, 10.0, 0.0], 2) == pytest.approx(22 / 3)


def test_weights_of_a_large_pool_neither_overflow_nor_drift():
    weights = order_statistic_weights(200_000, 1_000)
    assert weights.sum() == pytest.approx(1.0, rel=1e-12)
    assert weights[-1] == pytest.approx(1_000 / 200_000, rel=1e-9)  # the best is in n of N draws
    assert weights[:999].max() == 0.0


def test_estimator_is_unbiased():
    # uniform scores: E max of 4 = 4/5; the mean over many pools of 6 must find it
    generator = np.random.default_rng(0)
    pools = generator.uniform(size=(20_000, 6))
    values = [best_of_n_value(pool, pool, 4) for pool in pools[:4000]]
    assert np.mean(values) == pytest.approx(0.8, abs=4 * np.std(values) / math.sqrt(len(values)))


def brute_force_kl(chances, scores, n):
    """KL of best-of-n by listing every draw of n answers; equal best scores are drawn from evenly."""
    kept = np.zeros(len(chances))
    for draw in product(range(len(chances)), repeat=n):
        best = [i for i in draw if scores[i] == max(scores[j] for j in draw)]
        for i in best:
            kept[i] += math.prod(chances[j] for j in draw) / len(best)
    return sum(k * math.log(k / c) for k, c in zip(kept, chances, strict=True) if k > 0)


@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_exact_kl_by_listing_draws_and_below_the_bound(scores, n):
    chances = [0.1, 0.4, 0.3, 0.2]
    exact = best_of_n_kl(chances, scores, n)
    assert exact == pytest.approx(brute_force_kl(chances, scores, n), abs=1e-12)
    assert exact <= best_of_n_kl_bound(n) + 1e-12


def test_bound_is_met_without_atoms_and_missed_with_them():
    # many equally likely answers of distinct scores: the bound is the limit
    many = np.full(200_000, 1 / 200_000)
    assert best_of_n_kl(many, np.arange(200_000), 8) == pytest.approx(best_of_n_kl_bound(8), rel=1e-4)
    # two answers: best-of-n tends to the better one, KL to ln 2, while the bound grows without end
    assert best_of_n_kl([0.5, 0.5], [0.0, 1.0], 1000) == pytest.approx(math.log(2))
    assert best_of_n_kl_bound(1000) > 5.9
    # nothing to choose between: no divergence at all
    assert best_of_n_kl([0.5, 0.5], [1.0, 1.0], 1000) == 0.0


def test_gain_is_zero_at_one_and_proxy_never_falls():
    generator = np.random.default_rng(3)
    gold = generator.normal(size=(30, 64))
    proxy = gold + generator.normal(size=(30, 64))
    points = measure_best_of_n(list(proxy), list(gold), [1, 2, 4, 8, 16, 32])
    assert (points[0].gold_gain.value, points[0].gold_gain.low, points[0].gold_gain.high) == (0.0, 0.0, 0.0)
    assert all(np.all(b.proxy_rows >= a.proxy_rows) for a, b in pairwise(points))
    # E max of 16 standard normals is 1.766; proxy has variance 2, gold half of its gain: 1.766 / sqrt 2
    assert points[4].gold_gain.value == pytest.approx(1.766 / math.sqrt(2), abs=0.12)


def test_gain_against_samples_outside_the_pool():
    points = measure_best_of_n([[1.0, 2.0]], [[3.0, 5.0]], [1, 2], reference_gold=[1.0])
    assert [point.gold_gain.value for point in points] == [3.0, 4.0]
    assert not points[0].gold_gain.has_interval


@pytest.mark.parametrize(
    ("proxy", "gold", "ns", "message"),
    [
        ([[1.0]], [[1.0]], [2], "pool of 2 samples"),
        ([], [], [1], "one pool a prompt"),
        ([[1.0]], [[1.0]], [0], "at least 1"),
        ([[1.0]], [[1.0]], [], "distinct numbers"),
        ([[math.nan]], [[1.0]], [1], "not finite"),
        ([[1.0, 2.0]], [[1.0]], [1], "expected 2"),
    ],
)
def test_bad_pools_are_refused(proxy, gold, ns, message):
    with pytest.raises(EvaluationError, match=message):
        measure_best_of_n(proxy, gold, ns)


def test_probabilities_must_sum_to_one():
    with pytest.raises(EvaluationError, match="sum to 1"):
        best_of_n_kl([0.5, 0.6], [0.0, 1.0], 2)


@pytest.mark.parametrize("scores", [[0.0, 1.0, 2.0], [1.0, 1.0, 0.0], [3.0, 3.0, 3.0]])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_trap_51_the_kl_of_best_of_n_by_enumeration_is_below_its_bound(scores, n):
    # all n-tuples of a policy over 3 answers; the first of the best drawn is kept
    chances = [0.5, 0.3, 0.2]
    kept = [0.0] * 3
    for draw in itertools.product(range(3), repeat=n):
        best = max(draw, key=lambda answer: scores[answer])
        kept[best] += math.prod(chances[answer] for answer in draw)
    exact = sum(q * math.log(q / p) for q, p in zip(kept, chances, strict=True) if q > 0)
    assert best_of_n_kl(chances, scores, n) == pytest.approx(exact, abs=1e-12)
    bound = math.log(n) - (n - 1) / n
    assert best_of_n_kl_bound(n) == pytest.approx(bound)
    assert exact <= bound + 1e-12
    assert n == 1 or exact < bound - 0.05  # atoms: equality would need answers that are never drawn twice
