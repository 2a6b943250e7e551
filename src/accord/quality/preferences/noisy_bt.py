"""NoisyBT (factorBT): an annotator compares with some skill, and otherwise follows a habit of one side.

    P(left) = sigma(gamma_w) sigma(s_left - s_right) + (1 - sigma(gamma_w)) sigma(q_w)

after Bugakova et al. 2019 (arXiv 1906.03711) with one habit, of position. Departs from it in
that the penalties are normal priors, of scores around 0, of gamma and q around the crowd's ordinary
annotator; that the fit is the exact mode, and that a tie counts half for each side.
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


@dataclass(frozen=True, kw_only=True)
class NoisyBradleyTerryConfig:
    """The priors."""

    score_spread: float = 3.0
    """Standard deviation of the prior of scores around 0."""
    skill_mean: float = 1.5
    """Mean of the prior of gamma: an annotator of unknown skill compares with probability sigma(1.5) = 0.82.
    Above 0, so that better items have higher scores."""
    skill_spread: float = 1.5
    """Standard deviation of the prior of gamma."""
    bias_spread: float = 1.5
    """Standard deviation of the prior of q around 0."""
    scoring: ScoringConfig = field(default_factory=lambda: ScoringConfig(tolerance=1e-10))
    """When the fit stops."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NoisyBradleyTerryFit:
    """A fitted model."""

    items: tuple[object, ...]
    annotators: tuple[object, ...]
    scores: ScoreInterval
    """[item] Sum 0."""
    skill: NDArray[np.float64]
    """[annotator] gamma."""
    bias: NDArray[np.float64]
    """[annotator] q: above 0 the habit is the left side."""
    skill_error: NDArray[np.float64] | None
    """[annotator] Standard deviation of gamma in the Laplace approximation."""
    bias_error: NDArray[np.float64] | None
    """[annotator] Standard deviation of q."""
    objectives: tuple[float, ...]
    """Negative log posterior, step by step; never rises."""
    is_converged: bool

    @property
    def p_compares(self) -> NDArray[np.float64]:
        """[annotator] sigma(gamma): how often the annotator compares instead of following the habit."""
        return np.asarray(expit(self.skill))


def fit_noisy_bradley_terry(
    pairs: ScoredPairs, config: NoisyBradleyTerryConfig | None = None
) -> NoisyBradleyTerryFit:
    """The mode of scores, skills and biases. O(rows) an iteration besides a solve of items^3.

    Deterministic, and the same for every order of the rows. The priors make it exist for any input.
    """
    config = config or NoisyBradleyTerryConfig()
    if not len(pairs):
        raise DataError("no comparisons to fit; expected at least one")
    problem = noisy_bt_problem(pairs, config)
    start = np.tile(problem.local_mean, (problem.n_annotators, 1))
    fit = fit_latent(problem, np.zeros(problem.n_shared), start, config.scoring)
    return NoisyBradleyTerryFit(
        items=pairs.items,
        annotators=pairs.annotators,
        scores=score_interval(fit, len(pairs.items)),
        skill=fit.local[:, 0],
        bias=fit.local[:, 1],
        skill_error=local_error(fit, 0),
        bias_error=local_error(fit, 1),
        objectives=fit.objectives,
        is_converged=fit.is_converged,
    )


def noisy_bt_problem(pairs: ScoredPairs, config: NoisyBradleyTerryConfig) -> LatentProblem:
    """What is minimized."""
    return LatentProblem(
        design=score_design(pairs),
        n_rows=len(pairs),
        annotator=pairs.annotator,
        n_annotators=len(pairs.annotators),
        n_local=2,
        likelihood=noisy_bt_likelihood(pairs.left_share),
        shared_precision=np.full(len(pairs.items), config.score_spread**-2.0),
        local_precision=np.array([config.skill_spread, config.bias_spread]) ** -2.0,
        local_mean=np.array([config.skill_mean, 0.0]),
    )


def noisy_bt_likelihood(left_share: NDArray[np.float64]) -> Likelihood:
    """Predictors margin, gamma, q to terms."""

    def terms(predictors: NDArray[np.float64]) -> Terms:
        better, compares, habit = chances = expit(predictors)
        worse, follows, other = 1 - chances
        p_left = compares * better + follows * habit
        p_right = compares * worse + follows * other
        slopes = np.stack(
            [compares * better * worse, compares * follows * (better - habit), follows * habit * other]
        )
        return mixture_terms(p_left, p_right, slopes, left_share)

    return terms


def local_error(fit: LatentFit, k: int) -> NDArray[np.float64] | None:
    """[annotator] Standard deviation of local parameter k."""
    if fit.local_covariance is None:
        return None
    return np.asarray(np.sqrt(fit.local_covariance[:, k, k]))
