"""Masked sums and means by hand, and that masked slots do not exist."""

import math

import pytest
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError, jaxtyped
from torch import tensor

from accord.domain import DataError
from accord.training.objectives import masked

completion_nll = jaxtyped(typechecker=beartype)(masked.completion_nll)
masked_mean = jaxtyped(typechecker=beartype)(masked.masked_mean)
masked_sum = jaxtyped(typechecker=beartype)(masked.masked_sum)


def test_masked_mean_by_hand():
    values, mask = tensor([1.0, 2.0, 6.0]), tensor([True, False, True])
    assert masked_sum(values, mask).item() == 7.0
    assert masked_mean(values, mask).item() == 3.5
    assert masked_mean(values, mask, normalizer=7).item() == 1.0


def test_completion_nll_by_hand():
    # probabilities 1/2 and 1/8 count: (ln 2 + ln 8) / 2 = 2 ln 2
    logprobs = tensor([0.5, 0.25, 0.125]).log()
    loss = completion_nll(logprobs, tensor([True, False, True]))
    assert loss.item() == pytest.approx(2 * math.log(2), rel=1e-6)


def test_trap_20_nan_in_masked_slots_changes_neither_value_nor_gradient():
    clean = tensor([-1.0, -2.0, -3.0], requires_grad=True)
    dirty = tensor([-1.0, math.nan, -3.0], requires_grad=True)
    mask = tensor([True, False, True])
    for logprobs in (clean, dirty):
        completion_nll(logprobs, mask).backward()
    assert completion_nll(dirty, mask).item() == completion_nll(clean, mask).item() == 2.0
    assert dirty.grad.tolist() == clean.grad.tolist() == [-0.5, 0.0, -0.5]


def test_trap_49_an_all_masked_part_gives_zero_loss_and_zero_gradient():
    logprobs = tensor([-1.0, -2.0], requires_grad=True)
    loss = completion_nll(logprobs, tensor([False, False]), normalizer=5)
    loss.backward()
    assert loss.item() == 0.0
    assert logprobs.grad.tolist() == [0.0, 0.0]


def test_trap_48_a_mask_that_is_empty_everywhere_raises():
    with pytest.raises(DataError, match="empty everywhere"):
        completion_nll(tensor([-1.0]), tensor([False]))


def test_a_float_mask_is_refused():
    with pytest.raises(TypeCheckError):
        masked_sum(tensor([1.0]), tensor([1.0]))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), st.integers(0, 5))
def test_padding_changes_nothing(values, padding):
    bare = masked_mean(tensor(values), tensor([True] * len(values)))
    padded = masked_mean(tensor(values + [7.0] * padding), tensor([True] * len(values) + [False] * padding))
    assert padded.item() == pytest.approx(bare.item(), rel=1e-5, abs=1e-5)
