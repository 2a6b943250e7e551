"""How accurate any model can be where people disagree: against a fresh judgment and against the majority.

Observed shares of few labels overstate agreement (two equal labels are not certainty), so
items' true shares are modeled as a Dirichlet. Leaves out that annotators differ, and ordinal or
numeric closeness: a class is hit or missed.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from accord.domain import Value
from accord.quality.agreement.coincidence import CountRows, rows_of_table
from accord.quality.agreement.dirichlet import (
    chance_of_largest,
    expected_entropy,
    expected_largest_share,
    fit_dirichlet,
)
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    Link,
    Statistic,
    abc_interval,
    bootstrap,
    number_clusters,
    replicate_weights,
)
from accord.quality.agreement.result import NOTHING_PAIRABLE, Agreement, no_agreement
from accord.quality.labels import LabelTable

METHODS = ("human_accuracy", "ceiling_fresh", "ceiling_nll", "ceiling_majority")
UNANIMOUS = "no interval: on every item all judgments agree"
MOST_COUNTS = 2000
"""Different class counts of an item up to which the majority ceiling is a sum over all of them."""
MAJORITY_DRAWS = 100_000
"""Simulated items behind it where there are more; its own error is below 0.0016."""
MAJORITY_FITS = 24
"""Resampled fits at which it is computed; between them it is interpolated."""


@dataclass(frozen=True, kw_only=True)
class TaskCeiling:
    """What the disagreement of the annotators allows."""

    human: Agreement
    """Probability that a judgment is the majority of the OTHERS on its item, a tie counting its share:
    what an average annotator would score; needs no model of the items."""
    fresh: Agreement
    """Accuracy against one fresh judgment of a model that knows every item's true shares: E[max_k p_k]."""
    nll: Agreement
    """Log-loss in nats of the same model, which gives the true shares: E[entropy], the noise floor."""
    majority: Agreement
    """Accuracy of the same model against the majority of as many judgments as the items have, ties
    settled at random."""
    concentrations: dict[Value, float]
    """Of the fitted Dirichlet; empty where there is none. Small: items are clear. Large: all are alike."""


