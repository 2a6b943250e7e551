"""Bradley-Terry scores of battles with ties and covariates, and the covariance of their errors.

Three ways with a tie: half a win for each side (as the Chatbot Arena), Davidson's propensity, or Rao and
Kupper's threshold. The covariance is the sandwich of whole clusters, or a bootstrap of clusters. Departs
from `accord.quality.preferences` in covariates, weights and clusters. Leaves out ranks (`ranks.py`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, log_expit

from accord.domain.errors import ConfigError
from accord.evaluation.clusters import FloatArray
from accord.evaluation.leaderboard.battles import Battles
from accord.quality.preferences.likelihoods import davidson_terms, threshold_terms

TieForm = Literal["half", "davidson", "threshold"]
IntervalMethod = Literal["sandwich", "bootstrap"]
STEPS = 100
TOLERANCE = 1e-10
"""Largest step, in log-odds, at which the fit has arrived."""
LONGEST = 2.0
"""No parameter moves farther in one step."""
MEAN_HOLD = 1.0
"""Precision of the sum of the scores, which no battle tells."""
FAILED = 0.05
"""Share of bootstrap samples without a finite fit from which on there is no interval."""
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """How battles become scores."""

    ties: TieForm = "half"
    """What a tie is: half a win for each, or an outcome of its own by Davidson or by a threshold."""
    intervals: IntervalMethod = "sandwich"
    """From the spread of the clusters' gradients, or from bootstrap samples of clusters."""
    ridge: float = 0.0
    """Precision of a normal prior around 0 on every score; needed where a model only won or only lost."""
    resamples: int = 400
    """Bootstrap samples of clusters."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        problems = []
        if self.ties not in ("half", "davidson", "threshold"):
            problems.append(f"ties is {self.ties!r}, expected half, davidson or threshold")
        if self.intervals not in ("sandwich", "bootstrap"):
            problems.append(f"intervals is {self.intervals!r}, expected sandwich or bootstrap")
        if not 0 <= self.ridge < float("inf"):
            problems.append(f"ridge is {self.ridge}, expected 0 or more")
        if self.resamples < 40:
            problems.append(f"resamples is {self.resamples}, expected 40 or more")
        if problems:
            raise ConfigError("RankingConfig", problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranking:
    """Fitted scores in log-odds."""

    models: tuple[str, ...]
    scores: FloatArray
    """[model] Mean 0."""
    covariance: FloatArray
    """[model, model] Of the errors of `scores`."""
    draws: FloatArray | None
    """[sample, model] Bootstrapped scores; None by sandwich."""
    effects: FloatArray
    """[covariate] Log-odds of a typical difference in style."""
    effect_errors: FloatArray
    """[covariate] Their standard errors."""
    tie: float | None
    """Davidson's nu or the threshold; None where a tie is half a win."""
    log_likelihood: float
    clusters: int
    failed: int
    """Bootstrap samples without a finite fit."""

    @property
    def errors(self) -> FloatArray:
        """[model] Standard errors of the scores relative to their mean."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Battles that are alike, counted once."""

    design: FloatArray
    """[cell, model + covariate] What the margin is made of."""
    outcome: np.ndarray
    of_row: np.ndarray
    """[row] Its cell."""


def rank_models(battles: Battles, config: RankingConfig | None = None) -> Ranking:
    """Scores, effects and their covariance; the same for every order of rows and either way round of one.

    Raises `EvaluationError` where the scores are infinite or do not compare, and where too many bootstrap
    samples are so.
    """
    config = config or RankingConfig()
    _require_finite(battles, config)
    cells = _cells(battles)
    counts = np.bincount(cells.of_row, battles.weight, len(cells.outcome))
    start = np.zeros(cells.design.shape[1] + (config.ties != "half"))
    fitted = _maximize(cells, counts, config, start)
    n_models = len(battles.models)
    center = np.eye(len(fitted))
    center[:n_models, :n_models] -= 1 / n_models
    draws, failed = None, 0
    if config.intervals == "bootstrap":
        draws, failed = _bootstrap(battles, cells, config, fitted)
        covariance = np.cov((draws @ center.T).T)
    else:
        covariance = center @ _sandwich(battles, cells, counts, config, fitted) @ center.T
    log_likelihood, _, _ = _terms(cells, counts, config, fitted)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    stop = n_models + len(battles.covariate_names)
    return Ranking(
        models=battles.models,
        scores=(center @ fitted)[:n_models],
        covariance=covariance[:n_models, :n_models],
        draws=None if draws is None else (draws @ center.T)[:, :n_models],
        effects=fitted[n_models:stop],
        effect_errors=errors[n_models:stop],
        tie=None if config.ties == "half" else float(np.exp(fitted[-1])),
        log_likelihood=float(log_likelihood @ counts),
        clusters=battles.clusters.count,
        failed=failed,
    )


def _cells(battles: Battles) -> _Cells:
    keys = np.column_stack([battles.left, battles.right, battles.outcome, battles.covariates])
    unique, of_row = np.unique(keys, axis=0, return_inverse=True)
    n_models, number = len(battles.models), np.arange(len(unique))
    design = np.zeros((len(unique), n_models + battles.covariates.shape[1]))
    design[number, unique[:, 0].astype(int)] += 1
    design[number, unique[:, 1].astype(int)] -= 1
    design[:, n_models:] = unique[:, 3:]
    return _Cells(design, unique[:, 2].astype(int), of_row.reshape(-1))


def _terms(
    cells: _Cells, counts: FloatArray, config: RankingConfig, parameters: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """[cell] log-likelihood, [cell, parameter] gradient, [parameter, parameter] information by counts."""
    design = cells.design
    margin = design @ parameters[: design.shape[1]]
    if config.ties == "half":
        share = np.array([1.0, 0.0, 0.5])[cells.outcome]
        likelihood = share * log_expit(margin) + (1 - share) * log_expit(-margin)
        chance = expit(margin)
        information = (design.T * (counts * chance * (1 - chance))) @ design
        return likelihood, (share - chance)[:, None] * design, information
    of_margin = davidson_terms if config.ties == "davidson" else threshold_terms
    found = of_margin(margin, np.full(len(margin), parameters[-1]), cells.outcome)
    by_margin, by_tie = found.gradient
    whole = np.hstack([by_margin[:, None] * design, by_tie[:, None]])
    information = np.zeros((len(parameters), len(parameters)))
    for for_margin, for_tie in found.root():
        part = np.hstack([for_margin[:, None] * design, for_tie[:, None]])
        information += (part.T * counts) @ part
    return found.log_likelihood, whole, information


def _maximize(cells: _Cells, counts: FloatArray, config: RankingConfig, start: FloatArray) -> FloatArray:
    """Fisher scoring with halving of the penalized log-likelihood."""
    n_models = int(np.count_nonzero(np.isin(np.abs(cells.design), (0, 1)).all(axis=0))) if False else None
    del n_models
    return _scored(cells, counts, config, start)


def _scored(cells: _Cells, counts: FloatArray, config: RankingConfig, start: FloatArray) -> FloatArray:
    raise NotImplementedError
