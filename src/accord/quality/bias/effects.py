"""Position, length and format effects on pairwise judgments, with intervals that respect clusters.

An effect is in log-odds for the left answer: position for standing left, a covariate for one unit
more of it on the left. Leaves out answer quality, which randomised sides make harmless for position but
not for length: a longer answer may be better. Annotators and prompt families one by one are in
`accord.quality.bias.varying`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from accord.domain import ConfigError, DataError
from accord.quality.bias.ordered_logit import FloatArray, OrderedLogitFit, fit_ordered_logit
from accord.quality.judgments import LEFT, RIGHT, TIE

POSITION = "position"
SMALLEST_REST = 1e-6
"""A cluster that alone tells of some parameter cannot be left out; its score stays as it is."""
NO_MAXIMUM = (
    "no answer is decided, or covariates are collinear or constant at 0, or they settle every answer: "
    "no effect can be estimated"
)


@dataclass(frozen=True, kw_only=True)
class EffectConfig:
    """How effects are estimated."""

    has_position: bool = True
    """Whether standing left is an effect of its own; without it, sides do not matter in themselves."""
    has_ties: bool = True
    """Whether ties are part of the model, else they are left out."""
    confidence: float = 0.95
    """Of the two-sided intervals."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigError("effects", [f"confidence is {self.confidence}, expected between 0 and 1"])


DEFAULT_EFFECTS = EffectConfig()


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One coefficient; numbers are None where it cannot be estimated, with the reason."""

    name: str
    estimate: float | None
    """Log-odds for the left answer."""
    standard_error: float | None
    """Cluster-robust."""
    low: float | None
    high: float | None
    p_value: float | None
    """Two-sided, that the effect is 0."""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectFit:
    """Effects estimated together."""

    effects: tuple[Effect, ...]
    threshold: float
    """Half width of the tie zone in log-odds; 0 without ties."""
    n_judgments: int
    n_clusters: int
    predictor: FloatArray
    """[judgment] Fitted log-odds for the left answer; NaN nowhere, 0 where nothing could be fitted."""
    answer: NDArray[np.intp]
    """[judgment] Answers that were fitted."""
    columns: Mapping[str, FloatArray]
    """[judgment] Each effect's covariate, position being 1."""
    rows: NDArray[np.intp]
    """[judgment] Rows of the input that were fitted; ties may have been left out."""

    def __getitem__(self, name: str) -> Effect:
        for effect in self.effects:
            if effect.name == name:
                return effect
        raise DataError(f"no effect {name!r}; there are {', '.join(effect.name for effect in self.effects)}")


def fit_effects(
    answer: NDArray[np.intp],
    differences: Mapping[str, FloatArray],
    *,
    clusters: Sequence[Any],
    config: EffectConfig = DEFAULT_EFFECTS,
) -> EffectFit:
    """Effects of standing left and of each difference, left less right [judgment], on the answer.

        P(left) = s(d - t), P(right) = s(-d - t), tie the rest;  d = position + sum_f effect_f difference_f

    `answer` [judgment] holds LEFT, RIGHT or TIE as seen on screen. Without ties this is logistic
    regression, with them the ordered logit. Standard errors are the sandwich over `clusters` [judgment]
    (Liang and Zeger 1986) freed of their own pull, with Student's t of C - 1 degrees: give the item, so that
    judgments of one pair do not count as independent, or something wider. One cluster has estimates
    and no interval. Effects that cannot be told apart have None with the reason.
    """
    _check(answer, differences, clusters)
    rows = np.arange(len(answer)) if config.has_ties else np.flatnonzero(answer != TIE)
    columns = {POSITION: np.ones(len(rows))} if config.has_position else {}
    columns |= {name: np.asarray(column, dtype=np.float64)[rows] for name, column in differences.items()}
    if not columns:
        raise DataError("no effect to estimate: give differences or has_position=True")
    design = np.column_stack(list(columns.values()))
    names: dict[Any, int] = {}
    cluster = np.array([names.setdefault(clusters[row], len(names)) for row in rows.tolist()], dtype=np.int64)
    fit = fit_ordered_logit(answer[rows], design)
    return EffectFit(
        effects=_effects(tuple(columns), fit, cluster, len(names), config.confidence),
        threshold=0.0 if fit is None else fit.threshold,
        n_judgments=len(rows),
        n_clusters=len(names),
        predictor=np.zeros(len(rows)) if fit is None else design @ fit.coefficients,
        answer=answer[rows],
        columns=columns,
        rows=rows,
    )


