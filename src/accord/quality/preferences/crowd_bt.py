"""CrowdBT: how often each annotator answers as the scores say rather than the opposite.

    P(left) = eta_w sigma(s_left - s_right) + (1 - eta_w) sigma(s_right - s_left),  eta_w = sigma(e_w)

after Chen et al. 2013 (WSDM), eq. 2. Departs from it in that the virtual item of its regularizer is a normal
prior of scores, e has a normal prior around the ordinary annotator, the fit is the exact mode, and
a tie counts half for each side.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from accord.domain import DataError
from accord.quality.preferences.fisher_scoring import (
    LatentFit,
    LatentProblem,
    Likelihood,
    ScoringConfig,
    Terms,
    fit_latent,
)
from accord.quality.preferences.item_design import ScoreInterval, score_design, score_interval
from accord.quality.preferences.likelihoods import mixture_terms
from accord.quality.preferences.scored_pairs import ScoredPairs

GRID = 121
"""Points at which the posterior of an annotator's log-odds is taken."""
REACH = 4.5
"""Prior standard deviations that the grid reaches to each side."""
STEP = 0.05
"""Of the second difference at the mode."""
TAIL = 0.025


@dataclass(frozen=True, kw_only=True)
class CrowdBradleyTerryConfig:
    """The priors."""

    score_spread: float = 3.0
    """Standard deviation of the prior of scores around 0."""
    reliability_mean: float = 2.0
    """Mean of the prior of e: an unknown annotator follows the scores with probability sigma(2) = 0.88.
    Above 0, so that better items have higher scores."""
    reliability_spread: float = 1.5
    """Standard deviation of the prior of e."""
    scoring: ScoringConfig = field(default_factory=lambda: ScoringConfig(tolerance=1e-10))
    """When the fit stops."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CrowdBradleyTerryFit:
    """A fitted model."""

    items: tuple[object, ...]
    annotators: tuple[object, ...]
    scores: ScoreInterval
    """[item] Sum 0."""
    reliability: NDArray[np.float64]
    """[annotator] eta: 1 follows the scores, 0.5 answers at random, 0 always answers the opposite."""
    reliability_low: NDArray[np.float64] | None
    """[annotator] Lower ends of 95 % intervals: quantiles of the posterior given the scores, widened by as
    much as not knowing the scores widens the Laplace approximation."""
    reliability_high: NDArray[np.float64] | None
    """[annotator]"""
    objectives: tuple[float, ...]
    """Negative log posterior, step by step; never rises."""
    is_converged: bool


def fit_crowd_bradley_terry(
    pairs: ScoredPairs, config: CrowdBradleyTerryConfig | None = None
) -> CrowdBradleyTerryFit:
    """The mode of scores and reliabilities; deterministic, the same for every order of the rows."""
    config = config or CrowdBradleyTerryConfig()
    if not len(pairs):
        raise DataError("no comparisons to fit; expected at least one")
    problem = crowd_bt_problem(pairs, config)
    start = np.tile(problem.local_mean, (problem.n_annotators, 1))
    fit = fit_latent(problem, np.zeros(problem.n_shared), start, config.scoring)
    log_odds = fit.local[:, 0]
    low, high = _reliability_bounds(problem, fit)
    return CrowdBradleyTerryFit(
        items=pairs.items,
        annotators=pairs.annotators,
        scores=score_interval(fit, len(pairs.items)),
        reliability=expit(log_odds),
        reliability_low=low,
        reliability_high=high,
        objectives=fit.objectives,
        is_converged=fit.is_converged,
    )


def crowd_bt_problem(pairs: ScoredPairs, config: CrowdBradleyTerryConfig) -> LatentProblem:
    """What is minimized."""
    return LatentProblem(
        design=score_design(pairs),
        n_rows=len(pairs),
        annotator=pairs.annotator,
        n_annotators=len(pairs.annotators),
        n_local=1,
        likelihood=crowd_bt_likelihood(pairs.left_share),
        shared_precision=np.full(len(pairs.items), config.score_spread**-2.0),
        local_precision=np.array([config.reliability_spread**-2.0]),
        local_mean=np.array([config.reliability_mean]),
    )


def _reliability_bounds(
    problem: LatentProblem, fit: LatentFit
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """[annotator] Ends of intervals of eta; None where the fit has no covariance.

    The posterior of e is far from normal for somebody who hardly ever errs: its quantiles are taken on
    a grid, with the scores at their mode.
    """
    if fit.local_covariance is None:
        return None, None
    mode, variance = fit.local[:, 0], fit.local_covariance[:, 0, 0]
    mean, precision = problem.local_mean[0], problem.local_precision[0]

    def log_posterior(e: NDArray[np.float64]) -> NDArray[np.float64]:
        local = e[:, None]
        terms = problem.terms(fit.shared, local)
        by_annotator = np.bincount(problem.annotator, terms.log_likelihood, problem.n_annotators)
        return np.asarray(by_annotator - precision * (e - mean) ** 2 / 2)

    middle = log_posterior(mode)
    curvature = 2 * middle - log_posterior(mode + STEP) - log_posterior(mode - STEP)
    widening = np.sqrt(np.maximum(1.0, variance * curvature / STEP**2))
    offsets = np.linspace(-1, 1, GRID) * REACH / np.sqrt(precision)
    grid = mean + offsets
    log_mass = np.stack([log_posterior(np.full_like(mode, e)) for e in grid], axis=1)
    mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True))
    share = np.cumsum(mass, axis=1) - mass / 2
    share /= mass.sum(axis=1, keepdims=True)
    ends = [np.array([np.interp(level, own, grid) for own in share]) for level in (TAIL, 1 - TAIL)]
    low, high = (mode + widening * (end - mode) for end in ends)
    return expit(low), expit(high)


def crowd_bt_likelihood(left_share: NDArray[np.float64]) -> Likelihood:
    """Predictors margin and e to terms."""

    def terms(predictors: NDArray[np.float64]) -> Terms:
        better, follows = expit(predictors)
        worse, opposes = expit(-predictors)
        p_left = follows * better + opposes * worse
        p_right = follows * worse + opposes * better
        slopes = np.stack([(follows - opposes) * better * worse, follows * opposes * (better - worse)])
        return mixture_terms(p_left, p_right, slopes, left_share)

    return terms
