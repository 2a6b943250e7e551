"""Shares that are Dirichlet distributed:
their logs, their divergence, and the prior that many of them share."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

CLIMB_STEPS = 50
"""Newton steps for a shared prior; it converges in about ten."""
HALVINGS = 40
"""A step that still does not rise after so many halvings is lost in rounding."""


def log_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of counts over their sum along the last axis."""
    return np.asarray(np.log(counts) - np.log(counts.sum(axis=-1, keepdims=True)))


def expected_log(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected log of shares that are Dirichlet with `counts` along the last axis."""
    return np.asarray(digamma(counts) - digamma(counts.sum(axis=-1, keepdims=True)))


def divergence(counts: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence of Dirichlet(counts) from Dirichlet(prior), summed over the rows; nats."""
    prior = np.broadcast_to(prior, counts.shape)
    rows = gammaln(counts.sum(axis=-1)) - gammaln(prior.sum(axis=-1))
    cells = gammaln(prior) - gammaln(counts) + (counts - prior) * expected_log(counts)
    return float(rows.sum() + cells.sum())


def fit_shared_prior(
    prior: NDArray[np.float64],
    log_sum: NDArray[np.float64],
    n_draws: int,
    *,
    shape: NDArray[np.float64],
    rate: float,
) -> NDArray[np.float64]:
    """The prior [row, column] under which draws with `log_sum` [row, column] are most probable.

    `log_sum` sums the (expected) log shares of `n_draws` draws a row. Each entry of the prior has itself a
    Gamma prior with density entry^shape e^(-rate entry). Newton (Minka 2000, "Estimating a Dirichlet
    distribution", eq. 15 to 18)
    on a concave function, with steps halved until they rise: the value is never lower than at `prior`.
    """
    value = shared_prior_value(prior, log_sum, n_draws, shape=shape, rate=rate)
    for _ in range(CLIMB_STEPS):
        total = prior.sum(axis=1, keepdims=True)
        slope = n_draws * (digamma(total) - digamma(prior)) + log_sum + shape / prior - rate
        bend = -n_draws * polygamma(1, prior) - shape / prior**2
        joint = n_draws * polygamma(1, total)
        inverse = 1.0 / bend
        pull = (slope * inverse).sum(axis=1, keepdims=True) / (
            1.0 / joint + inverse.sum(axis=1, keepdims=True)
        )
        step = -(slope - pull) * inverse
        # no entry may lose more than nine tenths of itself
        step /= np.maximum(np.max(-step / (0.9 * prior), axis=1, keepdims=True), 1.0)
        for _ in range(HALVINGS):
            new = shared_prior_value(prior + step, log_sum, n_draws, shape=shape, rate=rate)
            falls = new < value
            if not falls.any():
                break
            step[falls] *= 0.5
        step[falls] = 0.0
        prior = prior + step
        value = np.where(falls, value, new)
        if np.max(np.abs(step) / prior) < 1e-9:
            break
    return prior


def shared_prior_value(
    prior: NDArray[np.float64],
    log_sum: NDArray[np.float64],
    n_draws: int,
    *,
    shape: NDArray[np.float64],
    rate: float,
) -> NDArray[np.float64]:
    """[row] What `fit_shared_prior` climbs: log density of the draws and of the prior, up to a constant."""
    draws = n_draws * (gammaln(prior.sum(axis=1)) - gammaln(prior).sum(axis=1)) + (prior * log_sum).sum(
        axis=1
    )
    return np.asarray(draws + (shape * np.log(prior) - rate * prior).sum(axis=1))
