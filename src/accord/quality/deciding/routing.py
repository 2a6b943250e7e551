"""Which annotator to ask about an item next: who tells most for what a label of his costs.

Pure functions of what is known: nothing is stored, and the same state and seed give the same choice.
Leaves out whether to ask at all, which is `stopping`, and how the annotators' counts are kept.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import digamma, xlogy

from accord.domain import ConfigError, DataError
from accord.quality.deciding.information import information_gain

Measure = Literal["information", "value"]
Exploration = Literal["learning", "thompson", "none"]
NEGLIGIBLE = 1e-12
"""Gains nearer than this are the same."""


@dataclass(frozen=True, kw_only=True)
class RoutingConfig:
    """What a label is worth."""

    measure: Measure = "information"
    """`information`: nats about the true class. `value`: rise of the highest probability, which is 0
    for one label that cannot turn the decision."""
    exploration: Exploration = "learning"
    """`learning` adds what the label tells of the annotator himself; `thompson` judges each by rates
    drawn from what is known of him; `none` by the mean rates."""
    learning_weight: float = 0.1
    """Nats about an item that a nat about an annotator is worth; for `learning`. Larger where he will
    give many labels more."""
    min_gain: float = 0.0
    """Whoever brings no more than this is not asked."""

    def __post_init__(self) -> None:
        problems = []
        if self.measure not in ("information", "value"):
            problems.append(f"measure is {self.measure!r}, expected information or value")
        if self.exploration not in ("learning", "thompson", "none"):
            problems.append(f"exploration is {self.exploration!r}, expected learning, thompson or none")
        for name in ("learning_weight", "min_gain"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                problems.append(f"{name} is {getattr(self, name)}, expected 0 or more")
        if problems:
            raise ConfigError("RoutingConfig", problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class Staff:
    """Everybody who may be asked, and what is known of them."""

    annotators: tuple[Any, ...]
    counts: NDArray[np.float64]
    """[annotator, true class, given class] Labels so far plus imagined ones: Dirichlet parameters."""
    costs: NDArray[np.float64] | None = None
    """[annotator] Of a label; None where all cost the same."""
    free: NDArray[np.int64] | None = None
    """[annotator] Labels he may still be given now: his limit less his load. None is no limit."""
    tags: tuple[frozenset[str], ...] = field(default=())
    """[annotator] Languages, skills, expert fields; empty where nobody has any."""

    def __post_init__(self) -> None:
        size = len(self.annotators)
        counts = self.counts
        if counts.ndim != 3 or len(counts) != size or counts.shape[1] != counts.shape[2]:
            raise DataError(
                f"counts has shape {counts.shape} for {size} annotators, expected [annotator, class, class]"
            )
        if not (np.isfinite(counts).all() and (counts > 0).all()):
            raise DataError(f"counts has the value {counts.min()}, expected finite ones above 0; add a prior")
        for name in ("costs", "free"):
            column = getattr(self, name)
            if column is not None and len(column) != size:
                raise DataError(f"{name} has {len(column)} entries for {size} annotators")
        if self.costs is not None and not (np.isfinite(self.costs).all() and (self.costs > 0).all()):
            raise DataError(f"costs has the value {self.costs.min()}, expected finite ones above 0")
        if self.tags and len(self.tags) != size:
            raise DataError(f"tags has {len(self.tags)} entries for {size} annotators")

    @property
    def rates(self) -> NDArray[np.float64]:
        """[annotator, true class, given class] Mean rates; rows sum to 1."""
        return np.asarray(self.counts / self.counts.sum(axis=2, keepdims=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenItem:
    """An item that needs another label."""

    posterior: NDArray[np.float64]
    """[class]"""
    asked: Collection[Any] = ()
    """Annotators who have or hold it already: never asked again."""
    needs: Collection[str] = ()
    """Tags that whoever is asked must all have."""


@dataclass(frozen=True)
class Assignment:
    """Ask this annotator about this item."""

    item: int
    """Place in the list of open items."""
    annotator: Any
    gain: float
    """Expected, in the measure's unit, what is learned of the annotator included."""
    rate: float
    """Gain for each unit of cost."""


