"""Generalized advantages by hand, at both ends of decay, and against a loop in numpy."""

import numpy as np
import pytest
import torch
from torch import tensor

from accord.training.objectives.value import gae


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
