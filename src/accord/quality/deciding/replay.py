"""What accuracy would have cost: labels that were given are given again, as far as a rule would have asked.

A log is replayed in waves: in each, every open item gets its next label, the model is fitted to all labels
so far, and items whose posterior passes the threshold are closed. That is how labels are bought
from a crowd, and it needs a fit a wave instead of one a label. The last fit, to all labels
bought, gives the labels that are scored. Leaves out whom to ask: the log says who answered.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from accord.domain import ConfigError, DataError, Streams, Value
from accord.quality.consensus.dawid_skene import DawidSkeneConfig, fit_dawid_skene
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.deciding.stop_calibration import (
    StopCalibrationConfig,
    StopCalibrator,
    fit_stop_calibrator,
)
from accord.quality.labels import LabelTable

WAVE_STEPS = 16
"""EM iterations a wave. Fewer leave rates that few labels could not support nearer to the shared ones; on the
sets of people's labels stopping is no better with more."""
PosteriorModel = Callable[[LabelTable], NDArray[np.float64]]
"""A table of labels -> posterior [item, class]."""


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """Which rules are tried, and how often."""

    epsilons: tuple[float, ...] = (0.1, 0.05, 0.02, 0.01)
    """Rules: an item is closed when its highest posterior probability reaches 1 - epsilon."""
    min_labels: int = 2
    """Labels before an item may be closed."""
    max_labels: int | None = None
    """Labels after which an item is asked no more; None is as many as the log has."""
    order: Literal["random", "time"] = "random"
    """How an item's labels follow each other; `time` needs timestamps."""
    n_orders: int = 4
    """Random orders averaged over; in the order of time there is one."""
    n_fit: int = 0
    """Gold items drawn to fit the calibrator and left out of every score; 0 leaves it out: uncalibrated.
    To keep an epsilon takes about 4 / epsilon of them: so rare an error is not learned from fewer."""
    calibration: StopCalibrationConfig = field(default_factory=StopCalibrationConfig)
    """Of the calibrator."""
    n_parts: int = 20
    """Parts of the items, each left out of a replay of its own and taken twice in another, for the intervals,
    which speak of other items judged by the same annotators; 0 gives none in a fortieth of the time."""
    confidence: float = 0.95
    """Of the intervals."""

    def __post_init__(self) -> None:
        problems = []
        if not self.epsilons or any(not 0 < epsilon < 1 for epsilon in self.epsilons):
            problems.append(f"epsilons is {self.epsilons}, expected one or more above 0 and below 1")
        if self.min_labels < 1 or (self.max_labels is not None and self.max_labels < self.min_labels):
            problems.append(
                f"min_labels is {self.min_labels} and max_labels {self.max_labels}, expected 1 <= min <= max"
            )
        if self.order not in ("random", "time"):
            problems.append(f"order is {self.order!r}, expected random or time")
        if self.n_orders < 1:
            problems.append(f"n_orders is {self.n_orders}, expected 1 or more")
        if self.n_parts < 0:
            problems.append(f"n_parts is {self.n_parts}, expected 0 or more")
        if not 0 < self.confidence < 1:
            problems.append(f"confidence is {self.confidence}, expected a share between 0 and 1")
        if self.n_fit < 0:
            problems.append(f"n_fit is {self.n_fit}, expected 0 or more")
        if problems:
            raise ConfigError("ReplayConfig", problems)


@dataclass(frozen=True)
class Figure:
    """A number with its interval; None where there is none, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class CurvePoint:
    """What one rule costs and brings, mean over the orders."""

    rule: str
    """`stop` at an epsilon, or `fixed` number of labels an item."""
    epsilon: float | None
    """Of a stopping rule, else None."""
    n_fixed: int | None
    """Labels an item of a fixed rule, or all where an item has fewer; else None."""
    labels_per_item: Figure
    accuracy: Figure
    """Of the most probable class of all scored items; equally probable classes share the credit."""
    majority_accuracy: Figure
    """Of the most frequent class among the same labels; equally frequent classes share the credit."""
    accepted_share: Figure
    """Scored items closed by the rule."""
    adjudicated_share: Figure
    """The rest: still open after their last label, they go to somebody who decides."""
    error_of_accepted: Figure
    """Wrong among the closed: what epsilon promises to bound if the posterior is calibrated."""


@dataclass(frozen=True)
class CostQualityCurve:
    """Points of all rules, the fixed ones for comparison."""

    points: tuple[CurvePoint, ...]
    """By epsilon, the widest first."""
    fixed: tuple[CurvePoint, ...]
    """By number of labels."""
    n_items: int
    n_scored: int
    """Items with gold that was not used for fitting."""
    n_orders: int
    is_calibrated: bool
    calibrators: tuple[StopCalibrator, ...]
    """One an order; empty where uncalibrated."""

    def cheapest(self, accuracy: float) -> CurvePoint | None:
        """The stopping rule of fewest labels whose accuracy is at least this; None where none has it."""
        good = [point for point in self.points if (point.accuracy.value or 0.0) >= accuracy]
        return min(good, key=lambda point: point.labels_per_item.value or 0.0, default=None)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Of one rule, mean over the orders, an entry an item."""

    labels: NDArray[np.float64]
    credit: NDArray[np.float64]
    majority: NDArray[np.float64]
    accepted: NDArray[np.float64]
    adjudicated: NDArray[np.float64]
    wrong: NDArray[np.float64]
    """Accepted and wrong."""


