"""Items come in kinds: more of them than there are classes, as when one wrong answer looks right to most.

Dawid-Skene takes items of one class for alike and their labels for independent. Where that is false
(a grebe is a duck to many, a goose to few) it finds the strongest division of the items, whatever that is,
and is
certain of it. Here an item has one of S kinds, S >= K; each annotator has a row of rates for each
kind, pooled as in the pooled Dawid-Skene. What class a kind is cannot be known from labels alone:
the probability of a class is the share of the crowd that gives it to items of that kind, until gold
items of the kind say otherwise (`name_kinds`). So the model is a vote without the noise of who happened to
answer, and never surer than the crowd is unanimous.

Latent class analysis with random annotators (Lazarsfeld & Henry 1968); the naming is ours.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError
from accord.quality.consensus.dawid_skene import PooledModel
from accord.quality.consensus.em import EMConfig, EMFit, Parameters, run_em
from accord.quality.consensus.evidence import UNKNOWN, Evidence, GoldIndex
from accord.quality.labels import LabelTable

START_CERTAINTY = 0.9
"""Share of an item's mass that the start puts on its kind."""
ROW_COUNT = 2.0
"""Imagined labels an annotator and kind at the start, split like the labels of the kind."""


@dataclass(frozen=True, kw_only=True)
class KindsConfig:
    """How many kinds, how annotators are pooled, and when to stop."""

    type: Literal["kinds"] = "kinds"
    """Tells the kinds apart."""
    n_kinds: int | None = None
    """At least as many as classes; None: twice as many."""
    strength_rate: float = 0.1
    """Imagined labels a cell have a Gamma prior of this rate; smaller lets annotators be more alike."""
    kind_count: float = 1.0
    """Imagined items of each kind."""
    naming_count: float = 2.0
    """Gold items that the crowd's own naming of a kind is worth."""
    em: EMConfig = field(default_factory=EMConfig)
    """When to stop and how often to start."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected more than 0"
            for name in ("strength_rate", "kind_count", "naming_count")
            if not (value := getattr(self, name)) > 0
        ]
        if problems:
            raise ConfigError("KindsConfig", problems)


@dataclass(frozen=True, eq=False)
class KindsFit:
    """Kinds of the items, and what the crowd calls them."""

    em: EMFit
    """`parameters.log_rates` is [annotator, kind, given class]."""
    memberships: NDArray[np.float64]
    """[item, kind] Posterior; rows sum to 1."""
    naming: NDArray[np.float64]
    """[kind, class] Share of the crowd that gives each class to items of the kind."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """[item, class]"""
        return self.memberships @ self.naming


def fit_kinds(
    table: LabelTable, evidence: Evidence, config: KindsConfig | None = None, *, seed: int = 0
) -> KindsFit:
    """Fit by variational EM from items sorted into kinds by their votes. Deterministic for a seed."""
    config = config or KindsConfig()
    n_kinds = 2 * table.n_classes if config.n_kinds is None else config.n_kinds
    if n_kinds < table.n_classes:
        raise ConfigError(
            "KindsConfig",
            [f"n_kinds is {n_kinds}; expected at least the number of classes, {table.n_classes}"],
        )
    first = start_memberships(table, n_kinds)
    votes = first.T @ table.counts + 0.5
    imagined = ROW_COUNT * votes / votes.sum(axis=1, keepdims=True)
    rates = np.broadcast_to(np.log(imagined / ROW_COUNT), (table.n_annotators, *imagined.shape))
    start = Parameters(rates, np.log(first.mean(axis=0)))
    model = PooledModel(imagined, config.kind_count, config.strength_rate)
    fit = run_em(evidence, model, config.em, start=start, seed=seed)
    memberships = evidence.posterior(fit.parameters.log_rates, fit.parameters.log_classes)
    given = evidence.count(memberships).sum(axis=0) + imagined
    return KindsFit(fit, memberships, given / given.sum(axis=1, keepdims=True))


def name_kinds(fit: KindsFit, gold: GoldIndex, *, naming_count: float) -> NDArray[np.float64]:
    """[kind, class] The naming after gold [item], -1 where unknown:
    Dirichlet mean, the crowd's naming as prior."""
    known = np.flatnonzero(gold != UNKNOWN)
    counts = naming_count * fit.naming
    np.add.at(counts.T, gold[known], fit.memberships[known])
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def start_memberships(table: LabelTable, n_kinds: int) -> NDArray[np.float64]:
    """[item, kind] Items of each plurality class cut into equal parts by how many votes the class has.

    Classes with more items get the kinds that are left over. An item with tied classes is shared
    among them, so that names and row order do not matter.
    """
    counts = table.counts
    share = (counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * table.n_classes)
    is_top = counts == counts.max(axis=1, keepdims=True)
    mass = is_top / is_top.sum(axis=1, keepdims=True)
    n_parts = np.full(table.n_classes, n_kinds // table.n_classes)
    n_parts[np.argsort(-mass.sum(axis=0), kind="stable")[: n_kinds % table.n_classes]] += 1
    memberships = np.full((table.n_items, n_kinds), (1.0 - START_CERTAINTY) / n_kinds)
    kind = 0
    for k in range(table.n_classes):
        part = _parts(share[:, k], mass[:, k], int(n_parts[k]))
        memberships[:, kind : kind + part.shape[1]] += START_CERTAINTY * mass[:, k, None] * part
        kind += part.shape[1]
    return np.asarray(memberships / memberships.sum(axis=1, keepdims=True))


def _parts(share: NDArray[np.float64], mass: NDArray[np.float64], n_parts: int) -> NDArray[np.float64]:
    """[item, part] Where each item falls among `n_parts` parts of equal mass by share;
    equal shares are parted equally."""
    values, index = np.unique(share, return_inverse=True)
    each = np.bincount(index, weights=mass, minlength=len(values))
    upper = np.cumsum(each)
    lower = upper - each
    edges = np.linspace(0.0, upper[-1], n_parts + 1)
    overlap = np.minimum(upper[:, None], edges[1:]) - np.maximum(lower[:, None], edges[:-1])
    overlap = np.maximum(overlap, 0.0) + 1e-12 * (1.0 + upper[-1]) / n_parts
    return np.asarray((overlap / overlap.sum(axis=1, keepdims=True))[index])
