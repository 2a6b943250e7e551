"""Dawid-Skene: each annotator has a confusion matrix, and each item one true class.

Departs from Dawid & Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", in having priors: each row of a confusion matrix has imagined labels, more of them on the
diagonal, and so has the list of classes. They keep a rare class from gathering items that nobody
put there, and one missing label from vetoing a class. Three ways to use them:

- `point`: the most probable parameters (MAP); the objective is log likelihood + log prior.
- `averaged`: rates averaged over what is known of them, by variational Bayes (Kim & Ghahramani 2012,
  "Bayesian classifier combination"): a rate known from few labels counts for less, and a class that
  explains nothing stays empty. The objective is the evidence lower bound.
- `pooled`: averaged, and the imagined labels, a strength times a shared confusion matrix, are themselves
  estimated (Paun et al. 2018, "Comparing Bayesian models of annotation", the hierarchical model; here by
  empirical Bayes). For few labels an annotator.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError
from accord.quality.consensus.dirichlet import (
    divergence,
    expected_log,
    fit_shared_prior,
    log_shares,
)
from accord.quality.consensus.em import ConfusionModel, EMConfig, EMFit, Parameters, run_em
from accord.quality.consensus.evidence import Evidence, Expectation, GoldIndex

Estimate = Literal["point", "averaged", "pooled"]


@dataclass(frozen=True, kw_only=True)
class DawidSkeneConfig:
    """Prior, way of estimating, and when to stop."""

    type: Literal["dawid_skene"] = "dawid_skene"
    """Tells the kinds apart."""
    estimate: Estimate = "point"
    """`point`, `averaged` or `pooled`, as the module says."""
    right_count: float = 2.0
    """Imagined labels of the true class, for each annotator and class."""
    wrong_count: float = 1.0
    """Imagined labels of each other class, for each annotator and class."""
    strength_rate: float = 0.1
    """If pooled: imagined labels a cell have a Gamma prior of this rate;
    smaller lets annotators be more alike."""
    class_count: float = 1.0
    """Imagined items of each class."""
    start: Literal["averaged", "vote"] = "averaged"
    """Where `point` and `pooled` begin. From the vote both may end with a rare class as the name of all
    doubtful
    items; the averaged fit drops such a class, and what begins there stays there."""
    em: EMConfig = field(default_factory=EMConfig)
    """When to stop and how often to start."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected more than 0"
            for name in ("right_count", "wrong_count", "strength_rate", "class_count")
            if not (value := getattr(self, name)) > 0
        ]
        if self.estimate not in ("point", "averaged", "pooled"):
            problems.append(f"estimate is {self.estimate!r}; expected point, averaged or pooled")
        if self.start not in ("averaged", "vote"):
            problems.append(f"start is {self.start!r}; expected averaged or vote")
        if problems:
            raise ConfigError("DawidSkeneConfig", problems)

    def imagined(self, n_classes: int) -> NDArray[np.float64]:
        """[true class, given class] Imagined labels of each annotator."""
        counts = np.full((n_classes, n_classes), self.wrong_count)
        np.fill_diagonal(counts, self.right_count)
        return counts


def fit_dawid_skene(
    evidence: Evidence,
    config: DawidSkeneConfig | None = None,
    *,
    gold: GoldIndex | None = None,
    seed: int = 0,
) -> EMFit:
    """Fit by EM; `gold` [item] holds known classes, -1 elsewhere. Deterministic for a seed."""
    config = config or DawidSkeneConfig()
    imagined = config.imagined(evidence.n_classes)
    averaged = AveragedModel(imagined, config.class_count)
    if config.estimate == "averaged":
        return run_em(evidence, averaged, config.em, gold=gold, seed=seed)
    start = None
    if config.start == "averaged":
        first = replace(config.em, n_starts=1)
        start = replace(run_em(evidence, averaged, first, gold=gold).parameters, imagined=None)
    model: ConfusionModel = PointModel(imagined, config.class_count)
    if config.estimate == "pooled":
        model = PooledModel(imagined, config.class_count, config.strength_rate)
    return run_em(evidence, model, config.em, gold=gold, start=start, seed=seed)


@dataclass(frozen=True, eq=False)
class PointModel:
    """Most probable parameters under Dirichlet priors whose modes are the imagined counts' shares."""

    imagined: NDArray[np.float64]
    """[true class, given class]"""
    class_count: float

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """Closed form: counts plus imagined counts, normalized."""
        prior = self.imagined
        log_rates = log_shares(expectation.counts + prior)
        log_classes = log_shares(expectation.class_counts + self.class_count)
        log_prior = float((prior * log_rates).sum() + self.class_count * log_classes.sum())
        return Parameters(log_rates, log_classes, log_prior, prior)


@dataclass(frozen=True, eq=False)
class AveragedModel:
    """Rates averaged over their posterior, which is Dirichlet with counts plus imagined counts."""

    imagined: NDArray[np.float64]
    """[true class, given class]"""
    class_count: float

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """Expected log rates; `log_prior` is minus the divergence of posterior from prior."""
        return averaged_parameters(expectation, self.imagined, self.class_count)


@dataclass(frozen=True, eq=False)
class PooledModel:
    """Averaged, with imagined counts that are estimated from all annotators."""

    imagined: NDArray[np.float64]
    """[true class or kind, given class] Where the estimate starts, and the shape of its own Gamma prior."""
    class_count: float
    strength_rate: float

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """The annotators, the imagined counts given them, the annotators again: none lowers the bound."""
        prior = self.imagined if before.imagined is None else before.imagined
        shape, rate = self.imagined, self.strength_rate
        log_sum = expected_log(expectation.counts + prior).sum(axis=0)
        prior = fit_shared_prior(prior, log_sum, len(expectation.counts), shape=shape, rate=rate)
        parameters = averaged_parameters(expectation, prior, self.class_count)
        hyper = float((shape * np.log(prior) - rate * prior).sum())
        return replace(parameters, log_prior=parameters.log_prior + hyper)


def averaged_parameters(
    expectation: Expectation, imagined: NDArray[np.float64], class_count: float
) -> Parameters:
    """Expected logs under Dirichlet posteriors; `log_prior` is minus their divergence from the priors."""
    imagined_classes = np.full(len(expectation.class_counts), class_count)
    counts = expectation.counts + imagined
    classes = expectation.class_counts + imagined_classes
    log_prior = -divergence(counts, imagined) - divergence(classes, imagined_classes)
    return Parameters(expected_log(counts), expected_log(classes), log_prior, imagined)
