"""Expectation maximization for models with a confusion matrix an annotator.

A model says how parameters follow from expected counts, and what their prior is worth. The loop
is the same for all: it starts from the model's start, and again from starts drawn at random, and keeps
the best. The value it climbs is the log of likelihood times prior at the parameters, so it never falls.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, Streams
from accord.quality.consensus.evidence import Evidence, Expectation, GoldIndex

START_ACCURACY = 0.7
"""Every annotator's rate of the true class at the first start,
which makes the first posterior a softened vote."""
START_SPREAD = 3.0
"""Imagined labels behind each row of a random start: few, so that the starts lie far apart."""


@dataclass(frozen=True, kw_only=True)
class EMConfig:
    """When to stop and how often to start."""

    max_iterations: int = 500
    """EM stops here even when it has not converged."""
    tolerance: float = 1e-9
    """EM stops when the objective rises by less than this for each label."""
    n_starts: int = 1
    """The first start is the vote and draws nothing; the others are drawn at random from the seed."""

    def __post_init__(self) -> None:
        problems = []
        if self.max_iterations < 1:
            problems.append(f"max_iterations is {self.max_iterations}; expected at least 1")
        if not self.tolerance >= 0:
            problems.append(f"tolerance is {self.tolerance}; expected 0 or more")
        if self.n_starts < 1:
            problems.append(f"n_starts is {self.n_starts}; expected at least 1")
        if problems:
            raise ConfigError("EMConfig", problems)


@dataclass(frozen=True, eq=False)
class Parameters:
    """Rates of all annotators, the classes' shares, and what their prior is worth."""

    log_rates: NDArray[np.float64]
    """[annotator, true class, given class] Log probability of the label."""
    log_classes: NDArray[np.float64]
    """[class] Log share of the items."""
    log_prior: float = 0.0
    """Log prior density at these parameters, up to a constant of the model."""
    imagined: NDArray[np.float64] | None = None
    """[true class, given class] Imagined labels of each annotator, None before the first step."""


class ConfusionModel(Protocol):
    """What the loop needs to know of a model."""

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """Parameters under which the expected log of likelihood times prior is no lower than `before`."""
        ...


@dataclass(frozen=True, eq=False)
class EMFit:
    """The best of all starts."""

    parameters: Parameters
    counts: NDArray[np.float64]
    """[annotator, true class, given class] Expected numbers of labels under the parameters."""
    objectives: tuple[float, ...]
    """Log-likelihood plus log prior at the parameters of each iteration; never falls."""
    start_objectives: tuple[float, ...]
    """Where each start ended; the fit is the one with the highest."""
    has_converged: bool
    """False where `max_iterations` ended the best start."""


def run_em(
    evidence: Evidence,
    model: ConfusionModel,
    config: EMConfig,
    *,
    gold: GoldIndex | None = None,
    start: Parameters | None = None,
    seed: int = 0,
) -> EMFit:
    """Fit a model by EM from `config.n_starts` starts. O(labels x classes) an iteration.

    The first start is `start`, or the vote. Deterministic for a seed; with one start the seed is not used.
    One class, one item or one annotator are no exception.
    """
    first = vote_start(evidence) if start is None else start
    fits = []
    for number in range(config.n_starts):
        begin = first if number == 0 else _random_start(first, seed, number)
        fits.append(_climb(evidence, model, config, begin, gold))
    ends = tuple(fit.objectives[-1] for fit in fits)
    best = fits[int(np.argmax(ends))]
    return EMFit(best.parameters, best.counts, best.objectives, ends, best.has_converged)


def _climb(
    evidence: Evidence,
    model: ConfusionModel,
    config: EMConfig,
    parameters: Parameters,
    gold: GoldIndex | None,
) -> EMFit:
    step = config.tolerance * max(evidence.n_labels, 1)
    objectives: list[float] = []
    has_converged = False
    expectation = evidence.expect(parameters.log_rates, parameters.log_classes, gold=gold)
    for _ in range(config.max_iterations):
        parameters = model.maximize(expectation, parameters)
        expectation = evidence.expect(parameters.log_rates, parameters.log_classes, gold=gold)
        objectives.append(expectation.log_likelihood + parameters.log_prior)
        if len(objectives) > 1 and objectives[-1] - objectives[-2] < step:
            has_converged = True
            break
    return EMFit(parameters, expectation.counts, tuple(objectives), (), has_converged)


def vote_start(evidence: Evidence) -> Parameters:
    """All annotators alike and right in `START_ACCURACY` of their labels; all classes as frequent."""
    size = evidence.n_classes
    rates = np.full((size, size), (1.0 - START_ACCURACY) / max(size - 1, 1))
    np.fill_diagonal(rates, START_ACCURACY if size > 1 else 1.0)
    log_rates = np.broadcast_to(np.log(rates), (evidence.n_annotators, size, size))
    return Parameters(log_rates, np.full(size, -np.log(size)))


def _random_start(first: Parameters, seed: int, number: int) -> Parameters:
    """Each annotator's rows drawn around those of the first start,
    and the shares of the classes at random."""
    generator = np.random.default_rng(Streams(seed).child("consensus", "start", number).value)
    draws = generator.standard_gamma(START_SPREAD * np.exp(first.log_rates)) + np.finfo(float).tiny
    log_rates = np.log(draws) - np.log(draws.sum(axis=2, keepdims=True))
    classes = generator.dirichlet(np.full(len(first.log_classes), 2.0))
    return Parameters(log_rates, np.log(classes))
