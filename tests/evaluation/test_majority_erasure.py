"""Erasure by hand, its chance by counting, and no excess where groups are dealt at random."""

from itertools import combinations

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.majority_erasure import measure_erasure


def test_shares_and_chance_by_hand():
    # 40 items of 5 + 7 votes. On 10 of them group a says 4 : 1 and b 0 : 7, pooled 4 : 8: a is erased.
    items = [i for i in range(40) for _ in range(2)]
    groups = ["a", "b"] * 40
    votes = [pair for i in range(40) for pair in (((4, 1), (0, 7)) if i < 10 else ((0, 5), (1, 6)))]
    found = measure_erasure(items, groups, votes)
    first, second = found.groups
    assert (first.name, first.erased.value, first.n_items) == ("a", 0.25, 40)
    assert first.erased.low < 0.25 < first.erased.high
    assert second.erased.value == 0.0
    assert second.erased.high > 0.0
    assert (found.worst, found.worst_erased.value) == ("a", 0.25)

    # of 12 votes, 4 for the smaller side: five drawn hold three or four of them
    def chance(smaller: int, drawn: int) -> float:
        hands = list(combinations([1] * smaller + [0] * (12 - smaller), drawn))
        return sum(2 * sum(hand) > drawn for hand in hands) / len(hands)

    assert first.expected == pytest.approx((10 * chance(4, 5) + 30 * chance(1, 5)) / 40)
    assert first.excess.value == pytest.approx(0.25 - first.expected)
    assert second.expected == pytest.approx((10 * chance(4, 7) + 30 * chance(1, 7)) / 40)


def test_even_votes_are_no_majority():
    # pooled 6 : 6 is left out; a group of 3 : 3 under a pooled 8 : 4 is not erased
    items = [i for i in range(60) for _ in range(2)]
    votes = [pair for i in range(60) for pair in (((5, 1), (1, 5)) if i < 30 else ((3, 3), (5, 1)))]
    found = measure_erasure(items, ["a", "b"] * 60, votes)
    assert [(one.n_items, one.erased.value) for one in found.groups] == [(30, 0.0), (30, 0.0)]


def test_groups_without_opinions_of_their_own_have_no_excess():
    inside = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        left = generator.binomial(14, 0.6, 60)
        own = generator.hypergeometric(left, 14 - left, 5)
        pairs = [((int(k), 5 - int(k)), (int(n - k), 9 - int(n - k))) for n, k in zip(left, own, strict=True)]
        items = [i for i in range(60) for _ in range(2)]
        found = measure_erasure(items, ["a", "b"] * 60, [one for pair in pairs for one in pair])
        excess = found.groups[0].excess
        assert found.groups[0].expected > 0.05  # chance alone erases
        inside += excess.low <= 0 <= excess.high
    # 38 of 40 are expected at .95; 34 or fewer would have a probability of .03
    assert inside >= 35


def test_few_people_are_not_told():
    with pytest.raises(EvaluationError, match="5 votes on an item"):
        measure_erasure([1, 1], ["a", "b"], [(3, 1), (0, 4)])
    votes = [(5, 0), (0, 6)] * 10
    with pytest.raises(EvaluationError, match="30 rows"):
        measure_erasure([i // 2 for i in range(20)], ["a", "b"] * 10, votes)
    with pytest.raises(EvaluationError, match="one of each"):
        measure_erasure([1], ["a", "b"], votes)