def rank_annotators(
    item: OpenItem, staff: Staff, config: RoutingConfig | None = None, *, seed: int = 0
) -> list[Assignment]:
    """Everybody eligible, by gain for each unit of cost, the best first; equals in random order.

    Empty where nobody is free, has the tags, was not asked yet and brings more than `min_gain`.
    """
    config = config or RoutingConfig()
    gains, rates = _worth([item], staff, config, seed)
    tie_break = np.random.default_rng([seed, 1]).random(len(staff.annotators))
    order = np.lexsort((tie_break, -np.round(rates[0] / NEGLIGIBLE) * NEGLIGIBLE))
    return [
        Assignment(0, staff.annotators[place], float(gains[0, place]), float(rates[0, place]))
        for place in order
        if np.isfinite(rates[0, place])
    ]


def assign_labels(
    items: Sequence[OpenItem], staff: Staff, config: RoutingConfig | None = None, *, seed: int = 0
) -> list[Assignment]:
    """One label each for as many items as pay, with the highest sum of gains for each unit of cost.

    The optimum over all assignments that keep to everybody's limit, not item after item. With limits
    O(items^2 x places) at worst, where a place is a label somebody may still be given.
    """
    config = config or RoutingConfig()
    if not items:
        return []
    gains, rates = _worth(items, staff, config, seed)
    tie_break = NEGLIGIBLE * np.random.default_rng([seed, 1]).random(rates.shape)
    if staff.free is None:
        pairs: Iterable[tuple[int, int]] = enumerate((rates + tie_break).argmax(axis=1).tolist())
    else:
        places = np.repeat(np.arange(len(staff.annotators)), np.clip(staff.free, 0, len(items)))
        # Nobody has value 0, so that nothing forbidden is ever better than leaving the item.
        values = np.where(np.isfinite(rates), rates, 0.0) + tie_break
        rows, columns = linear_sum_assignment(values[:, places], maximize=True)
        pairs = zip(rows.tolist(), places[columns].tolist(), strict=True)
    return [
        Assignment(i, staff.annotators[j], float(gains[i, j]), float(rates[i, j]))
        for i, j in pairs
        if np.isfinite(rates[i, j])
    ]


def learning_gain(posterior: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, annotator] Nats that a label tells of the annotator's rates, were the true class then known.

        sum over k of p(k) (H(mean rates of k) - E H(rates of k))

    Expected information about the Dirichlet parameters `counts` [annotator, true, given] (Houlsby et al.
    2011); about 1 / (2 n) for each free rate after n labels.
    """
    total = counts.sum(axis=2)
    mean = counts / total[:, :, None]
    entropy = -xlogy(mean, mean).sum(axis=2)
    expected = digamma(total + 1) - (mean * digamma(counts + 1)).sum(axis=2)
    return np.asarray(np.atleast_2d(posterior) @ np.maximum(entropy - expected, 0.0).T, dtype=np.float64)


def is_eligible(item: OpenItem, staff: Staff) -> NDArray[np.bool_]:
    """[annotator] Free, with all the tags the item needs, and not asked about it before."""
    asked, needs = set(item.asked), frozenset(item.needs)
    may = np.array([annotator not in asked for annotator in staff.annotators], dtype=bool)
    if staff.free is not None:
        may &= staff.free > 0
    if needs:
        tags = staff.tags or (frozenset(),) * len(staff.annotators)
        may &= np.array([needs <= has for has in tags], dtype=bool)
    return may


def _worth(
    items: Sequence[OpenItem], staff: Staff, config: RoutingConfig, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gains [item, annotator], and gains for each unit of cost, -inf where somebody is not to be asked."""
    posteriors = np.stack([np.asarray(item.posterior, dtype=np.float64) for item in items])
    if posteriors.shape[1] != staff.counts.shape[1]:
        raise DataError(
            f"posteriors have {posteriors.shape[1]} classes and the staff's counts {staff.counts.shape[1]}; "
            "expected the same"
        )
    rates = staff.rates
    if config.exploration == "thompson":
        draws = np.random.default_rng([seed, 0]).standard_gamma(staff.counts) + np.finfo(float).tiny
        rates = draws / draws.sum(axis=2, keepdims=True)
    gains = information_gain(posteriors, rates)
    if config.measure == "value":
        best = (posteriors[:, None, :, None] * rates[None]).max(axis=2).sum(axis=2)
        gains = np.maximum(best - posteriors.max(axis=1)[:, None], 0.0)
    if config.exploration == "learning":
        gains = gains + config.learning_weight * learning_gain(posteriors, staff.counts)
    costs = np.ones(len(staff.annotators)) if staff.costs is None else staff.costs
    may = np.stack([is_eligible(item, staff) for item in items]) & (gains > config.min_gain)
    return gains, np.where(may, gains / costs, -np.inf)
