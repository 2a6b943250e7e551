"""What a collection is to measure, and how exactly a given number of items and labels measures it.

Three kinds: a share such as a win rate (`WinRateDesign`), Krippendorff's alpha (`AlphaDesign`) and the
accuracy of a consensus (`AccuracyDesign`). Each tells for any size what `accord.quality.deciding.power`
turns into widths, power and the smallest size that will do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Protocol

import numpy as np
from scipy.special import bdtr, bdtrc

from accord.domain import ConfigError, Streams
from accord.quality.agreement.alpha import Level, alpha_statistic
from accord.quality.agreement.coincidence import CountRows, count_rows
from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.vote import majority
from accord.quality.labels import tabulate_labels
from accord.quality.simulation.crowd import simulate_labels
from accord.quality.simulation.crowd_config import CrowdConfig

INDEPENDENT_FIELDS = frozenset({"n_items", "n_annotators", "labels_per_item", "class_shares"}).union(
    {"activity_spread", "skill_alpha", "skill_beta", "errors", "error_concentration"},
    {"session_labels", "seconds_per_label", "duration_spread", "spam_pace", "start_ms"},
)
"""Knobs that leave labels of one item on two classes independent and right with one mean probability."""
ALPHA_CROWDS = 5
"""Crowds the spread of alpha is averaged over, for annotators differ from crowd to crowd."""
ALPHA_ITEMS = 2000
"""Simulated items of each: the spread is then known to about 2 %."""
LADDER = (50, 200, 800, 3200)
"""Numbers of items at which a fitted consensus is simulated; between them accuracy is interpolated."""
MIN_CROWDS, MAX_CROWDS = 12, 96
"""Simulated crowds at the last and the first step of the ladder: some annotators are lucky in each."""

ROUGH_EM = EMConfig(max_iterations=60, tolerance=1e-6)
"""Enough for the label of an item, if not for the last digits of its probability."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What a number of items and labels is worth."""

    value: float | None
    """Expected estimate; None where there is none, with the reason."""
    error: float
    """Standard error of the estimate."""
    n_effective: float | None
    """For shares: independent labels that would be worth as much; None for other quantities."""
    freedom: float
    """Degrees of freedom of the estimated standard error; infinite where it follows from the share."""
    design_effect: float | None
    """For shares: labels needed for the worth of one independent label."""
    method: str
    reason: str | None = None


PrecisionAt = Callable[[int], Precision]
"""Number of items -> precision."""


class Design(Protocol):
    """What is to be measured."""

    @property
    def type(self) -> str:
        """Name of the quantity."""
        ...

    @property
    def most_labels(self) -> int | None:
        """Largest number of labels an item; None is any."""
        ...

    def prepare(self, labels_an_item: int, *, seed: int) -> PrecisionAt:
        """Precision as a function of the number of items; what must be simulated is simulated once."""
        ...


