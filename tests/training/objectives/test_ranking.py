"""Plackett-Luce: by hand, against all orders written out, and what it must not depend on."""

import itertools
import math

import numpy as np
import pytest
import torch
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import jaxtyped
from torch import tensor

from accord.domain import DataError
from accord.training.objectives import preference_loss, ranking
from accord.training.objectives.ranking import group_first_logprob, ranking_nll

plackett_luce_loss = jaxtyped(typechecker=beartype)(ranking.plackett_luce_loss)


def by_orders(rewards, ranks):
    """-log of the summed probability of all orders that agree with the ranks, in numpy."""
    strengths = np.exp(np.asarray(rewards))
    total = 0.0
    for order in itertools.permutations(range(len(ranks))):
        if any(ranks[first] > ranks[second] for first, second in itertools.pairwise(order)):
            continue
        left = list(order)
        probability = 1.0
        while left:
            probability *= strengths[left[0]] / strengths[left].sum()
            left.pop(0)
        total += probability
    return -math.log(total)


def test_three_answers_by_hand():
    # strengths 4, 2, 1: 4/7 * 2/3 = 8/21
    rewards = tensor([[math.log(4), math.log(2), 0.0]])
    loss = plackett_luce_loss(rewards, tensor([[1, 2, 3]]), weights=tensor([1.0]))
    assert loss.item() == pytest.approx(math.log(21 / 8), rel=1e-6)
    # the middle one first: 2/7 * 4/5 = 8/35, weighed 3 to 1: (log 21/8 + 3 log 35/8) / 4
    both = plackett_luce_loss(
        rewards.repeat(2, 1), tensor([[1, 2, 3], [2, 1, 3]]), weights=tensor([1.0, 3.0])
    )
    assert both.item() == pytest.approx((math.log(21 / 8) + 3 * math.log(35 / 8)) / 4, rel=1e-6)


def test_ties_by_hand():
    # strengths 4, 2, 1; the first two tie: 4/7 * 2/3 + 2/7 * 4/5 = 64/105
    rewards = tensor([math.log(4), math.log(2), 0.0])
    assert ranking_nll(rewards, [1, 1, 2]).item() == pytest.approx(math.log(105 / 64), rel=1e-6)
    # only the best is named: 4/7, whatever the order of the others
    assert ranking_nll(rewards, [1, 2, 2]).item() == pytest.approx(math.log(7 / 4), rel=1e-6)
    assert ranking_nll(rewards, [1, 1, 1]).item() == 0.0
    assert ranking_nll(rewards[:1], [1]).item() == 0.0


@given(st.lists(st.tuples(st.floats(-4, 4), st.integers(1, 4)), min_size=2, max_size=6), st.randoms())
def test_equals_the_sum_over_all_orders_in_value_and_under_permutation(answers, random):
    rewards, ranks = [one[0] for one in answers], [one[1] for one in answers]
    found = ranking_nll(tensor(rewards, dtype=torch.float64), ranks).item()
    assert found == pytest.approx(by_orders(rewards, ranks), rel=1e-9, abs=1e-9)
    order = list(range(len(answers)))
    random.shuffle(order)
    shuffled = ranking_nll(tensor(rewards, dtype=torch.float64)[order], [ranks[i] for i in order]).item()
    assert shuffled == pytest.approx(found, rel=1e-9, abs=1e-9)
    shifted = ranking_nll(tensor(rewards, dtype=torch.float64) + 3.5, ranks).item()
    assert shifted == pytest.approx(found, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ranks", [[1, 2, 3, 4, 5], [2, 1, 1, 3, 3], [1, 1, 1, 2, 3], [3, 3, 1, 2, 2]])
def test_gradients_equal_finite_differences(ranks):
    rewards = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = tensor([0.5, 2.0], dtype=torch.float64)
    table = tensor([ranks, ranks[::-1]])
    assert torch.autograd.gradcheck(
        lambda r: plackett_luce_loss(r, table, weights=weights, centering=0.3),
        rewards.requires_grad_(True),
    )


def test_two_answers_are_bradley_terry():
    rewards = tensor([[0.3, -1.2], [2.0, 2.5]])
    weights = tensor([1.0, 3.0])
    pairs = preference_loss(tensor([0.3, 2.5]), tensor([-1.2, 2.0]), weights=weights, centering=0.1)
    lists = plackett_luce_loss(rewards, tensor([[1, 2], [2, 1]]), weights=weights, centering=0.1)
    assert lists.item() == pytest.approx(pairs.item(), rel=1e-6)


def test_trap_44_empty_places_and_rankings_of_weight_zero_change_nothing():
    plain = tensor([[0.5, -1.0, 0.2]], requires_grad=True)
    plackett_luce_loss(plain, tensor([[2, 1, 3]]), weights=tensor([1.0])).backward()
    dirty = tensor([[0.5, math.nan, -1.0, 0.2], [math.nan, math.nan, 1.0, 2.0]], requires_grad=True)
    loss = plackett_luce_loss(dirty, tensor([[2, 0, 1, 3], [1, 2, 3, 4]]), weights=tensor([1.0, 0.0]))
    loss.backward()
    torch.testing.assert_close(dirty.grad[0, [0, 2, 3]], plain.grad[0])
    assert dirty.grad[0, 1] == 0
    assert (dirty.grad[1] == 0).all()


def test_shares_of_two_parts_sum_to_the_whole():
    rewards = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ranks = tensor([[1, 2, 3], [2, 2, 1], [3, 1, 2]])
    weights = tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    whole = plackett_luce_loss(rewards, ranks, weights=weights)
    parts = [
        plackett_luce_loss(rewards[rows], ranks[rows], weights=weights[rows], normalizer=3.5)
        for rows in ([0], [1, 2])
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-12)


def test_far_rewards_stay_finite():
    rewards = tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    loss = plackett_luce_loss(rewards, tensor([[2, 1, 1]]), weights=tensor([1.0]))
    loss.backward()
    # -200 then 0: e^-400 e^-200; 0 then -200: e^-200 e^-400; together 2 e^-600
    assert loss.item() == pytest.approx(600.0 - math.log(2), rel=1e-6)
    assert rewards.grad.isfinite().all()


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="sum to 0"):
        plackett_luce_loss(tensor([[1.0, 2.0]]), tensor([[1, 2]]), weights=tensor([0.0]))
    with pytest.raises(DataError, match="11 answers share a rank"):
        group_first_logprob(torch.zeros(11), tensor(0.0))
