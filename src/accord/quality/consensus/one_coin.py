"""One-coin Dawid-Skene: each annotator has one accuracy, the same for all classes.

Zhang et al. 2014, arXiv 1406.3824, the one-coin model. Wrong answers fall on all other classes alike, so an
annotator's leaning to one class counts as error: on a specialist task it does worse than a vote.
Departs in the Beta prior of the accuracies. Fitted by the EM of Dawid-Skene; it is that model with tied
rates.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from accord.domain import ConfigError
from accord.quality.consensus.dirichlet import log_shares
from accord.quality.consensus.em import EMConfig, EMFit, Parameters, run_em
from accord.quality.consensus.evidence import Evidence, Expectation, GoldIndex


@dataclass(frozen=True, kw_only=True)
class OneCoinConfig:
    """Prior and when to stop."""

    type: Literal["one_coin"] = "one_coin"
    """Tells the kinds apart."""
    right_count: float = 2.0
    """Imagined right labels of each annotator."""
    wrong_count: float = 1.0
    """Imagined wrong labels of each annotator."""
    class_count: float = 1.0
    """Imagined items of each class."""
    em: EMConfig = field(default_factory=EMConfig)
    """When to stop and how often to start."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected more than 0"
            for name in ("right_count", "wrong_count", "class_count")
            if not (value := getattr(self, name)) > 0
        ]
        if problems:
            raise ConfigError("OneCoinConfig", problems)


def fit_one_coin(
    evidence: Evidence,
    config: OneCoinConfig | None = None,
    *,
    gold: GoldIndex | None = None,
    seed: int = 0,
) -> EMFit:
    """Fit by EM; `gold` [item] holds known classes, -1 elsewhere. Deterministic for a seed."""
    config = config or OneCoinConfig()
    return run_em(evidence, OneCoinModel(config), config.em, gold=gold, seed=seed)


@dataclass(frozen=True)
class OneCoinModel:
    """Most probable accuracies under a Beta prior whose mode is the imagined labels' share."""

    config: OneCoinConfig

    def maximize(self, expectation: Expectation, before: Parameters) -> Parameters:
        """Closed form: right labels over all labels, with the imagined ones. One class: always right."""
        config, size = self.config, len(expectation.class_counts)
        log_classes = log_shares(expectation.class_counts + config.class_count)
        class_prior = float(config.class_count * log_classes.sum())
        if size == 1:
            return Parameters(np.zeros_like(expectation.counts), log_classes, class_prior)
        right = np.trace(expectation.counts, axis1=1, axis2=2)
        wrong = np.maximum(expectation.counts.sum(axis=(1, 2)) - right, 0.0)
        both = np.stack([right + config.right_count, wrong + config.wrong_count], axis=1)
        log_right, log_wrong = log_shares(both).T
        log_rates = np.repeat(log_wrong - np.log(size - 1), size * size).reshape(-1, size, size)
        diagonal = np.arange(size)
        log_rates[:, diagonal, diagonal] = log_right[:, None]
        log_prior = float((config.right_count * log_right + config.wrong_count * log_wrong).sum())
        return Parameters(log_rates, log_classes, log_prior + class_prior)
