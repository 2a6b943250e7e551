"""Bradley-Terry scores of battles with ties and covariates, and the covariance of their errors.

Three ways with a tie: half a win for each side (as the Chatbot Arena), Davidson's propensity, or Rao and
Kupper's threshold. The covariance is the sandwich of whole clusters, or a bootstrap of clusters. Departs
from `accord.quality.preferences` in covariates, weights and clusters. Leaves out ranks (`ranks.py`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.clusters import FloatArray, IntArray
from accord.evaluation.leaderboard.battles import Battles
from accord.quality.judgments import LEFT, RIGHT, TIE
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
TINY = 1e-10
"""Keeps a factor positive where a covariate or the ties tell next to nothing."""
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
    games: FloatArray
    """[model] Battles it took part in, by weight."""
    covariate_names: tuple[str, ...]
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

    n_models: int
    left: IntArray
    right: IntArray
    design: FloatArray
    """[cell, model + covariate] What the margin is made of."""
    outcome: IntArray
    of_row: IntArray
    """[row] Its cell."""


def rank_models(battles: Battles, config: RankingConfig | None = None) -> Ranking:
    """Scores, effects and their covariance; the same for every order of rows and either way round of one.

    Raises `EvaluationError` where the scores are infinite or do not compare, and where too many bootstrap
    samples are so.
    """
    config = config or RankingConfig()
    _require_finite(battles, config)
    cells = _cells(battles)
    counts = _counted(cells.of_row, battles.weight, len(cells.outcome))
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
        games=_counted(battles.left, battles.weight, n_models)
        + _counted(battles.right, battles.weight, n_models),
        covariate_names=battles.covariate_names,
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
    left, right, outcome = unique[:, :3].astype(np.int64).T
    design[number, left] = 1
    design[number, right] = -1
    design[:, n_models:] = unique[:, 3:]
    return _Cells(n_models, left, right, design, outcome, of_row.reshape(-1).astype(np.int64))


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
    """Fisher scoring, halving each step until the penalized log-likelihood rises."""
    held = _held(cells, config, len(start))

    def height(parameters: FloatArray) -> float:
        likelihood, _, _ = _terms(cells, counts, config, parameters)
        return float(likelihood @ counts - parameters @ held @ parameters / 2)

    parameters, value = start.astype(float), height(start)
    for _ in range(STEPS):
        _, gradient, information = _terms(cells, counts, config, parameters)
        slope = gradient.T @ counts - held @ parameters
        step = cho_solve(cho_factor(information + held + TINY * np.eye(len(start))), slope)
        step *= min(1.0, LONGEST / max(float(np.abs(step).max()), TINY))
        # Near the top the height differs by rounding only; a whole step is right there.
        slack = 1e-12 * (1 + abs(value))
        while height(parameters + step) < value - slack and np.abs(step).max() > TOLERANCE:
            step = step / 2
        parameters = parameters + step
        value = height(parameters)
        if np.abs(step).max() < TOLERANCE:
            break
    return parameters


def _held(cells: _Cells, config: RankingConfig, size: int) -> FloatArray:
    """Precision of the prior: the ridge of each score, and a hold of their sum."""
    held = np.zeros((size, size))
    scores = slice(0, cells.n_models)
    held[scores, scores] = config.ridge * np.eye(cells.n_models) + MEAN_HOLD / cells.n_models
    return held


def _sandwich(
    battles: Battles, cells: _Cells, counts: FloatArray, config: RankingConfig, fitted: FloatArray
) -> FloatArray:
    """G / (G - 1) H^-1 (sum over clusters of g g') H^-1, g the cluster's gradient."""
    _, gradient, information = _terms(cells, counts, config, fitted)
    if battles.clusters.is_single:
        # A row of weight w stands for w battles of their own.
        spread, n_clusters = (gradient.T * counts) @ gradient, battles.n
    else:
        shape = (battles.clusters.count, len(counts))
        weights = csr_array((battles.weight, (battles.clusters.codes, cells.of_row)), shape=shape)
        of_cluster = weights @ gradient
        spread, n_clusters = of_cluster.T @ of_cluster, float(battles.clusters.count)
    factor = cho_factor(information + _held(cells, config, len(fitted)) + TINY * np.eye(len(fitted)))
    half = cho_solve(factor, spread)
    correction = n_clusters / (n_clusters - 1) if n_clusters > 1 else np.nan
    return np.asarray(correction * cho_solve(factor, half.T))


def _bootstrap(
    battles: Battles, cells: _Cells, config: RankingConfig, fitted: FloatArray
) -> tuple[FloatArray, int]:
    """Refits on samples of clusters, and how many samples have none."""
    generator = np.random.default_rng(config.seed)
    size, drawn, failed = battles.clusters.count, [], 0
    counts = _counted(cells.of_row, battles.weight, len(cells.outcome))
    for _ in range(config.resamples):
        if battles.clusters.is_single:
            sampled = generator.multinomial(round(battles.n), counts / counts.sum()).astype(float)
        else:
            times = generator.multinomial(size, np.full(size, 1 / size))
            weights = battles.weight * times[battles.clusters.codes]
            sampled = _counted(cells.of_row, weights, len(cells.outcome))
        if config.ridge == 0 and not _is_connected(cells, sampled > 0):
            failed += 1
            continue
        drawn.append(_maximize(cells, sampled, config, fitted))
    if failed > FAILED * config.resamples:
        raise EvaluationError(
            f"{failed} of {config.resamples} bootstrap samples have no finite scores: some model wins "
            "or loses too rarely. Set a ridge, for example 0.1, or use intervals by sandwich"
        )
    return np.array(drawn), failed


def _counted(places: IntArray, weights: FloatArray, size: int) -> FloatArray:
    return np.bincount(places, weights, size).astype(np.float64)


def _require_finite(battles: Battles, config: RankingConfig) -> None:
    has_ties = bool((battles.outcome == TIE).any())
    if config.ties != "half" and (not has_ties or bool((battles.outcome == TIE).all())):
        what = "no battle is a tie" if not has_ties else "every battle is a tie"
        raise EvaluationError(f"{what}, so that ties cannot be fitted by {config.ties}; use ties half")
    if config.ridge > 0 or _is_connected(_cells(battles), None):
        return
    models = np.arange(len(battles.models))
    won = np.concatenate([battles.left[battles.outcome != RIGHT], battles.right[battles.outcome != LEFT]])
    lost = np.concatenate([battles.left[battles.outcome != LEFT], battles.right[battles.outcome != RIGHT]])
    alone = {
        "never won": [battles.models[k] for k in models if k not in won],
        "never lost": [battles.models[k] for k in models if k not in lost],
    }
    words = [f"{said}: {', '.join(names[:SHOWN])}" for said, names in alone.items() if names]
    reason = "; ".join(words) or "some models never met the others, or never beat them"
    raise EvaluationError(
        f"the scores are not finite or do not compare ({reason}). Set a ridge, for example 0.1, collect more "
        "battles, or leave these models out"
    )


def _is_connected(cells: _Cells, is_there: np.ndarray | None) -> bool:
    """Whether wins lead from every model to every other, a tie both ways (Ford 1957)."""
    kept = np.ones(len(cells.outcome), dtype=bool) if is_there is None else is_there
    left, right, outcome = cells.left[kept], cells.right[kept], cells.outcome[kept]
    winner = np.concatenate([left[outcome != RIGHT], right[outcome != LEFT]])
    loser = np.concatenate([right[outcome != RIGHT], left[outcome != LEFT]])
    shape = (cells.n_models, cells.n_models)
    graph = csr_array((np.ones(len(winner)), (winner, loser)), shape=shape)
    return bool(connected_components(graph, connection="strong", return_labels=False) == 1)
