"""Group baselines by hand, and what they must not depend on."""

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
from accord.training.objectives import advantages

rloo = jaxtyped(typechecker=beartype)(advantages.rloo)
group_normalized = jaxtyped(typechecker=beartype)(advantages.group_normalized)
whiten = jaxtyped(typechecker=beartype)(advantages.whiten)


def test_rloo_by_hand():
    # 1 - (2 + 6)/2 = -3, 2 - (1 + 6)/2 = -1.5, 6 - (1 + 2)/2 = 4.5
    assert rloo(tensor([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]])).tolist() == [[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]]


def test_group_normalized_by_hand():
    # mean 3, deviations -2, -1, 3, std sqrt(14 / 2) = sqrt 7
    expected = [-2 / math.sqrt(7), -1 / math.sqrt(7), 3 / math.sqrt(7)]
    assert group_normalized(tensor([[1.0, 2.0, 6.0]])).tolist()[0] == pytest.approx(expected, rel=1e-6)
    assert group_normalized(tensor([[1.0, 2.0, 6.0]]), divides_by_std=False).tolist() == [[-2.0, -1.0, 3.0]]


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=9))
def test_without_std_the_group_mean_is_rloo_scaled(values):
    # r_i - mean = (k - 1)/k * (r_i - mean of the others)
    rewards = tensor([values], dtype=torch.float64)
    share = (len(values) - 1) / len(values)
    torch.testing.assert_close(group_normalized(rewards, divides_by_std=False), rloo(rewards) * share)


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=6), st.floats(-9, 9), st.randoms())
def test_trap_40_shift_changes_nothing_and_permuting_rows_permutes_advantages(values, shift, random):
    rewards = tensor([values, values[::-1]], dtype=torch.float64)
    order = list(range(len(values)))
    random.shuffle(order)
    for advantage in (rloo, group_normalized):
        torch.testing.assert_close(advantage(rewards + shift), advantage(rewards), atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(
            advantage(rewards[:, order]), advantage(rewards)[:, order], atol=1e-9, rtol=1e-9
        )
        torch.testing.assert_close(
            advantage(rewards.flip(0)), advantage(rewards).flip(0), atol=1e-9, rtol=1e-9
        )


@pytest.mark.parametrize("advantage", [rloo, group_normalized])
def test_trap_41_a_completion_that_does_not_count_leaves_its_siblings_alone(advantage):
    with_one_more = tensor([[1.0, math.nan, 2.0, 6.0]])
    mask = tensor([[True, False, True, True]])
    expected = advantage(tensor([[1.0, 2.0, 6.0]])).tolist()[0]
    result = advantage(with_one_more, mask=mask).tolist()[0]
    assert result == pytest.approx([expected[0], 0.0, *expected[1:]])


@pytest.mark.parametrize("advantage", [rloo, group_normalized])
def test_a_group_with_fewer_than_two_that_count_gives_zeros(advantage):
    mask = tensor([[True, False], [False, False]])
    assert advantage(tensor([[5.0, 1.0], [2.0, 3.0]]), mask=mask).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_trap_19_groups_without_spread_give_zeros_and_one_outlier_stays_bounded():
    # [y, x, ..., x] has deviations (1 - 1/k) d and -d/k: at most (k - 1)/sqrt(k) however small d is
    k = 8
    for size in (1e-3, 1.0, 1e5):
        outlier = group_normalized(tensor([[size] + [0.0] * (k - 1)], dtype=torch.float64))
        assert outlier[0, 0].item() == pytest.approx((k - 1) / math.sqrt(k))
    equal = tensor([[0.1 + 0.2] * k, [1e6] * k])
    assert group_normalized(equal).tolist() == [[0.0] * k] * 2
    rounding = tensor([[1e6, 1e6 + 0.0625] * 4])
    assert group_normalized(rounding).abs().max() == 0


@pytest.mark.parametrize("advantage", [rloo, group_normalized])
def test_groups_of_one_are_refused(advantage):
    with pytest.raises(DataError, match="2 or more samples a prompt"):
        advantage(tensor([[1.0], [2.0]]))


@pytest.mark.parametrize("is_unbiased", [True, False])
def test_trap_21_whitening_against_numpy_on_two_values(is_unbiased):
    values = np.array([1.0, 4.0])
    expected = (values - values.mean()) / values.std(ddof=int(is_unbiased))
    assert whiten(tensor([1.0, 4.0]), is_unbiased=is_unbiased).tolist() == pytest.approx(expected.tolist())
    kept = whiten(tensor([1.0, 4.0]), is_unbiased=is_unbiased, keeps_mean=True)
    assert kept.tolist() == pytest.approx((expected + 2.5).tolist())


def test_trap_20_whitening_does_not_see_masked_slots():
    mask = tensor([[True, True], [False, True]])
    clean, dirty = tensor([[1.0, 2.0], [0.0, 6.0]]), tensor([[1.0, 2.0], [math.nan, 6.0]])
    assert whiten(dirty, mask=mask).tolist() == whiten(clean, mask=mask).tolist()
    flat = whiten(tensor([1.0, 2.0, 6.0]))
    assert whiten(dirty, mask=mask)[mask].tolist() == pytest.approx(flat.tolist())


def test_whitening_one_value_or_equal_ones_only_takes_the_mean():
    assert whiten(tensor([3.0])).tolist() == [0.0]
    assert whiten(tensor([3.0, 3.0])).tolist() == [0.0, 0.0]


def test_rloo_is_unbiased_by_enumeration():
    # a policy over 3 actions, 2 samples: E[1/2 sum A_i grad log pi(x_i)] is the gradient of E[reward]
    logits = tensor([0.2, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    values = tensor([1.0, 5.0, -2.0], dtype=torch.float64)
    logprobs = logits.log_softmax(-1)
    (truth,) = torch.autograd.grad((logprobs.exp() * values).sum(), logits, retain_graph=True)
    total = torch.zeros(3, dtype=torch.float64)
    for first in range(3):
        for second in range(3):
            picked = tensor([first, second])
            weight = logprobs.detach()[picked].sum().exp()
            advantage = rloo(values[picked][None])[0]
            surrogate = (advantage * logprobs[picked]).mean()
            (gradient,) = torch.autograd.grad(surrogate, logits, retain_graph=True)
            total += weight * gradient
    torch.testing.assert_close(total, truth, rtol=1e-12, atol=1e-14)
