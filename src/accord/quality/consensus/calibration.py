"""Calibration on gold: probabilities that mean what they say, from the model's posterior and the votes.

    p(class k) = softmax_k(a log posterior_k + b log vote share_k + c_k),   a, b >= 0

Models of annotators take errors for independent; people err on the same items, so that raw posteriors
are several times too sure. The stack (Wolpert 1992, "Stacked generalization"; the scaling of log
probabilities is Platt's and Guo et al.'s 2017) learns from gold items how far to trust them.

The fit is the mode under normal priors around a = 0.2, b = 1, c = 0. Averaging over their posterior instead
was worse by 3 to 7 % of log-loss on bluebirds and ducks with 30 gold items, and little better on RTE and
sentiment: a is positive by force, and averaging makes it large.

Leaves out thresholds for stopping, which read items with few labels: `accord.quality.deciding`.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from accord.domain import ConfigError, DataError, Streams, Value
from accord.quality.consensus.evidence import UNKNOWN, GoldIndex
from accord.quality.consensus.result import Consensus
from accord.quality.consensus.vote import SMOOTHING
from accord.quality.labels import LabelTable

SMALLEST = 1e-12
"""Posteriors are kept this far from 0, where their logs end."""
NEWTON_STEPS = 100
"""Newton converges in about ten."""
HALVINGS = 40
"""A step that still does not fall after so many halvings is lost in rounding."""
FLAT = 1e-10
"""Newton stops where the square of the step, in standard deviations, is below this."""
NEAR_ZERO = 0.02
"""Weight of the posterior under which it is called worthless: a tenth of the center."""
LARGE_INTERCEPT = 0.5
"""Intercept, in nats, from which a class is called over-called or under-called."""
CLEAR = 2.0
"""Standard deviations from 0 that an intercept must have for an alarm."""


@dataclass(frozen=True, kw_only=True)
class CalibratorConfig:
    """The priors: where the parameters are drawn to, and how far they may go."""

    posterior_weight: float = 0.2
    """Center of a: raw posteriors are usually two to ten times too sure."""
    share_weight: float = 1.0
    """Center of b: the smoothed vote share as it is."""
    posterior_spread: float = 0.1
    """Standard deviation of a around its center."""
    share_spread: float = 1.5
    """Standard deviation of b around its center."""
    intercept_spread: float = 0.5
    """Standard deviation of each c around 0."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; expected 0 or more"
            for name in ("posterior_weight", "share_weight")
            if not getattr(self, name) >= 0
        ]
        problems += [
            f"{name} is {getattr(self, name)}; expected more than 0"
            for name in ("posterior_spread", "share_spread", "intercept_spread")
            if not getattr(self, name) > 0
        ]
        if problems:
            raise ConfigError("CalibratorConfig", problems)

    def center(self, n_classes: int) -> NDArray[np.float64]:
        """[parameter] a, b, then c of each class."""
        return np.array([self.posterior_weight, self.share_weight, *np.zeros(n_classes)])

    def precision(self, n_classes: int) -> NDArray[np.float64]:
        """[parameter] One over the prior's variance."""
        spreads = [self.posterior_spread, self.share_spread, *[self.intercept_spread] * n_classes]
        return np.asarray(np.array(spreads) ** -2.0)


