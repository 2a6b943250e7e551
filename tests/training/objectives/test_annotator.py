"""Judgments under annotators' habits: by hand, sums to one, Bradley-Terry as a special case, gradients."""

import math

import numpy as np
import pytest
import torch
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import jaxtyped
from torch import tensor

from accord.training.objectives import annotator
from accord.training.objectives.annotator import LEFT, RIGHT, TIE

judgment_nll = jaxtyped(typechecker=beartype)(annotator.judgment_nll)
habit_penalty = jaxtyped(typechecker=beartype)(annotator.habit_penalty)
FINITE = st.floats(-6, 6)


def all_choices(difference, gain, shift, log_threshold):
    def row(value):
        return torch.full((3,), value, dtype=torch.float64)

    return judgment_nll(
        row(difference),
        tensor([LEFT, TIE, RIGHT]),
        gains=row(gain),
        shifts=row(shift),
        log_thresholds=row(log_threshold),
    )


def test_one_judgment_by_hand():
    # d = 2 * ln 2 + ln 2 = ln 8, t = ln 2: left s(ln 4) = 4/5, right s(-ln 16) = 1/17, tie 12/85
    found = all_choices(math.log(2), 2.0, math.log(2), math.log(math.log(2)))
    expected = [-math.log(4 / 5), -math.log(12 / 85), -math.log(1 / 17)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


@given(FINITE, st.floats(-2, 3), FINITE, st.floats(-4, 2))
def test_the_three_choices_sum_to_one_and_mirror_each_other(difference, gain, shift, log_threshold):
    found = all_choices(difference, gain, shift, log_threshold)
    assert found.neg().exp().sum().item() == pytest.approx(1.0, rel=1e-9)
    mirrored = all_choices(-difference, gain, -shift, log_threshold)
    torch.testing.assert_close(mirrored.flip(0), found)
    d, t = gain * difference + shift, math.exp(log_threshold)
    plain = 1 / (1 + np.exp(-(d + t))) - 1 / (1 + np.exp(-(d - t)))
    assert found[1].neg().exp().item() == pytest.approx(plain, rel=1e-6, abs=1e-12)


def test_a_narrow_threshold_does_not_cancel():
    # with t = 1e-9 a tie has probability 2 t s(d) s(-d) = 2e-9 / 4 at d = 0
    assert all_choices(0.0, 1.0, 0.0, math.log(1e-9))[1].item() == pytest.approx(-math.log(5e-10), rel=1e-6)


def test_without_habits_it_is_bradley_terry():
    differences = tensor([0.5, -2.0, 30.0])
    choices = tensor([LEFT, LEFT, RIGHT])
    ones, zeros = torch.ones(3), torch.zeros(3)
    found = judgment_nll(differences, choices, gains=ones, shifts=zeros, log_thresholds=None)
    expected = torch.nn.functional.softplus(tensor([-0.5, 2.0, 30.0]))
    torch.testing.assert_close(found, expected)


def test_gradients_of_rewards_and_habits_equal_finite_differences():
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(6, generator=generator, dtype=torch.float64).requires_grad_(True) for _ in range(4)]
    choices = tensor([LEFT, TIE, RIGHT, LEFT, TIE, RIGHT])
    assert torch.autograd.gradcheck(
        lambda d, a, c, h: judgment_nll(d, choices, gains=a, shifts=c, log_thresholds=h), values
    )


def test_penalty_by_hand():
    # (2 - 1)^2 / (2 * 0.25) + 1 / (2 * 1) + (1 + 4) / (2 * 4) = 2 + 0.5 + 0.625
    found = habit_penalty(
        tensor([2.0, 1.0]),
        tensor([0.0, -1.0]),
        tensor([1.0, 2.0]),
        gain_spread=0.5,
        position_spread=1.0,
        tie_spread=2.0,
    )
    assert found.item() == pytest.approx(3.125)