_COLUMNS = tuple(each.name for each in fields(_Outcome))


def replay_curve(
    table: LabelTable,
    gold: Mapping[Any, Value],
    config: ReplayConfig | None = None,
    *,
    timestamps: Sequence[float] | None = None,
    model: PosteriorModel | None = None,
    seed: int = 0,
) -> CostQualityCurve:
    """Cost against quality of stopping rules and of fixed numbers of labels, on the same orders.

    `gold` maps items to their true class; items not in the table are ignored. `timestamps` [row] are in the
    order of the columns the table was made of. `model` is by default `pooled_posterior`. With `n_fit` the
    calibrator sees the gold of the drawn items and the labels of all.
    """
    config = config or ReplayConfig()
    model = model or pooled_posterior
    truth = _truth(table, gold)
    fitted, scored = _divide_gold(truth, config, seed)
    ranks = list(_ranks(table, config, timestamps, seed))
    outcomes, calibrators = _replay(table, ranks, truth, fitted, config, model)
    values = _figures(outcomes, list(outcomes), scored)
    parts = _changes_by_part(table, ranks, truth, (fitted, scored), list(outcomes), config, model, seed)
    points = _points(list(outcomes), values, parts, config)
    return CostQualityCurve(
        points=tuple(point for point in points if point.rule == "stop"),
        fixed=tuple(point for point in points if point.rule == "fixed"),
        n_items=table.n_items,
        n_scored=len(scored),
        n_orders=len(ranks),
        is_calibrated=bool(config.n_fit),
        calibrators=tuple(calibrators),
    )


def _replay(
    table: LabelTable,
    ranks: Sequence[NDArray[np.int64]],
    truth: NDArray[np.int64],
    fitted: NDArray[np.int64],
    config: ReplayConfig,
    model: PosteriorModel,
) -> tuple[dict[tuple[str, float], _Outcome], list[StopCalibrator]]:
    """All rules on all orders, mean over the orders, and the calibrators, one an order."""
    outcomes: dict[tuple[str, float], list[_Outcome]] = {}
    calibrators = []
    for rank in ranks:
        states = _fixed_states(table, rank, config, model)
        for n, (posterior, counts) in states.items():
            outcome = _outcome(posterior, counts, np.ones(table.n_items, dtype=bool), truth)
            outcomes.setdefault(("fixed", n), []).append(outcome)
        calibrator = None
        if config.n_fit:
            seen = [(posterior[fitted], counts[fitted]) for posterior, counts in states.values()]
            calibrator = fit_stop_calibrator(seen, truth[fitted], config.calibration)
            calibrators.append(calibrator)
        for epsilon in sorted(config.epsilons, reverse=True):
            outcome = _stop(table, rank, epsilon, config, model, calibrator, truth)
            outcomes.setdefault(("stop", epsilon), []).append(outcome)
    return {rule: _mean(each) for rule, each in outcomes.items()}, calibrators


