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
    LatentProblem,
    Likelihood,
    ScoringConfig,
    Terms,
    fit_latent,
)
from accord.quality.preferences.item_design import Z95, ScoreInterval, score_design, score_interval
from accord.quality.preferences.likelihoods import mixture_terms
from accord.quality.preferences.noisy_bt import local_error
from accord.quality.preferences.scored_pairs import ScoredPairs


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
    """[annotator] Lower ends of 95 % intervals, symmetric in log-odds."""
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
    error, log_odds = local_error(fit, 0), fit.local[:, 0]
    return CrowdBradleyTerryFit(
        items=pairs.items,
        annotators=pairs.annotators,
        scores=score_interval(fit, len(pairs.items)),
        reliability=expit(log_odds),
        reliability_low=None if error is None else expit(log_odds - Z95 * error),
        reliability_high=None if error is None else expit(log_odds + Z95 * error),
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
