"""Step rewards: by hand, soft labels, and one score of an answer from its steps."""

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
from accord.training.objectives import steps

step_loss = jaxtyped(typechecker=beartype)(steps.step_loss)
join_steps = jaxtyped(typechecker=beartype)(steps.join_steps)


def test_loss_by_hand():
    # s = 0 -> ln 2; s = ln 3, right -> ln(4/3); s = ln 3, half right -> (ln(4/3) + ln 4) / 2
    scores = tensor([0.0, math.log(3), math.log(3)])
    loss = step_loss(scores, tensor([1.0, 1.0, 0.5]), weights=tensor([1.0, 2.0, 1.0]))
    expected = (math.log(2) + 2 * math.log(4 / 3) + (math.log(4 / 3) + math.log(4)) / 2) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1), st.floats(0.1, 2)), min_size=1, max_size=9))
def test_equals_numpy_whatever_the_order(rows):
    scores, labels, weights = np.array(rows).T
    chance = 1 / (1 + np.exp(-scores))
    plain = -(labels * np.log(chance) + (1 - labels) * np.log1p(-chance))
    expected = float((weights * plain).sum() / weights.sum())
    for turn in (slice(None), slice(None, None, -1)):
        found = step_loss(
            *(tensor(x[turn].copy()) for x in (scores, labels)), weights=tensor(weights[turn].copy())
        )
        assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_gradients_equal_finite_differences():
    scores = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.linspace(0, 1, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: step_loss(s, labels, weights=labels + 0.1), scores.requires_grad_(True)
    )


def test_trap_44_steps_that_were_not_looked_at_change_nothing():
    scores = tensor([0.4, math.nan, -1.0], requires_grad=True)
    loss = step_loss(scores, tensor([1.0, 0.0, 0.0]), weights=tensor([1.0, 0.0, 1.0]))
    loss.backward()
    assert loss.isfinite()
    assert scores.grad[1] == 0
    clean = step_loss(tensor([0.4, -1.0]), tensor([1.0, 0.0]), weights=torch.ones(2))
    assert loss.item() == pytest.approx(clean.item(), rel=1e-6)
    with pytest.raises(DataError, match="sum to 0"):
        step_loss(scores, scores, weights=torch.zeros(3))


def test_an_answer_from_its_steps_by_hand():
    # probabilities 3/4, 1/2, 1/4
    scores = tensor([math.log(3), 0.0, -math.log(3)])
    assert join_steps(scores, how="product").item() == pytest.approx(math.log(3 / 32), rel=1e-6)
    assert join_steps(scores, how="mean").item() == pytest.approx(math.log(1 / 2), rel=1e-6)
    assert join_steps(scores, how="min").item() == pytest.approx(-math.log(3))
    assert join_steps(scores, how="last").item() == pytest.approx(-math.log(3))
    assert join_steps(scores.flip(0), how="last").item() == pytest.approx(math.log(3))
    with pytest.raises(DataError, match="without steps"):
        join_steps(torch.zeros(0), how="min")
