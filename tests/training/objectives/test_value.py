"""Generalized advantages by hand, at both ends of decay, and against a loop in numpy; the critic's loss."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.domain import ConfigError
from accord.training.objectives.value import explained_variance, gae, token_rewards, value_loss


def test_gae_by_hand():
    # one completion: deltas 0 + 2 - 1 = 1 and 4 - 2 = 2; A_2 = 2, A_1 = 1 + 0.5 * 2 = 2; the other: 3 - 1 = 2
    found = gae(tensor([0.0, 4.0, 3.0]), tensor([1.0, 2.0, 1.0]), tensor([2, 1]), decay=0.5)
    assert found.tolist() == [2.0, 2.0, 2.0]


def test_decay_one_is_reward_to_come_less_value():
    # rewards to come: 6, 5, 3
    found = gae(tensor([1.0, 2.0, 3.0]), tensor([1.0, 1.0, 1.0]), tensor([3]), decay=1.0)
    assert found.tolist() == [5.0, 4.0, 2.0]


def test_no_completions_and_empty_completions_have_no_advantages():
    empty = torch.zeros(0)
    assert gae(empty, empty, torch.zeros(0, dtype=torch.long)).shape == (0,)
    assert gae(tensor([2.0]), tensor([0.5]), tensor([0, 1, 0])).tolist() == [1.5]


def test_gae_equals_a_loop_in_numpy():
    random = np.random.default_rng(0)
    lengths = [3, 0, 7, 1]
    rewards, values = random.normal(size=11), random.normal(size=11)
    expected, start = np.zeros(11), 0
    for length in lengths:
        for t in range(length):
            for ahead in range(t, length):
                coming = values[start + ahead + 1] if ahead + 1 < length else 0.0
                delta = rewards[start + ahead] + 0.9 * coming - values[start + ahead]
                expected[start + t] += (0.9 * 0.8) ** (ahead - t) * delta
        start += length
    found = gae(tensor(rewards), tensor(values), tensor(lengths), discount=0.9, decay=0.8)
    assert found.numpy() == pytest.approx(expected, abs=1e-12)


def numpy_gae(rewards, values, lengths, discount, decay):
    """Backwards over each completion, as the paper has it."""
    out, start = np.zeros(len(rewards)), 0
    for length in lengths:
        following_value = following = 0.0
        for t in reversed(range(start, start + length)):
            delta = rewards[t] + discount * following_value - values[t]
            out[t] = following = delta + discount * decay * following
            following_value = values[t]
        start += length
    return out


@pytest.mark.parametrize("decay", [0.0, 0.95, 1.0])
def test_trap_22_nothing_after_a_completion_reaches_its_advantages(decay):
    # the neighbor's values are garbage: no value after the last token is read, whatever lambda is
    random = np.random.default_rng(1)
    rewards, values = random.normal(size=7), random.normal(size=7)
    found = gae(tensor(rewards), tensor(values), tensor([4, 3]), discount=0.9, decay=decay)
    assert found.numpy() == pytest.approx(numpy_gae(rewards, values, [4, 3], 0.9, decay), abs=1e-12)
    spoiled_values, spoiled_rewards = values.copy(), rewards.copy()
    spoiled_values[4:], spoiled_rewards[4:] = math.nan, math.inf
    spoiled = gae(tensor(spoiled_rewards), tensor(spoiled_values), tensor([4, 3]), discount=0.9, decay=decay)
    assert torch.equal(spoiled[:4], found[:4])


def test_trap_23_the_score_stands_on_the_last_token_and_one_past_it_is_one_token_more():
    # penalties 0.5 each, score 3, values 1, 2, discount 0.5, decay 0.5
    # on the last token: rewards -0.5, 2.5; deltas 2.5 - 2 = 0.5, -0.5 + 0.5 * 2 - 1 = -0.5
    # A_2 = 0.5, A_1 = -0.5 + 0.25 * 0.5 = -0.375
    penalties, values = tensor([0.5, 0.5]), tensor([1.0, 2.0])
    rewards = token_rewards(tensor([3.0]), penalties, tensor([2]))
    assert rewards.tolist() == [-0.5, 2.5]
    ours = gae(rewards, values, tensor([2]), discount=0.5, decay=0.5)
    assert ours.tolist() == [-0.375, 0.5]
    # one past it: rewards -0.5, -0.5, 3 and a third value, say 1; deltas 2, -0.5 + 0.5 - 2 = -2, -0.5
    # A_3 = 2, A_2 = -2 + 0.25 * 2 = -1.5, A_1 = -0.5 + 0.25 * -1.5 = -0.875
    longer = token_rewards(tensor([3.0]), tensor([0.5, 0.5, 0.0]), tensor([3]))
    theirs = gae(longer, tensor([1.0, 2.0, 1.0]), tensor([3]), discount=0.5, decay=0.5)
    assert theirs.tolist() == [-0.875, -1.5, 2.0]


def test_each_completion_has_its_score_on_its_own_last_token():
    found = token_rewards(tensor([1.0, -2.0]), tensor([0.1, 0.2, 0.3]), tensor([2, 1]))
    assert found.tolist() == pytest.approx([-0.1, 0.8, -2.3])


def test_value_loss_by_hand():
    # token 1: V 1.1, old 1.0, R 1.0: plain 0.01, clipped the same -> 0.01
    # token 2: V 2.0, old 1.0, R 3.0: plain 1, clipped V 1.2 -> (1.8)^2 = 3.24, the worse, no gradient
    # token 3: V 2.0, old 1.0, R 0.0: plain 4, clipped V 1.2 -> 1.44: plain 4
    values = tensor([1.1, 2.0, 2.0], dtype=torch.float64).requires_grad_()
    old, returns = torch.ones(3, dtype=torch.float64), tensor([1.0, 3.0, 0.0], dtype=torch.float64)
    result = value_loss(values, old, returns, normalizer=3, clip=0.2)
    assert result.loss.item() == pytest.approx((0.01 + 3.24 + 4.0) / 6)
    assert result.is_clipped.tolist() == [False, True, False]
    result.loss.backward()
    assert values.grad.tolist() == pytest.approx([0.1 / 3, 0.0, 2.0 / 3])
    plain = value_loss(values.detach(), old, returns, normalizer=3, clip=None)
    assert plain.loss.item() == pytest.approx((0.01 + 1.0 + 4.0) / 6)


def test_value_loss_equals_numpy_and_shares_sum():
    random = np.random.default_rng(3)
    values, old, returns = random.normal(size=(3, 9))
    clipped = old + np.clip(values - old, -0.5, 0.5)
    expected = np.maximum((values - returns) ** 2, (clipped - returns) ** 2).sum() / 18
    parts = [
        value_loss(
            tensor(values[rows]), tensor(old[rows]), tensor(returns[rows]), normalizer=9, clip=0.5
        ).loss
        for rows in (slice(0, 4), slice(4, 9))
    ]
    assert sum(part.item() for part in parts) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ConfigError, match="above 0"):
        value_loss(tensor(values), tensor(old), tensor(returns), normalizer=9, clip=0.0)


def test_explained_variance_at_its_landmarks():
    returns = tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(tensor([7.0, 7.0, 7.0]), returns) == 0.0
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert explained_variance(returns, tensor([2.0, 2.0, 2.0])) == 0.0
    assert explained_variance(torch.zeros(0), torch.zeros(0)) == 0.0
