"""Bradley-Terry with ties, by a threshold (Rao and Kupper 1967) or by a propensity (Davidson 1970).

The threshold form is the annotator-aware model with one ordinary annotator: a tie where the difference is
too small to see. Davidson's keeps the odds of left against right free of ties. Which fits better is
told by the log-likelihood. Both may lean to one side as a whole.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, DataError
from accord.quality.judgments import TIE
from accord.quality.preferences.bradley_terry import connected_groups, count_wins, missing_maximum
from accord.quality.preferences.fisher_scoring import (
    LatentProblem,
    Likelihood,
    ScoringConfig,
    Terms,
    fit_latent,
)
from accord.quality.preferences.item_design import Z95, ScoreInterval, score_design, score_interval
from accord.quality.preferences.likelihoods import davidson_terms, threshold_terms
from accord.quality.preferences.scored_pairs import ScoredPairs

TieForm = Literal["threshold", "davidson"]
CENTER_PRECISION = 1e-6
"""Holds the mean of the scores where there is no ridge; far below what any row tells of differences."""


@dataclass(frozen=True, kw_only=True)
class TiesConfig:
    """The form and the penalty."""

    form: TieForm = "threshold"
    """Rao-Kupper's threshold or Davidson's propensity."""
    ridge: float = 0.0
    """Precision of a normal prior around 0 on every score; 0 is maximum likelihood."""
    has_position: bool = False
    """Whether the left side may have an advantage."""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """When the fit stops."""

    def __post_init__(self) -> None:
        problems = []
        if self.form not in ("threshold", "davidson"):
            problems.append(f"form is {self.form!r}, expected threshold or davidson")
        if not (np.isfinite(self.ridge) and self.ridge >= 0):
            problems.append(f"ridge is {self.ridge}, expected 0 or a positive number")
        if problems:
            raise ConfigError("TiesConfig", problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class TiesFit:
    """A fitted model; everything but items and reason is None where it does not exist."""

    items: tuple[object, ...]
    scores: ScoreInterval | None
    """[item] Sum 0."""
    tie_parameter: float | None
    """Threshold t in log-odds, or Davidson's nu: the odds of a tie between equals against either side."""
    tie_low: float | None
    tie_high: float | None
    position: float | None
    """Log-odds added to the left side; 0 where it was not asked for."""
    log_likelihood: float | None
    objectives: tuple[float, ...]
    """Penalized negative log-likelihood, step by step; never rises."""
    is_converged: bool
    reason: str | None
    """Why there is no maximum, or None."""


def fit_ties(pairs: ScoredPairs, config: TiesConfig | None = None) -> TiesFit:
    """Scores and tie parameter; deterministic, the same for every order of the rows and either way round.

    Without a single tie or with nothing but ties the parameter has no finite estimate, without a ridge
    scores may have none: then there is a reason and no numbers.
    """
    config = config or TiesConfig()
    if not len(pairs):
        raise DataError("no comparisons to fit; expected at least one")
    reason = _missing(pairs, config)
    if reason is not None:
        return TiesFit(
            items=pairs.items,
            scores=None,
            tie_parameter=None,
            tie_low=None,
            tie_high=None,
            position=None,
            log_likelihood=None,
            objectives=(),
            is_converged=False,
            reason=reason,
        )
    problem = ties_problem(pairs, config)
    fit = fit_latent(
        problem, np.zeros(problem.n_shared), np.zeros((len(pairs.annotators), 0)), config.scoring
    )
    place = len(pairs.items)
    log_tie = float(fit.shared[place])
    half = None
    if fit.shared_covariance is not None:
        half = Z95 * float(np.sqrt(fit.shared_covariance[place, place]))
    return TiesFit(
        items=pairs.items,
        scores=score_interval(fit, place),
        tie_parameter=float(np.exp(log_tie)),
        tie_low=None if half is None else float(np.exp(log_tie - half)),
        tie_high=None if half is None else float(np.exp(log_tie + half)),
        position=float(fit.shared[place + 1]) if config.has_position else 0.0,
        log_likelihood=fit.log_likelihood,
        objectives=fit.objectives,
        is_converged=fit.is_converged,
        reason=None,
    )


def ties_problem(pairs: ScoredPairs, config: TiesConfig) -> LatentProblem:
    """What is minimized."""
    others = [1, 0] if config.has_position else [1]
    n_items = len(pairs.items)
    precision = np.zeros(n_items + len(others))
    precision[:n_items] = max(config.ridge, CENTER_PRECISION)
    return LatentProblem(
        design=score_design(pairs, others),
        n_rows=len(pairs),
        annotator=pairs.annotator,
        n_annotators=len(pairs.annotators),
        n_local=0,
        likelihood=_likelihood(pairs.outcome, config.form),
        shared_precision=precision,
        local_precision=np.zeros(0),
        local_mean=np.zeros(0),
    )


def _likelihood(outcome: NDArray[np.intp], form: TieForm) -> Likelihood:
    of_margin = threshold_terms if form == "threshold" else davidson_terms

    def terms(predictors: NDArray[np.float64]) -> Terms:
        return of_margin(predictors[0], predictors[1], outcome)

    return terms


def _missing(pairs: ScoredPairs, config: TiesConfig) -> str | None:
    n_ties = int((pairs.outcome == TIE).sum())
    if n_ties in (0, len(pairs)):
        what = "no comparison is a tie" if n_ties == 0 else "every comparison is a tie"
        instead = "use fit_bradley_terry" if n_ties == 0 else "collect decided comparisons"
        return f"{what}, so that the tie parameter has no finite estimate; {instead}"
    if config.ridge > 0:
        return None
    counts = count_wins(pairs)
    n_groups, group = connected_groups(counts)
    if n_groups > 1:
        return (
            f"the comparisons fall into {n_groups} groups that never meet, whose scores do not compare; "
            f"set a ridge or fit each group"
        )
    # A tie joins both ways, as half a win for each does in the counts.
    return missing_maximum(counts, pairs.items, group)