@dataclass(frozen=True, eq=False)
class Calibrator:
    """A fitted stack."""

    classes: tuple[Value, ...]
    posterior_weight: float
    """a, 0 or more."""
    share_weight: float
    """b, 0 or more."""
    intercepts: NDArray[np.float64]
    """[class] c; they sum to 0."""
    intercept_errors: NDArray[np.float64]
    """[class] Standard deviation of c in the Laplace approximation."""
    n_gold: NDArray[np.int64]
    """[class] Gold items the fit has seen."""
    gold_log_loss: float | None
    """Nats an item on the items it was fitted on, too good a figure; None without gold."""

    @property
    def reason(self) -> str | None:
        """Why the parameters are those of the prior, wholly or for some classes; None where gold spoke."""
        if not self.n_gold.any():
            return "no gold items: the weights are those of the prior, nothing was calibrated"
        unseen = [repr(name) for name, count in zip(self.classes, self.n_gold, strict=True) if not count]
        if unseen:
            return f"no gold item is of class {', '.join(unseen)}: its intercept rests on the prior"
        return None

    def probabilities(self, posterior: NDArray[np.float64], counts: NDArray[Any]) -> NDArray[np.float64]:
        """[item, class] From posteriors and votes [item, class]; rows sum to 1.

        An item without votes has the posterior and the intercepts alone.
        """
        logits = self.posterior_weight * log_posterior(posterior)
        logits += self.share_weight * log_share(counts)
        return np.asarray(softmax(logits + self.intercepts, axis=1))

    def apply(self, consensus: Consensus, table: LabelTable) -> Consensus:
        """The consensus with calibrated probabilities. Gold items are treated like all others."""
        check_match(consensus, table)
        probabilities = self.probabilities(consensus.probabilities, table.counts)
        return replace(consensus, probabilities=probabilities, is_calibrated=bool(self.n_gold.any()))

    def alarms(self) -> list[str]:
        """Sentences that say where annotators seem to share an error; empty where nothing does."""
        found = []
        if self.n_gold.any() and self.posterior_weight < NEAR_ZERO:
            found.append(
                f"The weight of the model's posterior is {self.posterior_weight:.3f}: on {self.n_gold.sum()} "
                f"gold items it says nothing that the votes do not say. Annotators share an error, and who "
                f"agrees with the others is not therefore right."
            )
        for name, value, error in zip(self.classes, self.intercepts, self.intercept_errors, strict=True):
            if value < -max(LARGE_INTERCEPT, CLEAR * float(error)):
                found.append(
                    f"Class {name!r} is given too often: its intercept is {value:.2f} +- {error:.2f} nats. "
                    f"Annotators share an error; see the items that get it, and the guideline."
                )
        return found


