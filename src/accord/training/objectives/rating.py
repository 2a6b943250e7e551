"""The loss of a reward model on ratings: regression on one or several named dimensions, some not rated.

Leaves out how ratings of several annotators are joined, and in which units they come.
"""

import math

from jaxtyping import Bool, Float
from torch import Tensor, where

from accord.domain import DataError


def rating_loss(
    scores: Float[Tensor, "row dimension"],
    ratings: Float[Tensor, "row dimension"],
    rated_mask: Bool[Tensor, "row dimension"],
    *,
    weights: Float[Tensor, " row"],
    dimension_weights: Float[Tensor, " dimension"],
    huber_delta: float = math.inf,
    normalizer: int | float | None = None,
) -> Float[Tensor, ""]:
    """Half the squared error of each rated cell, mean over the cells by weight.

        e    = score - rating
        h(e) = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)      (Huber 1964)
        loss = sum_ik m_ik w_i a_k h(e_ik) / sum_ik m_ik w_i a_k

    m is `rated_mask` (True where the row was rated on the dimension), w `weights`, a
    `dimension_weights`. The denominator counts CELLS: a dimension on which few rows were rated counts
    as little as it was rated, and an answer rated on all dimensions more than one rated on one. An
    unrated cell changes neither value nor gradient, NaN included. `normalizer` is the denominator of
    the whole update, default that of the rows given; zero raises.
    """
    cells = rated_cells(rated_mask, weights=weights, dimension_weights=dimension_weights)
    if normalizer is None:
        normalizer = float(cells.sum())
    if normalizer <= 0:
        raise DataError(f"the rated cells weigh {normalizer:g} in all; at least one must count")
    errors = where(cells > 0, scores - ratings, 0.0)
    size = errors.abs()
    losses = errors.square() / 2
    if math.isfinite(huber_delta):
        losses = where(size <= huber_delta, losses, huber_delta * (size - huber_delta / 2))
    return (cells * losses).sum() / normalizer


def rated_cells(
    rated_mask: Bool[Tensor, "row dimension"],
    *,
    weights: Float[Tensor, " row"],
    dimension_weights: Float[Tensor, " dimension"],
) -> Float[Tensor, "row dimension"]:
    """What each cell counts: w_i a_k where it was rated, else 0."""
    return where(rated_mask, weights[:, None] * dimension_weights[None, :], 0.0)
