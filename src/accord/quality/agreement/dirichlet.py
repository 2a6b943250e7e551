"""Items' true class shares as a Dirichlet, fitted to class counts: how much items differ, noise aside."""

import numpy as np
from scipy.special import betainc, digamma, gammainc, gammaincinv

from accord.quality.agreement.coincidence import CountRows
from accord.quality.agreement.resampling import FloatArray

MIN_CONCENTRATION, MAX_CONCENTRATION = 1e-6, 1e5
"""Of a class: a class never given would go to 0, counts without differences between items to infinity."""
MAX_ITERATIONS = 500
TOLERANCE = 1e-7
"""Change of log concentrations in a step at which the fit has converged."""
NODES = 32
"""Gauss-Legendre nodes of the accuracy integral; its error is below 1e-4."""


def fit_dirichlet(rows: CountRows, weights: FloatArray) -> FloatArray:
    """Maximum-likelihood concentrations [replicate, class] of counts ~ multinomial(Dirichlet).

        sum_i w_i (sum_k log [a_k]_(n_ik) - log [a]_(n_i)),   [a]_n = a (a + 1) ... (a + n - 1)

    Minka 2000, eq. 55 in the form of sums 1 / (a_k + t), which need counted tails only, so that a
    step costs replicates x classes x largest count whatever the number of items. Every second step is
    extrapolated (SQUAREM, Varadhan and Roland 2008) and kept where the likelihood does not fall.
    """
    tails, totals = _tails(rows, weights)
    log_values = np.zeros((len(weights), rows.counts.shape[1]))
    is_live = np.ones(len(weights), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        live = np.flatnonzero(is_live)
        start = log_values[live]
        one = _step(start, tails[live], totals[live])
        two = _step(one, tails[live], totals[live])
        first, bend = one - start, two - 2 * one + start
        norm = np.sqrt((bend**2).sum(axis=1, keepdims=True))
        reach = np.sqrt((first**2).sum(axis=1, keepdims=True))
        length = np.clip(np.divide(reach, norm, out=np.ones_like(norm), where=norm > 0), 1.0, 64.0)
        leap = _bounded(start + 2 * length * first + length**2 * bend)
        is_better = _log_likelihood(leap, tails[live], totals[live]) >= _log_likelihood(
            two, tails[live], totals[live]
        )
        log_values[live] = np.where(is_better[:, None], leap, two)
        is_live[live] = np.abs(two - one).max(axis=1) > TOLERANCE
        if not is_live.any():
            break
    return np.asarray(np.exp(log_values))


def expected_largest_share(concentrations: FloatArray) -> FloatArray:
    """E[max_k p_k] [replicate] for p ~ Dirichlet(concentrations [replicate, class]).

    p is gamma variates over their sum, which is independent of p, so that
    E[max p] = sum_k a_k / a * E[prod_{j != k} F_j(G)], G ~ gamma(a_k + 1), an integral over the
    quantiles of G. For two equal concentrations it is 1/2 + 4^-a / (a B(a, a)).
    """
    share = concentrations / concentrations.sum(axis=1, keepdims=True)
    result = np.zeros(len(concentrations))
    for k in range(concentrations.shape[1]):
        result += share[:, k] * _mean_below(concentrations, k, concentrations[:, k] + 1)
    return result


def chance_of_largest(concentrations: FloatArray) -> FloatArray:
    """P(p_k is the largest) [row, class] for p ~ Dirichlet(concentrations [row, class]).

    Two classes: a tail of the beta distribution. More: E[prod_{j != k} F_j(G)], G ~ gamma(a_k).
    """
    n_classes = concentrations.shape[1]
    if n_classes == 2:
        second = betainc(concentrations[:, 0], concentrations[:, 1], 0.5)
        return np.stack([1 - second, second], axis=1)
    result = np.stack(
        [_mean_below(concentrations, k, concentrations[:, k]) for k in range(n_classes)], axis=1
    )
    return np.asarray(result / result.sum(axis=1, keepdims=True))


def _mean_below(concentrations: FloatArray, k: int, shape: FloatArray) -> FloatArray:
    """E[prod_{j != k} F_j(G)] [row], G ~ gamma(shape [row]) and F_j that of gamma(concentrations[:, j])."""
    nodes, node_weights = np.polynomial.legendre.leggauss(NODES)
    points = gammaincinv(shape[:, None], (nodes + 1) / 2)
    below = np.ones_like(points)
    for j in range(concentrations.shape[1]):
        if j != k:
            below *= gammainc(concentrations[:, j, None], points)
    return np.asarray(below @ node_weights / 2)


def expected_entropy(concentrations: FloatArray) -> FloatArray:
    """E[-sum p log p] [replicate] in nats: psi(a + 1) - sum_k a_k / a psi(a_k + 1)."""
    total = concentrations.sum(axis=1)
    inner = (concentrations * digamma(concentrations + 1)).sum(axis=1) / total
    return np.asarray(digamma(total + 1) - inner)


def _tails(rows: CountRows, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Items with more than t ratings of a class [replicate, class, t], and of any class [replicate, t]."""
    longest = int(rows.totals.max())
    counts = rows.counts
    n_classes = counts.shape[1]
    tails = np.zeros((len(weights), n_classes, longest))
    totals = np.zeros((len(weights), longest))
    for t in range(longest):
        above = (counts > t).astype(np.float64)
        tails[:, :, t] = (above.T @ weights.T).T
        totals[:, t] = weights @ (rows.totals > t)
    return tails, totals


def _step(log_values: FloatArray, tails: FloatArray, totals: FloatArray) -> FloatArray:
    values = np.exp(log_values)
    places = np.arange(tails.shape[2])
    raised = (tails / (values[:, :, None] + places)).sum(axis=2)
    lowered = (totals / (values.sum(axis=1)[:, None] + places)).sum(axis=1)
    with np.errstate(divide="ignore"):  # a class not drawn has log 0, which the bound lifts
        return _bounded(log_values + np.log(raised / lowered[:, None]))


def _bounded(log_values: FloatArray) -> FloatArray:
    return np.clip(log_values, np.log(MIN_CONCENTRATION), np.log(MAX_CONCENTRATION))


def _log_likelihood(log_values: FloatArray, tails: FloatArray, totals: FloatArray) -> FloatArray:
    values = np.exp(log_values)
    places = np.arange(tails.shape[2])
    gain = (tails * np.log(values[:, :, None] + places)).sum(axis=(1, 2))
    return np.asarray(gain - (totals * np.log(values.sum(axis=1)[:, None] + places)).sum(axis=1))
