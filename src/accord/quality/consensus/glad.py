"""GLAD: annotators differ in ability, and items in difficulty.

Whitehill et al. 2009, "Whose vote should count more", eq. 1: the probability of a right label is
sigmoid(ability * e^ease). Wrong answers fall on all other classes alike. Priors as in the paper: ability
and log ease
are Normal(1, 1). Departs in the fit: the classes are summed out and the posterior density of all parameters
is climbed by L-BFGS with its exact gradient until it is flat, instead of EM with a few gradient
steps inside; the shares of the classes are estimated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from accord.domain import ConfigError
from accord.quality.consensus.evidence import UNKNOWN, GoldIndex
from accord.quality.labels import LabelTable

MAX_LOG_EASE = 20.0
"""Log ease is cut here before the exponential, far beyond what its prior allows,
so that a line search cannot overflow."""


@dataclass(frozen=True, kw_only=True)
class GladConfig:
    """Priors and when to stop."""

    type: Literal["glad"] = "glad"
    """Tells the kinds apart."""
    ability_mean: float = 1.0
    """Prior mean of an annotator's ability; its standard deviation is 1."""
    log_ease_mean: float = 1.0
    """Prior mean of the log of an item's ease; its standard deviation is 1."""
    class_count: float = 1.0
    """Imagined items of each class."""
    max_iterations: int = 500
    """Steps after which L-BFGS stops even when the gradient is not flat."""
    gradient_tolerance: float = 1e-3
    """L-BFGS stops when no partial derivative of the objective (nats) is larger."""

    def __post_init__(self) -> None:
        problems = []
        if not self.class_count > 0:
            problems.append(f"class_count is {self.class_count}; expected more than 0")
        if self.max_iterations < 1:
            problems.append(f"max_iterations is {self.max_iterations}; expected at least 1")
        if not self.gradient_tolerance > 0:
            problems.append(f"gradient_tolerance is {self.gradient_tolerance}; expected more than 0")
        if problems:
            raise ConfigError("GladConfig", problems)


@dataclass(frozen=True, eq=False)
class GladFit:
    """The most probable parameters."""

    posterior: NDArray[np.float64]
    """[item, class]"""
    ability: NDArray[np.float64]
    """[annotator] Logit of being right on an item of ease 1; below 0 is worse than a coin."""
    log_ease: NDArray[np.float64]
    """[item]"""
    log_classes: NDArray[np.float64]
    """[class]"""
    objectives: tuple[float, ...]
    """Log-likelihood plus log prior after each step; never falls."""
    has_converged: bool


def fit_glad(
    table: LabelTable, config: GladConfig | None = None, *, gold: GoldIndex | None = None
) -> GladFit:
    """Fit by L-BFGS from the prior means.

    O(labels x classes) a step; deterministic, no order of rows matters.
    """
    config = config or GladConfig()
    objective = GladObjective(table, config, gold)
    start = np.concatenate(
        [
            np.full(table.n_annotators, config.ability_mean),
            np.full(table.n_items, config.log_ease_mean),
            np.zeros(table.n_classes),
        ]
    )
    objectives = [objective.value_and_gradient(start)[0]]

    def descend(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = objective.value_and_gradient(point)
        return -value, -gradient

    def record(intermediate_result: object) -> None:
        objectives.append(-float(intermediate_result.fun))  # type: ignore[attr-defined]

    result = minimize(
        descend,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=record,
        options={
            "maxiter": config.max_iterations,
            "gtol": config.gradient_tolerance,
            "ftol": 1e-12,
            "maxcor": 20,
        },
    )
    ability, log_ease, log_classes = objective.split(result.x)
    return GladFit(
        posterior=objective.posterior(result.x),
        ability=ability,
        log_ease=log_ease,
        log_classes=log_classes,
        objectives=tuple(objectives),
        has_converged=result.nit < config.max_iterations,
    )


class GladObjective:
    """Log-likelihood plus log prior as a function of one vector: abilities, log eases, class logits."""

    def __init__(self, table: LabelTable, config: GladConfig, gold: GoldIndex | None):
        self.table = table
        self.config = config
        self.gold = gold
        self.cells = table.item_index.astype(np.int64) * table.n_classes + table.class_index
        self.log_others = np.log(max(table.n_classes - 1, 1))

    def split(
        self, point: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Abilities [annotator], log eases [item], log shares [class]."""
        n_annotators, n_items = self.table.n_annotators, self.table.n_items
        logits = point[n_annotators + n_items :]
        return point[:n_annotators], point[n_annotators : n_annotators + n_items], logits - logsumexp(logits)

    def posterior(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """[item, class]"""
        joint, _ = self._joint(point)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def value_and_gradient(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The objective and its exact gradient (by Fisher's identity:
        expected over the posterior of the classes)."""
        table, config = self.table, self.config
        ability, log_ease, log_classes = self.split(point)
        joint, margins = self._joint(point)
        log_evidence = logsumexp(joint, axis=1, keepdims=True)
        posterior = np.exp(joint - log_evidence)
        ease = np.exp(np.minimum(log_ease, MAX_LOG_EASE))
        surplus = posterior.ravel()[self.cells] - expit(margins)
        if table.n_classes == 1:
            surplus = np.zeros_like(surplus)
        by_ability = np.bincount(
            table.annotator_index, surplus * ease[table.item_index], minlength=table.n_annotators
        )
        by_ease = np.bincount(table.item_index, surplus * margins, minlength=table.n_items)
        by_ease *= log_ease <= MAX_LOG_EASE
        shares = np.exp(log_classes)
        pulls = posterior.sum(axis=0) + config.class_count
        gradient = np.concatenate(
            [
                by_ability - (ability - config.ability_mean),
                by_ease - (log_ease - config.log_ease_mean),
                pulls - shares * pulls.sum(),
            ]
        )
        value = float(log_evidence.sum() + config.class_count * log_classes.sum())
        value -= 0.5 * float(((ability - config.ability_mean) ** 2).sum())
        value -= 0.5 * float(((log_ease - config.log_ease_mean) ** 2).sum())
        return value, gradient

    def _joint(self, point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log joint [item, class] of labels and class, and each label's margin:
        the logit of its being right."""
        table = self.table
        ability, log_ease, log_classes = self.split(point)
        ease = np.exp(np.minimum(log_ease, MAX_LOG_EASE))
        margins = ability[table.annotator_index] * ease[table.item_index]
        if table.n_classes == 1:
            return np.zeros((table.n_items, 1)), margins
        log_wrong = -np.logaddexp(0.0, margins) - self.log_others
        size = table.n_items * table.n_classes
        sums = np.bincount(self.cells, margins + self.log_others, minlength=size)
        joint = sums.reshape(table.n_items, table.n_classes).astype(np.float64)
        joint += np.bincount(table.item_index, log_wrong, minlength=table.n_items)[:, None]
        joint += log_classes
        if self.gold is not None:
            known = self.gold != UNKNOWN
            allowed = np.arange(table.n_classes) == self.gold[:, None]
            joint[known[:, None] & ~allowed] = -np.inf
        return joint, margins
