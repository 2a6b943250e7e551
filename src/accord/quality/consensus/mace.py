"""MACE: an annotator either knows the class or answers from a habit that does not depend on it.

Hovy et al. 2013, N13-1132, "Learning whom to trust with MACE", section 3; departs in having MAP estimates
under Beta
and Dirichlet priors instead of their variational Bayes, and estimated shares of the classes. For spammers.
The rate
of a wrong class is the same whatever the true class is, so the model is Dawid-Skene with tied
rates, and which labels were habit follows from the expected counts alone.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError
from accord.quality.consensus.dirichlet import log_shares
from accord.quality.consensus.em import EMConfig, EMFit, Parameters, run_em
from accord.quality.consensus.evidence import Evidence, Expectation, GoldIndex


@dataclass(frozen=True, kw_only=True)
class MaceConfig:
    """Prior and when to stop."""

    type: Literal["mace"] = "mace"
    """Tells the kinds apart."""
    knowing_count: float = 1.0
    """Imagined labels of each annotator that were known."""
    habit_count: float = 1.0
    """Imagined labels of each annotator that were habit, shared equally by the classes."""
    class_count: float = 1.0
    """Imagined items of each class."""
    em: EMConfig = field(default_factory=lambda: EMConfig(n_starts=3))
    """When to stop and how often to start; the model has more local optima than Dawid-Skene."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected more than 0"
            for name in ("knowing_count", "habit_count", "class_count")
            if not (value := getattr(self, name)) > 0
        ]
        if problems:
            raise ConfigError("MaceConfig", problems)


def fit_mace(
    evidence: Evidence,
    config: MaceConfig | None = None,
    *,
    gold: GoldIndex | None = None,
    seed: int = 0,
) -> EMFit:
    """Fit by EM; `gold` [item] holds known classes, -1 elsewhere. Deterministic for a seed."""
    config = config or MaceConfig()
    return run_em(evidence, MaceModel(config), config.em, gold=gold, seed=seed)


@dataclass(frozen=True)
class MaceModel:
    """rate[true, given] = knows * (true is given) + (1 - knows) * habit[given]."""

    config: MaceConfig

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """A right label was habit in proportion to the rates before; then closed form.

        One class: all known.
        """
        config, size = self.config, len(expectation.class_counts)
        log_classes = log_shares(expectation.class_counts + config.class_count)
        class_prior = float(config.class_count * log_classes.sum())
        if size == 1:
            return Parameters(np.zeros_like(expectation.counts), log_classes, class_prior)
        right = np.diagonal(expectation.counts, axis1=1, axis2=2)
        wrong = np.maximum(expectation.counts.sum(axis=1) - right, 0.0)
        by_habit = right * _habit_share(before.log_rates)
        habits = wrong + by_habit
        prior = config.habit_count / size
        log_habits = log_shares(habits + prior)
        known = (right - by_habit).sum(axis=1) + config.knowing_count
        log_knows, log_not = log_shares(np.stack([known, habits.sum(axis=1) + config.habit_count], axis=1)).T
        log_prior = prior * log_habits.sum()
        log_prior += config.knowing_count * log_knows.sum() + config.habit_count * log_not.sum()
        log_off = log_not[:, None] + log_habits
        log_rates = np.repeat(log_off[:, None, :], size, axis=1)
        diagonal = np.arange(size)
        log_rates[:, diagonal, diagonal] = np.logaddexp(log_knows[:, None], log_off)
        return Parameters(log_rates, log_classes, float(log_prior) + class_prior)


def _habit_share(log_rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """[annotator, class] Share of the right labels that were habit:
    the rate when wrong over the rate when right."""
    size = log_rates.shape[1]
    right = np.diagonal(log_rates, axis1=1, axis2=2)
    off = np.where(np.eye(size, dtype=bool), -np.inf, log_rates)
    wrong = np.logaddexp.reduce(off, axis=1) - np.log(size - 1)
    return np.asarray(np.exp(np.minimum(wrong - right, 0.0)))
