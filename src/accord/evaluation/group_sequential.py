"""A few planned looks at a growing sample: where to stop, what it costs, intervals that allow for the looks.

Lan and DeMets (1983): of the error alpha, a part is spent by each look, by a function of the share t of the
planned information (rows, or prompts) that has come in. Boundaries for a z-score follow from the joint law
of the looks, whose scores z sqrt(t) have independent normal increments (Armitage, McPherson and Rowe 1969):

    P(|z_j| < c_j for all j < k, |z_k| >= c_k) = spent(t_k) - spent(t_(k-1))

Looks need not come where they were planned; only the function is fixed. Leaves out looking after every row,
which `accord.evaluation.sequential` allows at a price.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.clusters import FloatArray

Spending = Literal["obrien_fleming", "pocock"]
NODES = 256
"""Gauss-Legendre nodes of each look's integral; boundaries are right to six digits."""
FARTHEST = 8.0
"""Standard scores beyond which nothing is left; a look that may spend nothing stops here."""


@dataclass(frozen=True, kw_only=True)
class LookPlan:
    """Looks at shares of the planned information, and the boundary at each."""

    shares: tuple[float, ...]
    """Of the information, rising; the last may be below 1 while looks are still to come."""
    bounds: tuple[float, ...]
    """Stop where |z| reaches the look's bound."""
    spent: tuple[float, ...]
    """Error spent up to each look, two-sided."""
    alpha: float
    spending: Spending

    def has_crossed(self, z_scores: Sequence[float]) -> bool:
        """Whether any of the looks so far, in order, reached its bound."""
        if len(z_scores) > len(self.bounds):
            raise EvaluationError(f"{len(z_scores)} scores for {len(self.bounds)} looks")
        return any(abs(z) >= bound for z, bound in zip(z_scores, self.bounds, strict=False))

    def interval(self, look: int, value: float, error: float) -> tuple[float, float]:
        """Repeated confidence interval at a look, from 0: all looks' hold together at 1 - alpha.

        Jennison and Turnbull 1989: value +- bound * standard error.
        """
        reach = self.bounds[look] * error
        return value - reach, value + reach

    def power(self, drift: float) -> float:
        """Probability of crossing a bound when the last planned row gives z a mean of `drift`."""
        return _crossing(self.shares, self.bounds, drift)

    def drift_for(self, power: float) -> float:
        """Mean of z at full information that is found with this probability."""
        if not self.alpha < power < 1:
            raise EvaluationError(f"the power is {power}; expected between alpha {self.alpha} and 1")
        return float(brentq(lambda drift: self.power(drift) - power, 0.0, FARTHEST))

    def inflation(self, power: float) -> float:
        """Rows at most, over those of one look at the end with the same alpha and power."""
        fixed = float(ndtri(1 - self.alpha / 2) + ndtri(power))
        return (self.drift_for(power) / fixed) ** 2


def plan_looks(
    shares: Sequence[float], *, alpha: float = 0.05, spending: Spending = "obrien_fleming"
) -> LookPlan:
    """Bounds for looks at these shares of the planned information, two-sided at `alpha`.

        O'Brien-Fleming-like: 4 - 4 Phi(z_(1 - alpha/4) / sqrt(t)); Pocock-like: alpha ln(1 + (e - 1) t)

    (half on each side). The first hardly spends anything early and keeps the last bound near the usual one;
    the second stops early more often.
    """
    times = np.asarray(shares, dtype=np.float64)
    problems = []
    if not len(times) or not (np.isfinite(times).all() and times[0] > 0 and times[-1] <= 1 + 1e-12):
        problems.append(f"shares are {list(shares)}; expected one or more above 0 and at most 1")
    elif (np.diff(times) <= 0).any():
        problems.append(f"shares are {list(shares)}; expected each above the one before")
    if not 0 < alpha < 1:
        problems.append(f"alpha is {alpha}; expected between 0 and 1")
    if problems:
        raise ConfigError("looks", problems)
    spent = [_spent(min(share, 1.0), alpha, spending) for share in times.tolist()]
    bounds: list[float] = []
    nodes, density = _start()
    before = 0.0
    for k, share in enumerate(times.tolist()):
        step = share - (times[k - 1] if k else 0.0)
        wanted = spent[k] - before
        bounds.append(_bound(nodes, density, share, step, wanted))
        nodes, density = _next(nodes, density, bounds[-1] * math.sqrt(share), step, 0.0)
        before = spent[k]
    return LookPlan(
        shares=tuple(times.tolist()), bounds=tuple(bounds), spent=tuple(spent), alpha=alpha, spending=spending
    )


def _spent(share: float, alpha: float, spending: Spending) -> float:
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * share)
    return float(4 * ndtr(-ndtri(1 - alpha / 4) / math.sqrt(share)))


def _start() -> tuple[FloatArray, FloatArray]:
    """All mass at a score of 0, before any look: nodes and mass."""
    return np.zeros(1), np.ones(1)


def _leaving(nodes: FloatArray, mass: FloatArray, edge: float, step: float, drift: float) -> float:
    """Probability that the score leaves (-edge, edge) after a step of information."""
    middle, deviation = nodes + drift * step, math.sqrt(step)
    return float(mass @ (ndtr((middle - edge) / deviation) + ndtr((-edge - middle) / deviation)))


def _bound(nodes: FloatArray, mass: FloatArray, share: float, step: float, wanted: float) -> float:
    def excess(bound: float) -> float:
        return _leaving(nodes, mass, bound * math.sqrt(share), step, 0.0) - wanted

    if excess(FARTHEST) > 0:
        return FARTHEST
    return float(brentq(excess, 0.0, FARTHEST, xtol=1e-10))


def _next(
    nodes: FloatArray, mass: FloatArray, edge: float, step: float, drift: float
) -> tuple[FloatArray, FloatArray]:
    """Mass of the scores that went on, on nodes inside (-edge, edge)."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    inside = edge * places
    deviation = math.sqrt(step)
    gaps = (inside[:, None] - nodes[None, :] - drift * step) / deviation
    density = np.exp(-(gaps**2) / 2) @ mass / (deviation * math.sqrt(2 * math.pi))
    return inside, density * weights * edge


def _crossing(shares: Sequence[float], bounds: Sequence[float], drift: float) -> float:
    nodes, mass = _start()
    crossed, before = 0.0, 0.0
    for share, bound in zip(shares, bounds, strict=True):
        edge, step = bound * math.sqrt(share), share - before
        crossed += _leaving(nodes, mass, edge, step, drift)
        nodes, mass = _next(nodes, mass, edge, step, drift)
        before = share
    return crossed