def measure_ceiling(
    table: LabelTable,
    *,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> TaskCeiling:
    """Ceilings and floor of a task with classes, from items with two judgments or more.

    Total agreement gives 1, 1, 0 and 1 without intervals; no item with two judgments gives None with the
    reason. The interval of `human` is the bootstrap's; the modeled three have ABC's on the log-odds of
    their place between chance and certainty. For its own, `majority` is taken for a quadratic of `fresh` and
    `nll`, fitted to its values at a few resampled fits.
    """
    numbers = None if clusters is None else number_clusters(clusters, n_items=table.n_items)
    rows = rows_of_table(table, clusters=numbers).pairable
    if not rows.n_items:
        return _without_fit([no_agreement(method, NOTHING_PAIRABLE) for method in METHODS])
    is_split = rows.counts.max(axis=1).toarray().ravel() < rows.totals
    if not is_split.any():
        values = (1.0, 1.0, 0.0, 1.0)
        return _without_fit(
            [_found(rows, method, value, UNANIMOUS) for method, value in zip(METHODS, values, strict=True)]
        )
    statistic = ceiling_statistic(rows)
    fit = fit_dirichlet(rows, rows.units.multiplicity[None, :].astype(np.float64))[0]
    value = _majority_accuracy(rows, fit, config.seed)
    with_majority = _with_majority(rows, statistic, fit, value, config)
    human = bootstrap(_human_only(rows), rows.units, config=config, undefined=NOTHING_PAIRABLE)
    least = 1 / table.n_classes
    links = (Link(least, 1.0), Link(0.0, float(np.log(table.n_classes))), Link(least, 1.0))
    modeled = abc_interval(
        lambda weights: with_majority(weights)[:, 1:],
        rows.units,
        links=links,
        config=config,
        undefined=NOTHING_PAIRABLE,
    )
    estimates = [(human, 0), *((modeled, i) for i in range(3))]
    human_accuracy, fresh, nll, majority = (
        _found(rows, method, found.values[i], found.reasons[i], found.lows[i], found.highs[i])
        for method, (found, i) in zip(METHODS, estimates, strict=True)
    )
    return TaskCeiling(
        human=human_accuracy,
        fresh=fresh,
        nll=nll,
        majority=majority,
        concentrations=dict(zip(table.classes, fit.tolist(), strict=True)),
    )


def ceiling_statistic(rows: CountRows) -> Statistic:
    """Human accuracy, fresh ceiling and noise floor as a function of the weights of pairable rows."""
    hits = _others_majority(rows)
    is_split = rows.counts.max(axis=1).toarray().ravel() < rows.totals

    def statistic(weights: FloatArray) -> FloatArray:
        fit = fit_dirichlet(rows, weights)
        is_clear = weights @ is_split == 0
        fresh = np.where(is_clear, 1.0, expected_largest_share(fit))
        nll = np.where(is_clear, 0.0, expected_entropy(fit))
        return np.stack([weights @ hits / weights.sum(axis=1), fresh, nll], axis=1)

    return statistic


def _human_only(rows: CountRows) -> Statistic:
    hits = _others_majority(rows)

    def statistic(weights: FloatArray) -> FloatArray:
        return np.asarray(weights @ hits / weights.sum(axis=1))[:, None]

    return statistic


def _others_majority(rows: CountRows) -> FloatArray:
    """Probability that a random judgment on an item is the majority of the rest [row].

    Only of the one most common class can a judgment be taken away and still leave it in front; where
    it then is level with n others, it counts 1 / (n + 1).
    """
    counts = rows.counts.toarray()
    padded = np.pad(np.sort(counts, axis=1), ((0, 0), (1, 0)))
    top, second = padded[:, -1], padded[:, -2]
    level = (counts == second[:, None]).sum(axis=1)
    credit = np.where(top - 1 > second, 1.0, 1 / (1 + level))
    return np.asarray(np.where(top > second, top / rows.totals * credit, 0.0))


def _with_majority(
    rows: CountRows, statistic: Statistic, fit: FloatArray, value: float, config: BootstrapConfig
) -> Statistic:
    """The statistic with a fourth figure, which is `value` at the `fit` and a quadratic around it."""
    center = np.array([expected_largest_share(fit[None])[0], expected_entropy(fit[None])[0]])
    slopes: FloatArray = np.zeros(5)
    if config.replicates:
        few = BootstrapConfig(replicates=MAJORITY_FITS, seed=config.seed)
        weights = np.concatenate(list(replicate_weights(rows.units, few)))
        fits = fit_dirichlet(rows, weights)
        rises = [_majority_accuracy(rows, one, config.seed) - value for one in fits]
        terms = _quadratic(statistic(weights)[:, 1:] - center)
        slopes = np.asarray(np.linalg.lstsq(terms, rises, rcond=1e-6)[0])

    def extended(weights: FloatArray) -> FloatArray:
        figures = statistic(weights)
        shift = _quadratic(figures[:, 1:] - center) @ slopes
        return np.column_stack([figures, np.minimum(value + shift, 1.0)])

    return extended


def _quadratic(offsets: FloatArray) -> FloatArray:
    """[replicate, term] Both offsets, their squares and their product."""
    first, second = offsets.T
    return np.stack([first, second, first**2, second**2, first * second], axis=1)


def _majority_accuracy(rows: CountRows, concentrations: FloatArray, seed: int) -> float:
    """Chance that the likeliest class of an item is the majority of its judgments, ties at random.

    Simulated only where an item can have more than `MOST_COUNTS` different counts.
    """
    totals = np.repeat(rows.totals, rows.units.multiplicity).astype(np.int64)
    sizes, tally = np.unique(totals, return_counts=True)
    n_classes = len(concentrations)
    if sum(math.comb(int(size) + n_classes - 1, n_classes - 1) for size in sizes) > MOST_COUNTS:
        return _simulated_majority(sizes, tally, concentrations, seed)
    counts = np.concatenate([_all_counts(int(size), n_classes) for size in sizes])
    total = counts.sum(axis=1)
    chance = np.exp(
        gammaln(total + 1)
        - gammaln(counts + 1).sum(axis=1)
        + (gammaln(counts + concentrations) - gammaln(concentrations)).sum(axis=1)
        + gammaln(concentrations.sum())
        - gammaln(total + concentrations.sum())
    )
    is_top = counts == counts.max(axis=1, keepdims=True)
    # given its counts an item's shares are again a Dirichlet
    hit = (is_top * chance_of_largest(counts + concentrations)).sum(axis=1) / is_top.sum(axis=1)
    share = tally[np.searchsorted(sizes, total)] / tally.sum()
    return float((share * chance * hit).sum())


def _all_counts(n_judgments: int, n_classes: int) -> FloatArray:
    """Every way to spread judgments over classes [way, class]."""
    places = n_judgments + n_classes - 1
    bars = np.array(list(itertools.combinations(range(places), n_classes - 1))).reshape(-1, n_classes - 1)
    ends = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, places)))
    return np.asarray(np.diff(ends, axis=1) - 1, dtype=np.float64)


def _simulated_majority(
    sizes: NDArray[np.int64], tally: NDArray[np.int64], concentrations: FloatArray, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    n_judgments = rng.choice(sizes, size=MAJORITY_DRAWS, p=tally / tally.sum())
    parts = rng.dirichlet(concentrations, size=MAJORITY_DRAWS)
    counts = rng.multinomial(n_judgments, parts)
    top = counts.max(axis=1)
    is_hit = counts[np.arange(MAJORITY_DRAWS), parts.argmax(axis=1)] == top
    return float((is_hit / (counts == top[:, None]).sum(axis=1)).mean())


def _found(
    rows: CountRows,
    method: str,
    value: float | None,
    reason: str | None,
    low: float | None = None,
    high: float | None = None,
) -> Agreement:
    return Agreement(
        value=value,
        low=low,
        high=high,
        n_items=rows.n_items,
        n_ratings=rows.n_ratings,
        method=method,
        reason=reason,
    )


def _without_fit(found: Sequence[Agreement]) -> TaskCeiling:
    human, fresh, nll, majority = found
    return TaskCeiling(human=human, fresh=fresh, nll=nll, majority=majority, concentrations={})