def _changes_by_part(
    table: LabelTable,
    ranks: Sequence[NDArray[np.int64]],
    truth: NDArray[np.int64],
    divided: tuple[NDArray[np.int64], NDArray[np.int64]],
    rules: Sequence[tuple[str, float]],
    config: ReplayConfig,
    model: PosteriorModel,
    seed: int,
) -> NDArray[np.float64] | None:
    """Half the difference of leaving each part of the items out of the whole replay and taking it twice
    [part, figure]; None where not asked for."""
    n_parts = min(config.n_parts, len(divided[1]))
    if n_parts < 2:
        return None
    generator = np.random.default_rng(Streams(seed).child("replay", "parts").value)
    part = np.empty(table.n_items, dtype=np.int64)
    for items in (*divided, np.flatnonzero(truth < 0)):
        part[items] = generator.permutation(np.arange(len(items)) % n_parts)
    is_fitted = np.isin(np.arange(table.n_items), divided[0])
    is_scored = np.isin(np.arange(table.n_items), divided[1])

    def figures(items: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn, labels = table.draw(items)
        fitted, scored = np.flatnonzero(is_fitted[items]), np.flatnonzero(is_scored[items])
        outcomes, _ = _replay(drawn, [rank[labels] for rank in ranks], truth[items], fitted, config, model)
        return _figures(outcomes, rules, scored)

    every = np.arange(table.n_items)
    changes = []
    for one in range(n_parts):
        is_in = part == one
        changes.append((figures(every[~is_in]) - figures(np.concatenate([every, every[is_in]]))) / 2)
    return np.array(changes)


def pooled_posterior(table: LabelTable) -> NDArray[np.float64]:
    """[item, class] Of the pooled Dawid-Skene, which knows how much to trust annotators of few labels.

    It starts from four imagined right labels to one wrong. One class is certain.
    """
    if table.n_classes == 1:
        return np.ones((table.n_items, 1))
    em = EMConfig(max_iterations=WAVE_STEPS)
    config = DawidSkeneConfig(estimate="pooled", right_count=4.0, start="vote", em=em)
    evidence = gather_evidence(table)
    parameters = fit_dawid_skene(evidence, config).parameters
    return evidence.posterior(parameters.log_rates, parameters.log_classes)


def fixed_numbers(least: int, most: int) -> list[int]:
    """Numbers of labels an item from least to most: each up to 10, then in steps of a quarter."""
    numbers = [least]
    while numbers[-1] < most:
        numbers.append(
            min(
                most,
                max(numbers[-1] + 1, round(1.25 * numbers[-1])) if numbers[-1] >= 10 else numbers[-1] + 1,
            )
        )
    return numbers


def _truth(table: LabelTable, gold: Mapping[Any, Value]) -> NDArray[np.int64]:
    """[item] Class numbers, -1 without gold; a class that nobody gave raises."""
    number = {value: place for place, value in enumerate(table.classes)}
    unknown = sorted({str(value) for value in gold.values() if value not in number})
    if unknown:
        raise DataError(
            f"gold has the value {unknown[0]!r}, expected one of the {len(number)} values of the labels; "
            "give the classes when tabulating the labels if nobody gave this one"
        )
    truth = np.array(
        [number[gold[item]] if item in gold else -1 for item in table.items.tolist()], dtype=np.int64
    )
    if not (truth >= 0).any():
        raise DataError(
            f"none of the {len(gold)} gold items is among the {table.n_items} labeled; compare ids"
        )
    return truth


def _divide_gold(
    truth: NDArray[np.int64], config: ReplayConfig, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    known = np.flatnonzero(truth >= 0)
    if config.n_fit >= len(known):
        raise DataError(
            f"n_fit is {config.n_fit} of {len(known)} gold items; expected fewer, to score the rest"
        )
    shuffled = np.random.default_rng(Streams(seed).child("replay", "gold").value).permutation(known)
    return np.sort(shuffled[: config.n_fit]), np.sort(shuffled[config.n_fit :])


def _ranks(
    table: LabelTable, config: ReplayConfig, timestamps: Sequence[float] | None, seed: int
) -> Iterator[NDArray[np.int64]]:
    """[label] The place of each label among its item's, from 0, in each order."""
    keys = []
    if config.order == "time":
        if timestamps is None:
            raise DataError("replay in the order of time needs timestamps; give them or use order='random'")
        keys.append(np.asarray(timestamps, dtype=np.float64)[table.rows])
    else:
        for k in range(config.n_orders):
            generator = np.random.default_rng(Streams(seed).child("replay", "order", k).value)
            keys.append(generator.random(table.n_labels))
    for key in keys:
        order = np.lexsort((key, table.item_index))
        rank = np.empty(table.n_labels, dtype=np.int64)
        rank[order] = np.arange(table.n_labels) - np.repeat(table.item_starts[:-1], table.labels_per_item)
        yield rank


def _most(table: LabelTable, config: ReplayConfig) -> int:
    most = int(table.labels_per_item.max())
    return most if config.max_labels is None else min(most, config.max_labels)


def _fixed_states(
    table: LabelTable, rank: NDArray[np.int64], config: ReplayConfig, model: PosteriorModel
) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Posterior and votes [item, class] at each fixed number of labels."""
    states = {}
    for n in fixed_numbers(min(config.min_labels, _most(table, config)), _most(table, config)):
        seen = table.select(rank < n)
        states[n] = (model(seen), seen.counts.astype(np.float64))
    return states


def _stop(
    table: LabelTable,
    rank: NDArray[np.int64],
    epsilon: float,
    config: ReplayConfig,
    model: PosteriorModel,
    calibrator: StopCalibrator | None,
    truth: NDArray[np.int64],
) -> _Outcome:
    """Waves until every item is closed or has no more labels."""
    is_open = np.ones(table.n_items, dtype=bool)
    is_seen = np.zeros(table.n_labels, dtype=bool)
    most = _most(table, config)
    for n in range(1, most + 1):
        asked = is_open[table.item_index] & (rank == n - 1)
        is_seen |= asked
        if n < min(config.min_labels, most) or not asked.any():
            continue
        seen = table.select(is_seen)
        counts = seen.counts.astype(np.float64)
        posterior = model(seen)
        if calibrator is not None:
            posterior = calibrator.apply(posterior, counts)
        has_enough = counts.sum(axis=1) >= config.min_labels
        is_open &= ~(has_enough & (1 - posterior.max(axis=1) <= epsilon))
    return _outcome(posterior, counts, ~is_open, truth)


def _outcome(
    posterior: NDArray[np.float64],
    counts: NDArray[np.float64],
    accepted: NDArray[np.bool_],
    truth: NDArray[np.int64],
) -> _Outcome:
    credit = _credit(posterior, truth)
    return _Outcome(
        labels=counts.sum(axis=1),
        credit=credit,
        majority=_credit(counts, truth),
        accepted=accepted.astype(np.float64),
        adjudicated=(~accepted).astype(np.float64),
        wrong=accepted * (1 - credit),
    )


def _credit(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """[item] 1 where the true class alone is highest, a share where others are as high."""
    is_top = scores == scores.max(axis=1, keepdims=True)
    return np.asarray(is_top[np.arange(len(truth)), truth] / is_top.sum(axis=1), dtype=np.float64)


def _mean(outcomes: list[_Outcome]) -> _Outcome:
    return _Outcome(*(np.mean([getattr(each, name) for each in outcomes], axis=0) for name in _COLUMNS))


def _figures(
    outcomes: Mapping[tuple[str, float], _Outcome],
    rules: Sequence[tuple[str, float]],
    scored: NDArray[np.int64],
) -> NDArray[np.float64]:
    """[figure] Of all rules one after the other; NaN where a rule was not replayed, or accepts nothing."""
    figures = []
    for rule in rules:
        values = np.full(len(_COLUMNS), np.nan)
        if rule in outcomes:
            values = np.array([getattr(outcomes[rule], name)[scored].mean() for name in _COLUMNS])
            accepted = values[_COLUMNS.index("accepted")]
            values[-1] = values[-1] / accepted if accepted > 0 else np.nan
        figures.append(values)
    return np.concatenate(figures)


def _points(
    rules: Sequence[tuple[str, float]],
    values: NDArray[np.float64],
    parts: NDArray[np.float64] | None,
    config: ReplayConfig,
) -> list[CurvePoint]:
    """Figures with Student's interval of the jackknife over parts (Efron and Tibshirani 1993, chapter 11).

    Each part is left out of the whole replay, model and calibrator included: what they do not know of the
    annotators moves all items at once, which resampling of scored items alone would not show. Leaving out
    alone gives too much, by the curvature of a model that fewer items also teach less (Efron and Stein 1981);
    half the difference of leaving out and taking twice does not.
    """
    width = len(_COLUMNS)
    figures = []
    for i, value in enumerate(values.tolist()):
        most = np.inf if i % width == _COLUMNS.index("labels") else 1.0
        figures.append(_interval(value, None if parts is None else parts[:, i], most, config))
    return [
        CurvePoint(
            rule,
            None if rule == "fixed" else number,
            int(number) if rule == "fixed" else None,
            *figures[width * place : width * (place + 1)],
        )
        for place, (rule, number) in enumerate(rules)
    ]


def _interval(value: float, changes: NDArray[np.float64] | None, most: float, config: ReplayConfig) -> Figure:
    """Left out, one of G parts moves a mean by 1 / (G - 1) of what sets it apart; twice, by 1 / (G + 1)."""
    if not np.isfinite(value):
        return Figure(None, None, None, "the rule accepts no item")
    if changes is None:
        return Figure(value, None, None, "no interval: it takes two parts of items to leave out")
    if not np.isfinite(changes).all():
        return Figure(value, None, None, "no interval: without some items the rule accepts none")
    n_parts = len(changes)
    scale = (n_parts - 1) ** 2 * (n_parts + 1) ** 2 / n_parts**3
    error = float(np.sqrt(scale * changes.var(ddof=1)))
    if error == 0:
        return Figure(value, None, None, "no interval: it is the same without any part of the items")
    reach = error * float(stdtrit(n_parts - 1, (1 + config.confidence) / 2))
    return Figure(value, max(0.0, value - reach), min(most, value + reach))
