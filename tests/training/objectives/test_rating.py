"""Regression on rated dimensions: by hand, with cells missing, against numpy and finite differences."""

import math

import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import tensor

from accord.domain import DataError
from accord.training.objectives import rating

rating_loss = jaxtyped(typechecker=beartype)(rating.rating_loss)


def test_cells_by_hand():
    # errors: 1 (weight 1 * 1), 2 (1 * 3), and 4 (2 * 1); the cell (row 1, dimension 1) was not rated
    # (1 * 1/2 + 3 * 4/2 + 2 * 16/2) / (1 + 3 + 2) = 22.5 / 6
    loss = rating_loss(
        tensor([[1.0, 2.0], [4.0, 9.0]]),
        torch.zeros(2, 2),
        tensor([[True, True], [True, False]]),
        weights=tensor([1.0, 2.0]),
        dimension_weights=tensor([1.0, 3.0]),
    )
    assert loss.item() == pytest.approx(22.5 / 6, rel=1e-6)


def test_huber_by_hand():
    # delta 1.5: |e| = 1 -> 1/2, |e| = 4 -> 1.5 * (4 - 0.75) = 4.875; mean 2.6875
    loss = rating_loss(
        tensor([[1.0], [-4.0]]),
        torch.zeros(2, 1),
        torch.ones(2, 1, dtype=torch.bool),
        weights=torch.ones(2),
        dimension_weights=torch.ones(1),
        huber_delta=1.5,
    )
    assert loss.item() == pytest.approx(2.6875, rel=1e-6)


def random_cells(rows=7, dimensions=3):
    generator = torch.Generator().manual_seed(3)
    scores, ratings = (torch.randn(rows, dimensions, generator=generator, dtype=torch.float64) for _ in "ab")
    mask = torch.rand(rows, dimensions, generator=generator) < 0.6
    weights = torch.rand(rows, generator=generator, dtype=torch.float64)
    return scores, ratings, mask, weights, tensor([1.0, 0.5, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("delta", [math.inf, 0.4])
def test_equals_a_numpy_twin_and_finite_differences(delta):
    scores, ratings, mask, weights, importance = random_cells()
    top = bottom = 0.0
    for i, k in np.argwhere(mask.numpy()):
        error = abs(float(scores[i, k] - ratings[i, k]))
        cost = error**2 / 2 if error <= delta else delta * (error - delta / 2)
        top += float(weights[i] * importance[k]) * cost
        bottom += float(weights[i] * importance[k])

    def loss(values):
        return rating_loss(
            values, ratings, mask, weights=weights, dimension_weights=importance, huber_delta=delta
        )

    assert loss(scores).item() == pytest.approx(top / bottom, rel=1e-12)
    assert torch.autograd.gradcheck(loss, scores.requires_grad_(True))


def test_trap_20_unrated_cells_change_neither_value_nor_gradient():
    scores, ratings, mask, weights, importance = random_cells()
    found = []
    for filler in (0.0, math.nan):
        given, target = scores.clone(), ratings.clone()
        given[~mask], target[~mask] = filler, filler
        given.requires_grad_(True)
        loss = rating_loss(given, target, mask, weights=weights, dimension_weights=importance)
        loss.backward()
        found.append((loss.item(), given.grad))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_rows_may_come_in_any_order_and_in_parts():
    scores, ratings, mask, weights, importance = random_cells()
    whole = rating_loss(scores, ratings, mask, weights=weights, dimension_weights=importance).item()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(5))
    shuffled = rating_loss(
        scores[order], ratings[order], mask[order], weights=weights[order], dimension_weights=importance
    )
    assert shuffled.item() == pytest.approx(whole, rel=1e-12)
    total = float(rating.rated_cells(mask, weights=weights, dimension_weights=importance).sum())
    parts = [
        rating_loss(
            scores[rows],
            ratings[rows],
            mask[rows],
            weights=weights[rows],
            dimension_weights=importance,
            normalizer=total,
        ).item()
        for rows in (slice(0, 2), slice(2, 7))
    ]
    assert sum(parts) == pytest.approx(whole, rel=1e-12)


def test_nothing_rated_is_refused_and_a_part_without_ratings_is_zero():
    arguments = (torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.bool))
    one = torch.ones(1)
    with pytest.raises(DataError, match="at least one must count"):
        rating_loss(*arguments, weights=one, dimension_weights=one)
    assert rating_loss(*arguments, weights=one, dimension_weights=one, normalizer=4.0).item() == 0.0
