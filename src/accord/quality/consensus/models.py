"""The models of consensus under one interface: fit, posterior of the items, and probability of a label.

The last of these is what models without a common likelihood can be compared by (`choice.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from accord.domain import ConfigError
from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
from accord.quality.consensus.dirichlet import log_shares
from accord.quality.consensus.em import EMFit
from accord.quality.consensus.evidence import Evidence, GoldIndex, gather_evidence
from accord.quality.consensus.glad import MAX_LOG_EASE, GladConfig, fit_glad
from accord.quality.consensus.kinds import KindsConfig, fit_kinds, name_kinds
from accord.quality.consensus.mace import MaceConfig, fit_mace
from accord.quality.consensus.one_coin import OneCoinConfig, fit_one_coin
from accord.quality.consensus.vote import majority, vote_share
from accord.quality.labels import LabelTable

ModelConfig = DawidSkeneConfig | OneCoinConfig | GladConfig | MaceConfig | KindsConfig


Prediction = Callable[[NDArray[np.float64], NDArray[Any], NDArray[Any]], NDArray[np.float64]]
"""(posterior, item index, annotator index) to [pair, class]: how probable each label of theirs is."""


@dataclass(frozen=True, eq=False)
class ModelFit:
    """A fitted model of consensus."""

    posterior: NDArray[np.float64]
    """[item, class]"""
    prediction: Prediction
    objectives: tuple[float, ...] = ()
    """What was climbed, iteration by iteration; empty for votes."""
    has_converged: bool = True

    def predict(self, items: NDArray[Any], annotators: NDArray[Any]) -> NDArray[np.float64]:
        """[pair, class] Probability of each label an annotator might give an item."""
        return self.prediction(self.posterior, items, annotators)

    def predict_under(
        self, posterior: NDArray[np.float64], items: NDArray[Any], annotators: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The same if the classes of the items had another `posterior` [item, class]."""
        return self.prediction(posterior, items, annotators)


Fit = Callable[[LabelTable, Evidence, GoldIndex | None, Any, int], ModelFit]


def fit_model(
    table: LabelTable,
    method: str,
    *,
    config: ModelConfig | None = None,
    gold: GoldIndex | None = None,
    evidence: Evidence | None = None,
    seed: int = 0,
) -> ModelFit:
    """Fit one model by name; `gold` [item] clamps known classes. `evidence` saves gathering it again."""
    fit, default = MODELS[method]
    if config is not None and type(config) is not type(default):
        wanted = "no config" if default is None else type(default).__name__
        raise ConfigError(method, [f"config is a {type(config).__name__}; {method} takes {wanted}"])
    return fit(table, evidence or gather_evidence(table), gold, config or default, seed)


def _votes(
    table: LabelTable, posterior: NDArray[np.float64], gold: GoldIndex | None, share: NDArray[np.float64]
) -> ModelFit:
    return ModelFit(clamped(posterior, gold), lambda posterior, items, annotators: share[items])


def _majority(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: Any, seed: int
) -> ModelFit:
    return _votes(table, majority(table), gold, vote_share(table))


def _vote_share(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: Any, seed: int
) -> ModelFit:
    share = vote_share(table)
    return _votes(table, share, gold, share)


def _of_em(evidence: Evidence, gold: GoldIndex | None, fit: EMFit, rates: NDArray[np.float64]) -> ModelFit:
    parameters = fit.parameters
    posterior = evidence.posterior(parameters.log_rates, parameters.log_classes, gold=gold)
    return ModelFit(posterior, _mixture(rates), fit.objectives, fit.has_converged)


def _mixture(rates: NDArray[np.float64]) -> Prediction:
    """A label as a mixture of the annotator's `rates` [annotator, class, given] over the item's classes."""
    return lambda posterior, items, annotators: np.einsum("is,isk->ik", posterior[items], rates[annotators])


def _dawid_skene(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: DawidSkeneConfig, seed: int
) -> ModelFit:
    fit = fit_dawid_skene(evidence, config, gold=gold, seed=seed)
    imagined = fit.parameters.imagined
    assert imagined is not None
    return _of_em(evidence, gold, fit, np.exp(log_shares(fit.counts + imagined)))


def _one_coin(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: OneCoinConfig, seed: int
) -> ModelFit:
    fit = fit_one_coin(evidence, config, gold=gold, seed=seed)
    return _of_em(evidence, gold, fit, np.exp(fit.parameters.log_rates))


def _mace(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: MaceConfig, seed: int
) -> ModelFit:
    fit = fit_mace(evidence, config, gold=gold, seed=seed)
    return _of_em(evidence, gold, fit, np.exp(fit.parameters.log_rates))


def _glad(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: GladConfig, seed: int
) -> ModelFit:
    fit = fit_glad(table, config, gold=gold)

    def predict(
        posterior: NDArray[np.float64], items: NDArray[Any], annotators: NDArray[Any]
    ) -> NDArray[np.float64]:
        margins = fit.ability[annotators] * np.exp(np.minimum(fit.log_ease[items], MAX_LOG_EASE))
        right = expit(margins)[:, None] if table.n_classes > 1 else np.ones((len(items), 1))
        wrong = (1.0 - right) / max(table.n_classes - 1, 1)
        return np.asarray(posterior[items] * right + (1.0 - posterior[items]) * wrong)

    return ModelFit(fit.posterior, predict, fit.objectives, fit.has_converged)


def _kinds(
    table: LabelTable, evidence: Evidence, gold: GoldIndex | None, config: KindsConfig, seed: int
) -> ModelFit:
    fit = fit_kinds(table, evidence, config, seed=seed)
    naming = fit.naming if gold is None else name_kinds(fit, gold, naming_count=config.naming_count)
    imagined = fit.em.parameters.imagined
    assert imagined is not None
    rates = np.exp(log_shares(fit.em.counts + imagined))
    posterior = clamped(fit.memberships @ naming, gold)
    of_kinds = _mixture(rates)
    return ModelFit(
        posterior,
        lambda posterior, items, annotators: of_kinds(fit.memberships, items, annotators),
        fit.em.objectives,
        fit.em.has_converged,
    )


def clamped(posterior: NDArray[np.float64], gold: GoldIndex | None) -> NDArray[np.float64]:
    """The posterior with known classes certain."""
    if gold is None:
        return posterior
    known = np.flatnonzero(gold >= 0)
    whole = posterior.copy()
    whole[known] = np.eye(posterior.shape[1])[gold[known]]
    return whole


MODELS: dict[str, tuple[Fit, Any]] = {
    "majority": (_majority, None),
    "vote_share": (_vote_share, None),
    "dawid_skene": (_dawid_skene, DawidSkeneConfig()),
    "averaged": (_dawid_skene, DawidSkeneConfig(estimate="averaged")),
    "hierarchical": (_dawid_skene, DawidSkeneConfig(estimate="pooled")),
    "one_coin": (_one_coin, OneCoinConfig()),
    "glad": (_glad, GladConfig()),
    "mace": (_mace, MaceConfig()),
    "kinds": (_kinds, KindsConfig()),
}
"""Name to function and default config."""