@dataclass(frozen=True, eq=False)
class StackProblem:
    """What is minimized: minus log posterior density of the parameters [a, b, c ...]. Convex."""

    design: NDArray[np.float64]
    """[item, class, parameter] Derivative of the logit."""
    truth: NDArray[np.int64]
    """[item] Class number."""
    center: NDArray[np.float64]
    precision: NDArray[np.float64]

    def value(self, parameters: NDArray[np.float64]) -> float:
        """In nats: log-loss summed over the items, plus half the squared distances from the center."""
        logs = log_softmax(self.design @ parameters, axis=1)
        offset = parameters - self.center
        return float(0.5 * (self.precision * offset**2).sum() - logs[np.arange(len(logs)), self.truth].sum())

    def slopes(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient [parameter] and Hessian [parameter, parameter], exact."""
        chances = softmax(self.design @ parameters, axis=1)
        excess = chances.copy()
        excess[np.arange(len(excess)), self.truth] -= 1.0
        gradient = np.einsum("ik,ikp->p", excess, self.design) + self.precision * (parameters - self.center)
        mean = np.einsum("ik,ikp->ip", chances, self.design)
        weighed = (self.design * chances[:, :, None]).reshape(-1, len(parameters))
        hessian = weighed.T @ self.design.reshape(weighed.shape) - mean.T @ mean
        return gradient, hessian + np.diag(self.precision)


def fit_calibrator(
    consensus: Consensus,
    table: LabelTable,
    gold: Mapping[Any, Value],
    *,
    posterior: NDArray[np.float64] | None = None,
    config: CalibratorConfig | None = None,
) -> Calibrator:
    """Fit the stack on items with gold; items that `gold` names and the table lacks are left out.

    A model that was fitted with the gold clamped is certain of it: then give `posterior`
    [item, class] from `cross_posteriors`, in which no gold item has seen its own gold.
    """
    check_match(consensus, table)
    truth = index_gold(table, gold)
    known = np.flatnonzero(truth != UNKNOWN)
    posterior = consensus.probabilities if posterior is None else posterior
    if posterior.shape != consensus.probabilities.shape:
        raise DataError(
            f"posterior has shape {posterior.shape}, expected [item, class] {consensus.probabilities.shape}"
        )
    return fit_stack(
        posterior[known], table.counts[known], truth[known], classes=table.classes, config=config
    )


def fit_stack(
    posterior: NDArray[np.float64],
    counts: NDArray[Any],
    truth: NDArray[np.int64],
    *,
    classes: tuple[Value, ...] | None = None,
    config: CalibratorConfig | None = None,
) -> Calibrator:
    """The same on arrays of gold items: posterior and votes [item, class], class numbers `truth` [item].

    No item gives the centers of the priors; one item, items of one class and items that the votes
    separate perfectly give finite parameters, for the priors make the mode exist and be the only one.
    The order of the items and the names of the classes do not matter.
    """
    config = config or CalibratorConfig()
    size = posterior.shape[1]
    problem = stack_problem(posterior, counts, truth, config)
    best = minimize_stack(problem)
    _, hessian = problem.slopes(best)
    # a shift of all intercepts changes nothing, so its uncertainty is not theirs
    contrast = np.eye(size) - 1 / size
    spread = contrast @ np.linalg.inv(hessian)[2:, 2:] @ contrast
    errors = np.sqrt(np.maximum(np.diag(spread), 0.0))
    fitted = Calibrator(
        classes=tuple(range(size)) if classes is None else classes,
        posterior_weight=float(best[0]),
        share_weight=float(best[1]),
        intercepts=best[2:],
        intercept_errors=errors,
        n_gold=np.bincount(truth, minlength=size),
        gold_log_loss=None,
    )
    if not len(truth):
        return fitted
    right = fitted.probabilities(posterior, counts)[np.arange(len(truth)), truth]
    return replace(fitted, gold_log_loss=float(-np.log(np.maximum(right, SMALLEST)).mean()))


def stack_problem(
    posterior: NDArray[np.float64], counts: NDArray[Any], truth: NDArray[np.int64], config: CalibratorConfig
) -> StackProblem:
    """What is minimized on gold items."""
    if len(posterior) != len(truth) or posterior.shape != counts.shape:
        raise DataError(
            f"posterior {posterior.shape}, votes {counts.shape} and truth {truth.shape} do not match; "
            f"expected [item, class] twice and [item]"
        )
    size = posterior.shape[1]
    intercepts = np.broadcast_to(np.eye(size), (len(truth), size, size))
    inputs = np.stack([log_posterior(posterior), log_share(counts)], axis=2)
    design = np.concatenate([inputs, intercepts], axis=2)
    return StackProblem(design, truth, config.center(size), config.precision(size))


def minimize_stack(problem: StackProblem) -> NDArray[np.float64]:
    """The minimum with a, b >= 0: the best of those with neither, one or both of them held at 0.

    A convex function has its constrained minimum at the unconstrained one of some such face.
    """
    every = np.arange(len(problem.center))
    best, lowest = np.zeros(0), np.inf
    for held in itertools.chain.from_iterable(itertools.combinations((0, 1), count) for count in range(3)):
        found = _descend(problem, np.setdiff1d(every, held))
        if (found[:2] < 0).any():
            continue
        value = problem.value(found)
        if value < lowest:
            best, lowest = found, value
        if not held:
            break
    return best


def _descend(problem: StackProblem, free: NDArray[np.int64]) -> NDArray[np.float64]:
    """Newton from the center over the free parameters, the others 0; steps are halved until they fall."""
    parameters = np.zeros(len(problem.center))
    parameters[free] = problem.center[free]
    value = problem.value(parameters)
    for _ in range(NEWTON_STEPS):
        gradient, hessian = problem.slopes(parameters)
        step = np.zeros_like(parameters)
        step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        if -float(gradient @ step) < FLAT**2:
            break
        for _ in range(HALVINGS):
            new = problem.value(parameters + step)
            if new <= value:
                break
            step *= 0.5
        else:
            break
        parameters, value = parameters + step, new
    return parameters


def cross_posteriors(
    fit_posterior: Callable[[GoldIndex], NDArray[np.float64]],
    gold: GoldIndex,
    *,
    n_folds: int = 10,
    seed: int = 0,
) -> NDArray[np.float64]:
    """[item, class] Posteriors of a model with clamped gold in which no gold item has seen its own.

    `fit_posterior` fits with some of the gold [item], `UNKNOWN` elsewhere, and returns posteriors of all
    items. It is called once a fold, and once with all gold for the other items. With one gold item its fold
    is fitted without gold.
    """
    whole = np.array(fit_posterior(gold), dtype=np.float64)
    for fold in gold_folds(gold, n_folds=n_folds, seed=seed):
        rest = gold.copy()
        rest[fold] = UNKNOWN
        whole[fold] = fit_posterior(rest)[fold]
    return whole


def cross_calibrate(
    posterior: NDArray[np.float64],
    counts: NDArray[Any],
    gold: GoldIndex,
    *,
    n_folds: int = 10,
    seed: int = 0,
    config: CalibratorConfig | None = None,
) -> NDArray[np.float64]:
    """[gold item, class] Calibrated by a stack fitted on the gold items of the other folds, in item order.

    What to measure on when no other gold is left. Empty without gold.
    """
    known = np.flatnonzero(gold != UNKNOWN)
    out = np.empty((len(known), posterior.shape[1]))
    for fold in gold_folds(gold, n_folds=n_folds, seed=seed):
        rest = np.setdiff1d(known, fold)
        fitted = fit_stack(posterior[rest], counts[rest], gold[rest], config=config)
        out[np.searchsorted(known, fold)] = fitted.probabilities(posterior[fold], counts[fold])
    return out


def gold_folds(gold: GoldIndex, *, n_folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Gold items drawn into folds of nearly equal size, none empty; item numbers in rising order."""
    if n_folds < 2:
        raise ConfigError("gold_folds", [f"n_folds is {n_folds}; expected at least 2"])
    known = np.flatnonzero(gold != UNKNOWN)
    generator = np.random.default_rng(Streams(seed).child("consensus", "gold folds").value)
    order = generator.permutation(known)
    return [np.sort(order[i::n_folds]) for i in range(min(n_folds, len(known)))]


def index_gold(table: LabelTable, gold: Mapping[Any, Value]) -> GoldIndex:
    """[item] Class number of the gold, `UNKNOWN` where there is none. Raises where it is no class."""
    numbers = {value: number for number, value in enumerate(table.classes)}
    truth = np.full(table.n_items, UNKNOWN, dtype=np.int64)
    for place, item in enumerate(table.items.tolist()):
        if item not in gold:
            continue
        if gold[item] not in numbers:
            raise DataError(
                f"gold of item {item!r} is {gold[item]!r}, expected one of "
                f"{', '.join(repr(value) for value in table.classes)}; give tabulate_labels all classes"
            )
        truth[place] = numbers[gold[item]]
    return truth


def check_match(consensus: Consensus, table: LabelTable) -> None:
    """Raise where the consensus is not one of this table."""
    if consensus.classes != table.classes or not np.array_equal(consensus.items, table.items):
        raise DataError(
            f"the consensus has {len(consensus.items)} items and classes {consensus.classes}, the table "
            f"{table.n_items} and {table.classes}; expected the table that the consensus was made of"
        )


def log_posterior(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, class] Finite also where the posterior is 0."""
    return np.asarray(np.log(np.maximum(posterior, SMALLEST)))


def log_share(counts: NDArray[Any]) -> NDArray[np.float64]:
    """[item, class] Log of the smoothed vote share."""
    smoothed = counts + SMOOTHING
    return np.asarray(np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True)))