def sandwich(fit: OrderedLogitFit, cluster: NDArray[np.int64], n_clusters: int) -> FloatArray:
    """Covariance [parameter, parameter] that stays right when judgments of a cluster hang together.

    A fit is nearer to its own clusters than to others, so that their scores are too small. Each is divided by
    1 - its share of the information, which gives the jackknife over clusters in one step (Bell and
    McCaffrey 2002, CR3).
    """
    size = fit.scores.shape[1]
    by_cluster = np.zeros((n_clusters, size))
    np.add.at(by_cluster, cluster, fit.scores)
    parts = np.zeros((n_clusters, size, size))
    np.add.at(parts, cluster, fit.parts)
    bread = np.linalg.inv(fit.information)
    rest = np.eye(size) - parts @ bread
    is_whole = np.abs(np.linalg.det(rest)) < SMALLEST_REST
    rest[is_whole] = np.eye(size)
    freed = np.linalg.solve(rest, by_cluster[:, :, None])[:, :, 0]
    meat = freed.T @ freed * (n_clusters - 1) / n_clusters
    return np.asarray(bread @ meat @ bread)


def _effects(
    names: Sequence[str],
    fit: OrderedLogitFit | None,
    cluster: NDArray[np.int64],
    n_clusters: int,
    confidence: float,
) -> tuple[Effect, ...]:
    nothing: dict[str, Any] = dict.fromkeys(("standard_error", "low", "high", "p_value"))
    if fit is None:
        return tuple(Effect(name=name, estimate=None, reason=NO_MAXIMUM, **nothing) for name in names)
    estimates = fit.coefficients.tolist()
    if n_clusters < 2:
        reason = "no interval: one cluster says nothing about others"
        return tuple(
            Effect(name=name, estimate=value, reason=reason, **nothing)
            for name, value in zip(names, estimates, strict=True)
        )
    errors = np.sqrt(np.diag(sandwich(fit, cluster, n_clusters)))[: len(names)]
    reach = -float(stdtrit(n_clusters - 1, (1 - confidence) / 2))
    return tuple(
        Effect(
            name=name,
            estimate=value,
            standard_error=error,
            low=value - reach * error,
            high=value + reach * error,
            p_value=float(2 * stdtr(n_clusters - 1, -abs(value) / error)) if error > 0 else None,
        )
        for name, value, error in zip(names, estimates, errors.tolist(), strict=True)
    )


def _check(answer: NDArray[np.intp], differences: Mapping[str, FloatArray], clusters: Sequence[Any]) -> None:
    if not len(answer):
        raise DataError("no judgments; expected at least one")
    if not np.isin(answer, (LEFT, RIGHT, TIE)).all():
        raise DataError(f"an answer is {answer.max()}; expected LEFT {LEFT}, RIGHT {RIGHT} or TIE {TIE}")
    columns: dict[str, Any] = {"clusters": clusters, **differences}
    for name, column in columns.items():
        if len(column) != len(answer):
            raise DataError(
                f"{name} has {len(column)} entries for {len(answer)} judgments; expected one each"
            )
    for name, column in differences.items():
        if name == POSITION:
            raise DataError(f"a difference is called {POSITION!r}, which is the effect of standing left")
        if not np.isfinite(column).all():
            row = int(np.argmin(np.isfinite(column)))
            raise DataError(f"difference {name!r} is {column[row]} in row {row + 1}, expected a number")
