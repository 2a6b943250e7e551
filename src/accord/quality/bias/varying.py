"""One effect, annotator by annotator or prompt family by prompt family, shrunk by how much they differ."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from accord.domain import DataError
from accord.quality.bias.effects import EffectFit
from accord.quality.bias.ordered_logit import FloatArray, log_likelihood

MIN_SPREAD, MAX_SPREAD = 1e-3, 10.0
"""Standard deviation of an effect between groups, in log-odds a unit, among which the best is looked for."""
MAX_STEPS = 40
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class GroupEffect:
    """The effect in one group."""

    group: Hashable
    n_judgments: int
    estimate: float
    """Shrunk towards the effect of all."""
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class VaryingEffect:
    """How one effect varies between groups."""

    name: str
    spread: float
    """Standard deviation between groups; 0 where their differences are within chance."""
    p_value: float
    """Likelihood-ratio test that all groups have the same effect."""
    groups: tuple[GroupEffect, ...]
    """In the order of their text."""


def fit_varying_effect(
    fit: EffectFit, name: str, groups: Sequence[Any], *, confidence: float = 0.95
) -> VaryingEffect:
    """The effect `name` of a fit in each group; `groups` [judgment] stands beside the input of the fit.

    Group g has effect_g = effect + u_g, u_g ~ N(0, spread^2); all other coefficients are held where the
    fit has them. Spread maximises the marginal likelihood in Laplace's approximation (Breslow and
    Clayton 1993, section 2.1); u_g is the posterior mode. Its interval is from the curvature there and, to
    first order, what is not known of the spread and of the effect of all (Kass and Steffey 1989): right on
    average over groups, not for a group picked as the most extreme.
    A group that always answers one side has a finite estimate. With a single group the spread is 0.
    """
    effect = fit[name].estimate
    if effect is None:
        raise DataError(f"effect {name!r} could not be estimated ({fit[name].reason}); it cannot vary")
    if len(groups) <= int(fit.rows.max()):
        raise DataError(f"{len(groups)} groups for the judgments of the fit; expected one a judgment")
    present = sorted({groups[row] for row in fit.rows.tolist()}, key=str)
    number = {group: i for i, group in enumerate(present)}
    index = np.array([number[groups[row]] for row in fit.rows.tolist()])
    problem = _Groups(fit, fit.columns[name], index, len(present))
    flat = problem.marginal(0.0)
    best = minimize_scalar(
        lambda log_spread: -problem.marginal(float(np.exp(log_spread))),
        bounds=(np.log(MIN_SPREAD), np.log(MAX_SPREAD)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    ratio = 2 * (-float(best.fun) - flat)
    is_varying = len(present) > 1 and ratio > 0
    spread = float(np.exp(best.x)) if is_varying else 0.0
    modes, curvatures = problem.modes(spread)
    doubt = fit[name].standard_error or 0.0
    deviations = _deviations(modes, curvatures, spread, doubt) if spread else np.zeros(len(present))
    reach = float(ndtri((1 + confidence) / 2))
    sizes = np.bincount(index, minlength=len(present)).tolist()
    return VaryingEffect(
        name=name,
        spread=spread,
        p_value=float(ndtr(-np.sqrt(ratio))) if is_varying else 1.0,
        groups=tuple(
            GroupEffect(
                group=group,
                n_judgments=sizes[i],
                estimate=float(effect + modes[i]),
                low=float(effect + modes[i] - reach * deviations[i]),
                high=float(effect + modes[i] + reach * deviations[i]),
            )
            for i, group in enumerate(present)
        ),
    )


def _deviations(modes: FloatArray, curvatures: FloatArray, spread: float, doubt: float) -> FloatArray:
    """Standard deviations of effects. With B the prior's share in a mode u, du / dlog spread = 2 B u."""
    of_prior = 1 / (1 + curvatures * spread**2)
    told = max(float(((1 - of_prior) ** 2).sum()), 1.0)
    of_spread = (2 * of_prior * modes) ** 2 / (2 * told)
    return np.asarray(np.sqrt(of_prior * spread**2 + of_spread + (of_prior * doubt) ** 2))


class _Groups:
    """Likelihood of the deviations of groups [group]."""

    def __init__(self, fit: EffectFit, column: FloatArray, index: NDArray[np.intp], n_groups: int):
        self.fit, self.column, self.index, self.n_groups = fit, column, index, n_groups

    def modes(self, spread: float) -> tuple[FloatArray, FloatArray]:
        """Posterior modes of the deviations, and the curvature of the likelihood there."""
        modes = np.zeros(self.n_groups)
        _, slope, curvature = self._at(modes)
        if spread == 0:
            return modes, curvature
        for _ in range(MAX_STEPS):
            step = (slope - modes / spread**2) / (curvature + spread**-2)
            # the logistic curve bends away beyond some units: a bounded step cannot jump over the mode
            modes = modes + np.clip(step, -2, 2)
            _, slope, curvature = self._at(modes)
            if np.abs(step).max() < TOLERANCE:
                break
        return modes, curvature

    def marginal(self, spread: float) -> float:
        """Laplace log-likelihood of the spread."""
        if spread == 0:
            return float(self._at(np.zeros(self.n_groups))[0].sum())
        modes, curvature = self.modes(spread)
        value = self._at(modes)[0] - modes**2 / (2 * spread**2)
        return float((value - 0.5 * np.log1p(curvature * spread**2)).sum())

    def _at(self, deviations: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log-likelihood, slope and curvature (not negative) of each group [group]."""
        predictor = self.fit.predictor + self.column * deviations[self.index]
        found = log_likelihood(self.fit.answer, predictor, self.fit.threshold)
        return (
            self._sum(found.value),
            self._sum(found.by_predictor * self.column),
            -self._sum(found.curvature * self.column**2),
        )

    def _sum(self, values: FloatArray) -> FloatArray:
        return np.bincount(self.index, weights=values, minlength=self.n_groups).astype(np.float64)