@dataclass(frozen=True, kw_only=True)
class WinRateDesign:
    """A share of labels, such as a win rate, whose labels hang together."""

    type: Literal["win_rate"] = "win_rate"
    """Tells the kinds apart."""
    share: float = 0.5
    """Expected share."""
    item_correlation: float = 0.3
    """Correlation of two labels of one item: nominal alpha of such labels estimates it, and is about 0.3 for
    crowds that compare open-ended answers."""
    items_a_cluster: float = 1.0
    """Items that share a prompt or a document, on average."""
    cluster_correlation: float = 0.0
    """Correlation of two labels of different items of one cluster."""
    n_annotators: int | None = None
    """Annotators who share the labels evenly; None leaves their habits out of account."""
    annotator_correlation: float = 0.0
    """Correlation of two labels of one annotator beyond what the items explain: what few annotators cost."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.share < 1:
            problems.append(f"share is {self.share}, expected between 0 and 1")
        for name in ("item_correlation", "cluster_correlation", "annotator_correlation"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name} is {getattr(self, name)}, expected 0 to 1")
        if self.cluster_correlation > self.item_correlation:
            problems.append(
                f"cluster_correlation is {self.cluster_correlation}, above item_correlation "
                f"{self.item_correlation}; labels of one item are in one cluster too"
            )
        if not self.items_a_cluster >= 1:
            problems.append(f"items_a_cluster is {self.items_a_cluster}, expected 1 or more")
        if self.annotator_correlation and not self.n_annotators:
            problems.append("annotator_correlation needs n_annotators, the number who share the labels")
        if self.n_annotators is not None and self.n_annotators < 2:
            problems.append(f"n_annotators is {self.n_annotators}, expected 2 or more")
        if problems:
            raise ConfigError("WinRateDesign", problems)

    @property
    def most_labels(self) -> int | None:
        """An annotator labels an item once."""
        return self.n_annotators

    def prepare(self, labels_an_item: int, *, seed: int = 0) -> PrecisionAt:
        """Closed form; nothing is drawn.

            variance = p (1 - p) / N * [1 + (m - 1) r_item + m (c - 1) r_cluster + (N / A - 1) r_annotator]

        for N = n m labels, m an item, c items a cluster, A annotators: each label shares its item with
        m - 1 others, its cluster with m (c - 1) more and its annotator with N / A - 1, which is the design
        effect of Kish 1965, section 5.4, for nested and crossed clusters. Degrees of freedom are those of
        Satterthwaite 1946 from clusters and annotators.
        """
        size, kin = labels_an_item, labels_an_item * (self.items_a_cluster - 1)
        nested = 1 + (size - 1) * self.item_correlation + kin * self.cluster_correlation

        def precision(n_items: int) -> Precision:
            n_labels = n_items * size
            crossed = 0.0
            if self.n_annotators is not None:
                crossed = max(0.0, n_labels / self.n_annotators - 1) * self.annotator_correlation
            effect = nested + crossed
            # at most the clusters are all there is to draw
            freedom = math.inf
            if effect > 1:
                weights = (nested / effect) ** 2 / max(n_items / self.items_a_cluster - 1, 1)
                weights += (crossed / effect) ** 2 / max((self.n_annotators or 2) - 1, 1)
                freedom = 1 / weights
            return _of_share(self.share, n_labels / effect, freedom, effect, "design effect")

        return precision


@dataclass(frozen=True, kw_only=True)
class AlphaDesign:
    """Krippendorff's alpha of a crowd; the interval speaks of new items judged by the same annotators."""

    type: Literal["alpha"] = "alpha"
    """Tells the kinds apart."""
    crowd: CrowdConfig = field(default_factory=CrowdConfig)
    """Who labels what; numbers of items and of labels an item are replaced."""
    level: Level = "nominal"
    """Of measurement."""

    @property
    def most_labels(self) -> int | None:
        """An annotator labels an item once."""
        return self.crowd.n_annotators

    def prepare(self, labels_an_item: int, *, seed: int = 0) -> PrecisionAt:
        """Standard error by the delta method: sd(influence of an item on alpha) / sqrt(n).

        Influence is that of the jackknife (Efron 1982, chapter 6) in simulated crowds; nothing further is
        simulated for other numbers of items. One label an item has no alpha.
        """
        if labels_an_item < 2:
            return lambda n_items: _no_precision("alpha needs two labels or more on an item")
        runs = [
            _influence(self._simulate(labels_an_item, Streams(seed).child("alpha", str(i)).value), self.level)
            for i in range(ALPHA_CROWDS)
        ]
        found = [run for run in runs if run is not None]
        if len(found) < ALPHA_CROWDS:
            return lambda n_items: _no_precision("all labels of a simulated crowd are of one class")
        value = float(np.mean([value for value, _ in found]))
        spread = float(np.sqrt(np.mean([variance for _, variance in found])))
        return lambda n_items: Precision(
            value=value,
            error=spread / math.sqrt(max(n_items - 1, 1)),
            n_effective=None,
            freedom=max(n_items - 1, 1),
            design_effect=None,
            method="simulated influence",
        )

    def _simulate(self, labels_an_item: int, seed: int) -> CountRows:
        crowd = replace(self.crowd, n_items=ALPHA_ITEMS, labels_per_item=labels_an_item, repeat_share=0.0)
        columns = simulate_labels(crowd, seed).columns
        return count_rows(
            np.asarray(columns.items),
            np.asarray(columns.values),
            n_items=ALPHA_ITEMS,
            n_classes=crowd.n_classes,
        )


@dataclass(frozen=True, kw_only=True)
class AccuracyDesign:
    """Share of items whose consensus is right, as measured on gold; the annotators are taken as given."""

    type: Literal["accuracy"] = "accuracy"
    """Tells the kinds apart."""
    crowd: CrowdConfig = field(default_factory=CrowdConfig)
    """Who labels what; numbers of items and of labels an item are replaced."""
    consensus: Literal["majority", "dawid_skene"] = "majority"
    """How labels become a consensus; ties of a vote are split."""
    gold_share: float = 1.0
    """Share of the items that have gold, which the accuracy is measured on."""

    def __post_init__(self) -> None:
        problems = []
        if self.consensus not in ("majority", "dawid_skene"):
            problems.append(f"consensus is {self.consensus!r}, expected majority or dawid_skene")
        if not 0 < self.gold_share <= 1:
            problems.append(f"gold_share is {self.gold_share}, expected above 0, at most 1")
        if problems:
            raise ConfigError("AccuracyDesign", problems)

    @property
    def most_labels(self) -> int | None:
        """An annotator labels an item once."""
        return self.crowd.n_annotators

    def prepare(self, labels_an_item: int, *, seed: int = 0) -> PrecisionAt:
        """Accuracy in closed form for votes of independent annotators on two classes, else simulated.

        The closed form is `majority_accuracy` at the crowd's mean skill, which is exact because skills are
        drawn alike for all. What is fitted is simulated at the numbers of items of `LADDER`, for it knows
        annotators the better the more they label.
        """
        crowd = replace(self.crowd, labels_per_item=labels_an_item, repeat_share=0.0)
        if self.consensus == "majority" and _is_independent(crowd):
            skill = crowd.skill_alpha / (crowd.skill_alpha + crowd.skill_beta)
            accuracy = majority_accuracy(skill, labels_an_item)
            return lambda n_items: self._of_accuracy(accuracy, n_items, "binomial vote")
        steps: dict[int, float] = {}

        def at_step(step: int) -> float:
            size = LADDER[-1] if self.consensus == "majority" else LADDER[step]
            if size not in steps:
                steps[size] = _simulate_accuracy(replace(crowd, n_items=size), self.consensus, seed)
            return steps[size]

        def precision(n_items: int) -> Precision:
            place = float(np.interp(np.log(n_items), np.log(LADDER), np.arange(len(LADDER))))
            below, share = int(place), place - int(place)
            accuracy = at_step(below)
            if share:
                accuracy += share * (at_step(below + 1) - accuracy)
            return self._of_accuracy(accuracy, n_items, "simulated crowds")

        return precision

    def _of_accuracy(self, accuracy: float, n_items: int, method: str) -> Precision:
        return _of_share(accuracy, max(n_items * self.gold_share, 1.0), math.inf, 1.0, method)


def majority_accuracy(skill: float, n_labels: int) -> float:
    """Probability that most of `n_labels` independent labels on two classes are right, ties split.

    sum_{k > n/2} C(n, k) p^k (1 - p)^(n - k) + half of the tie (Condorcet 1785). One label gives the skill,
    and so do two.
    """
    if n_labels < 1:
        raise ConfigError("majority_accuracy", [f"n_labels is {n_labels}, expected 1 or more"])
    half = n_labels // 2
    above = float(bdtrc(half, n_labels, skill))
    if n_labels % 2:
        return above
    return above + float(bdtr(half, n_labels, skill) - bdtr(half - 1, n_labels, skill)) / 2


def _of_share(share: float, n_effective: float, freedom: float, effect: float, method: str) -> Precision:
    return Precision(
        value=share,
        error=math.sqrt(share * (1 - share) / n_effective),
        n_effective=n_effective,
        freedom=freedom,
        design_effect=effect,
        method=method,
    )


def _no_precision(reason: str) -> Precision:
    return Precision(
        value=None,
        error=math.inf,
        n_effective=None,
        freedom=1.0,
        design_effect=None,
        method="none",
        reason=reason,
    )


def _influence(rows: CountRows, level: Level) -> tuple[float, float] | None:
    """Alpha and the variance of an item's influence on it; None where alpha does not exist."""
    statistic = alpha_statistic(rows, np.arange(rows.counts.shape[1], dtype=np.float64), level=level)
    often = rows.units.multiplicity.astype(np.float64)
    value = float(statistic(often[None, :])[0, 0])
    if not np.isfinite(value):
        return None
    size = max(1, (1 << 21) // len(often))
    without = []
    for start in range(0, len(often), size):
        stop = min(start + size, len(often))
        weights = np.tile(often, (stop - start, 1))
        weights[np.arange(stop - start), np.arange(start, stop)] -= 1
        without.append(statistic(weights)[:, 0])
    influence = (often.sum() - 1) * (value - np.concatenate(without))
    variance = float(np.average((influence - np.average(influence, weights=often)) ** 2, weights=often))
    return (value, variance) if np.isfinite(variance) else None


def _is_independent(crowd: CrowdConfig) -> bool:
    plain = CrowdConfig()
    others = (entry.name for entry in fields(CrowdConfig) if entry.name not in INDEPENDENT_FIELDS)
    return all(getattr(crowd, name) == getattr(plain, name) for name in others)


def _simulate_accuracy(crowd: CrowdConfig, consensus: str, seed: int) -> float:
    """Mean share of items that are right over simulated crowds."""
    n_crowds = int(np.clip(MIN_CROWDS * LADDER[-1] // crowd.n_items, MIN_CROWDS, MAX_CROWDS))
    shares = []
    for i in range(n_crowds):
        drawn = simulate_labels(crowd, Streams(seed).child("accuracy", str(i)).value)
        table = tabulate_labels(drawn.columns)
        if consensus == "majority":
            beliefs = majority(table)
        else:
            evidence = gather_evidence(table)
            fit = fit_dawid_skene(evidence, DawidSkeneConfig(em=ROUGH_EM))
            posterior = evidence.posterior(fit.parameters.log_rates, fit.parameters.log_classes)
            is_top = posterior == posterior.max(axis=1, keepdims=True)
            beliefs = is_top / is_top.sum(axis=1, keepdims=True)
        is_truth = drawn.truth_index[:, None] == np.array(table.classes)
        shares.append(float((beliefs * is_truth).sum(axis=1).mean()))
    return float(np.mean(shares))
