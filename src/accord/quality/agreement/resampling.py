"""Bootstrap over items or clusters of items for statistics that are functions of weighted rows.

A statistic is a function of a weight a row; the bootstrap calls it with many weight vectors at
once. Rows that are alike are drawn together: the number of times any of `multiplicity` like
items is drawn is multinomial, so a hundred thousand items with six distinct rows cost six numbers
a replicate. Leaves out resampling of annotators: intervals speak of new items judged by the same
annotators.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri, stdtrit

from accord.domain import ConfigError, DataError

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""Weights [replicate, row] -> values [replicate, value]; NaN where a replicate has no value."""

CHUNK_CELLS = 1 << 21
"""Weights held at a time: 16 MB of float64."""
MIN_DEFINED_SHARE = 0.9
"""Of the replicates; where fewer have a value, quantiles of the rest would be a biased interval."""
JACKKNIFE_CELLS = 1 << 22
"""Weights [unit, row] that leaving out each unit may take."""
MIN_STRETCH = 0.1
"""Floor of 1 - acceleration * quantile, which a wild acceleration of very few units could turn around."""


@dataclass(frozen=True, kw_only=True)
class BootstrapConfig:
    """How intervals are made."""

    replicates: int = 1000
    """Resamples; 0 gives no interval."""
    confidence: float = 0.95
    """Of the two-sided interval."""
    seed: int = 0
    """Of the resampling; the same seed and data give the same interval."""

    def __post_init__(self) -> None:
        problems = []
        if self.replicates < 0:
            problems.append(f"replicates is {self.replicates}, expected 0 or more")
        if not 0 < self.confidence < 1:
            problems.append(f"confidence is {self.confidence}, expected a share between 0 and 1")
        if problems:
            raise ConfigError("bootstrap", problems)


@dataclass(frozen=True)
class Link:
    """Takes a value between two bounds to the whole line: log-odds of its place between them."""

    least: float
    most: float

    def apply(self, value: FloatArray) -> FloatArray:
        """The log-odds; infinite at a bound."""
        return np.asarray(logit((value - self.least) / (self.most - self.least)))

    def invert(self, value: FloatArray) -> FloatArray:
        """Back between the bounds."""
        return np.asarray(self.least + (self.most - self.least) * expit(value))


DEFAULT_BOOTSTRAP = BootstrapConfig()


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn with replacement: `multiplicity` items behind each row, or whole clusters of rows."""

    multiplicity: NDArray[np.int64]
    """[row] Items that look like this row."""
    cluster_of_row: NDArray[np.int64] | None = None
    """[row] Rows of one cluster are drawn together; numbered from 0 without gaps."""

    @property
    def n_units(self) -> int:
        """How many units there are: clusters, else items."""
        if self.cluster_of_row is not None:
            return int(self.cluster_of_row.max(initial=-1)) + 1
        return int(self.multiplicity.sum())

    @property
    def noun(self) -> str:
        """What a unit is called in a reason."""
        return "items" if self.cluster_of_row is None else "clusters"


@dataclass(frozen=True, eq=False)
class Resampled:
    """Point values and their intervals; None where one does not exist, with the reason."""

    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    reasons: tuple[str | None, ...]


def number_clusters(clusters: Sequence[Any], *, n_items: int) -> NDArray[np.int64]:
    """Cluster names [item], in the order of the table's items, as numbers without gaps."""
    if len(clusters) != n_items:
        raise DataError(
            f"{len(clusters)} clusters for {n_items} items; expected one entry an item, "
            f"in the order of the table's items"
        )
    names: dict[Any, int] = {}
    return np.array([names.setdefault(name, len(names)) for name in clusters], dtype=np.int64)


def bootstrap(statistic: Statistic, units: Units, *, config: BootstrapConfig, undefined: str) -> Resampled:
    """Values on the data as they are, and bootstrap intervals over resampled units.

    The levels of the quantiles are corrected for bias and acceleration (BCa, Efron 1987) with the
    jackknife over units, and expanded for few units (Hesterberg 2015, section 5.4: Student's t, and the
    standard deviation's n / (n - 1)). Without both, nominal 95 % intervals of alpha cover 93 % at a hundred
    items. Where the jackknife would take more than `JACKKNIFE_CELLS` weights, which is at two thousand
    distinct units, acceleration and bias are a hundredth of the width, and the interval is the expanded
    percentile one.

    Replicates without a value are left out; there is no interval where more than a tenth are, where
    there are fewer than two units, or where all replicates are equal, for then resampling has nothing
    to say. `undefined` is the reason given for a value that is NaN.
    """
    points = statistic(units.multiplicity[None, :].astype(np.float64))[0]
    if config.replicates and units.n_units >= 2:
        chunks = [statistic(weights) for weights in replicate_weights(units, config)]
        replicates = np.concatenate(chunks)
        accelerations = _accelerations(statistic, units)
    else:
        replicates = np.full((0, len(points)), np.nan)
        accelerations = None
    results: list[tuple[float | None, float | None, float | None, str | None]] = []
    for i, point in enumerate(points):
        reason = _why_no_interval(float(point), replicates[:, i], units, config, undefined)
        if reason is not None:
            results.append((float(point) if np.isfinite(point) else None, None, None, reason))
            continue
        acceleration = None if accelerations is None else float(accelerations[i])
        low, high = _quantiles(float(point), replicates[:, i], units.n_units, acceleration, config)
        results.append((float(point), low, high, None))
    values, lows, highs, reasons = zip(*results, strict=True)
    return Resampled(values=values, lows=lows, highs=highs, reasons=reasons)


def abc_interval(
    statistic: Statistic, units: Units, *, links: Sequence[Link], config: BootstrapConfig, undefined: str
) -> Resampled:
    """Values on the data as they are, and ABC intervals on the scale of each value's link.

    For smooth statistics between bounds at few units, where the quantiles of the bootstrap are short by a
    point or two of coverage, and intervals that are symmetric about the point are missed on one side. ABC
    (DiCiccio and Efron 1992, section 4) corrects the standard error for its change along the statistic, the
    center for bias, and both for curvature. Departures: Student's t with n - 1 degrees of freedom, n / (n-1)
    in the variance, differences of one whole unit for derivatives, and (exp(2 c s) - 1) / 2c for s + c s^2,
    which is the same to the second order and does not turn back far out. Where leaving each unit out would
    take more than `JACKKNIFE_CELLS` weights, the error is the spread of the replicates, and nothing is
    corrected. None where `bootstrap` has none.
    """
    full = units.multiplicity.astype(np.float64)
    points = statistic(full[None, :])[0]

    def linked(weights: FloatArray) -> FloatArray:
        values = statistic(weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            places = np.stack([link.apply(values[:, i]) for i, link in enumerate(links)], axis=1)
        return np.where(np.isfinite(places), places, np.nan)  # at its bound a value has no place on the line

    shape, quantile = Shape(np.full(len(points), np.nan)), np.nan
    if config.replicates and units.n_units >= 2:
        shape = _shape_of_each(linked, units) or _spread(linked, units, config)
        quantile = float(stdtrit(units.n_units - 1, (1 + config.confidence) / 2))
    ends = linked(full[None, :]) + np.stack([shape.steps(-quantile), shape.steps(quantile)])
    results: list[tuple[float | None, float | None, float | None, str | None]] = []
    for i, point in enumerate(points.tolist()):
        reason = _why_no_abc(point, float(shape.errors[i]), units, config, undefined)
        if reason is not None:
            results.append((point if np.isfinite(point) else None, None, None, reason))
            continue
        low, high = (float(links[i].invert(end)) for end in ends[:, i])
        results.append((point, low, high, None))
    values, lows, highs, reasons = zip(*results, strict=True)
    return Resampled(values=values, lows=lows, highs=highs, reasons=reasons)


@dataclass(frozen=True, eq=False)
class Shape:
    """How far a statistic's distribution is from a normal one, to the second order; 0 where not known."""

    errors: FloatArray
    """[value] Standard errors."""
    accelerations: FloatArray | float = 0.0
    """[value] A sixth of the skewness of the units' influences."""
    curvatures: FloatArray | float = 0.0
    """[value] Half the second derivative along all influences, in standard errors."""
    shifts: FloatArray | float = 0.0
    """[value] z0, the bias correction."""

    def steps(self, quantile: float) -> FloatArray:
        """[value] From the point to the end of the interval at a standard quantile."""
        moved = self.shifts + quantile
        step = moved / np.maximum(1 - self.accelerations * moved, MIN_STRETCH) ** 2
        bend = 2 * np.asarray(self.curvatures)
        safe = np.where(np.abs(bend) < 1e-9, 1.0, bend)
        return self.errors * np.where(safe == bend, np.expm1(bend * step) / safe, step)


def _shape_of_each(statistic: Statistic, units: Units) -> Shape | None:
    """From leaving each unit out, counting it twice, and half a step each way along all influences.

    None where that would be too dear.
    """
    left_out, doubled = _values_each(statistic, units, -1.0), _values_each(statistic, units, 1.0)
    if left_out is None or doubled is None:
        return None
    n_units, full = units.n_units, units.multiplicity.astype(np.float64)
    kinds, often, less = left_out
    more, middle = doubled[2], statistic(full[None, :])[0]
    influences = (more - less) / 2 * (1 - 1 / n_units**2)  # exact for a mean
    influences = influences - (often * influences).sum(axis=0) / n_units
    squares = (often * influences**2).sum(axis=0)
    roots = np.where(squares > 0, np.sqrt(squares), np.nan)
    along = np.zeros((len(full) if units.cluster_of_row is None else n_units, len(middle)))
    along[kinds] = np.nan_to_num(influences / roots)
    rows = (along if units.cluster_of_row is None else along[units.cluster_of_row]).T
    sides = [np.diagonal(statistic(full * (1 + side * rows))) for side in (-0.5, 0.5)]
    curvatures = np.nan_to_num((sides[0] + sides[1] - 2 * middle) / (2 * roots * 0.25))
    accelerations = np.nan_to_num((often * influences**3).sum(axis=0) / (6 * roots**3))
    bias = (often * (more + less - 2 * middle)).sum(axis=0) / 2
    shifts = accelerations - np.nan_to_num(bias / roots) + curvatures
    return Shape(np.sqrt(squares * n_units / (n_units - 1)), accelerations, curvatures, shifts)


def _spread(statistic: Statistic, units: Units, config: BootstrapConfig) -> Shape:
    """Standard errors alone, from resampling; NaN where too few replicates have a value."""
    replicates = np.concatenate([statistic(weights) for weights in replicate_weights(units, config)])
    errors = np.full(replicates.shape[1], np.nan)
    for i, column in enumerate(replicates.T):
        defined = column[np.isfinite(column)]
        if len(defined) >= MIN_DEFINED_SHARE * len(column):
            errors[i] = defined.std(ddof=1) * np.sqrt(units.n_units / (units.n_units - 1))
    return Shape(errors)


def replicate_weights(units: Units, config: BootstrapConfig) -> Iterator[FloatArray]:
    """Weights [replicate, row] of a chunk of replicates at a time."""
    rng = np.random.default_rng(config.seed)
    n_units = units.n_units
    multiplicity = units.multiplicity if units.cluster_of_row is None else np.ones(n_units, dtype=np.int64)
    are_single = len(multiplicity) == n_units
    size = max(1, CHUNK_CELLS // max(1, len(units.multiplicity)))
    for start in range(0, config.replicates, size):
        count = min(size, config.replicates - start)
        if are_single:
            draws = (rng.integers(0, n_units, n_units) for _ in range(count))
            weights = np.stack([np.bincount(draw, minlength=n_units) for draw in draws])
        else:
            weights = rng.multinomial(n_units, multiplicity / n_units, size=count)
        if units.cluster_of_row is not None:
            weights = weights[:, units.cluster_of_row] * units.multiplicity
        yield weights.astype(np.float64)


def quantile_levels(
    n_units: float, confidence: float, *, bias: float = 0.0, acceleration: float = 0.0
) -> tuple[float, float]:
    """Levels of the bootstrap distribution between which a two-sided interval lies; n_units >= 2.

    `bias` is the normal quantile of the share of replicates below the point value.
    """
    reach = -float(stdtrit(n_units - 1, (1 - confidence) / 2)) * np.sqrt(n_units / (n_units - 1))
    shifted = bias + np.array([-reach, reach])
    low, high = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, MIN_STRETCH))
    return float(low), float(high)


def _quantiles(
    point: float, replicates: FloatArray, n_units: int, acceleration: float | None, config: BootstrapConfig
) -> tuple[float, float]:
    defined = replicates[np.isfinite(replicates)]
    if acceleration is None:
        levels = quantile_levels(n_units, config.confidence)
    else:
        below = ((defined < point).sum() + 0.5 * (defined == point).sum()) / len(defined)
        edge = 1 / (len(defined) + 1)
        bias = float(ndtri(np.clip(below, edge, 1 - edge)))
        levels = quantile_levels(n_units, config.confidence, bias=bias, acceleration=acceleration)
    low, high = np.quantile(defined, levels)
    return float(low), float(high)


def _accelerations(statistic: Statistic, units: Units) -> FloatArray | None:
    """sum d^3 / (6 (sum d^2)^1.5) [value] with d the mean less the value without one unit; None if too dear.

    A value that does not exist without some unit has acceleration 0.
    """
    left_out = _values_each(statistic, units, -1.0)
    if left_out is None:
        return None
    _, often, values = left_out
    shift = (often * values).sum(axis=0) / often.sum() - values
    second, third = (often * shift**2).sum(axis=0), (often * shift**3).sum(axis=0)
    is_defined = np.isfinite(second) & (second > 0)
    safe = np.where(is_defined, second, 1.0)
    return np.where(is_defined, np.nan_to_num(third) / (6 * safe**1.5), 0.0)


def _values_each(
    statistic: Statistic, units: Units, step: float
) -> tuple[NDArray[np.int64], FloatArray, FloatArray] | None:
    """Kinds of units that are there, how often [kind, 1], and the values with `step` more of one unit of
    the kind [kind, value]: -1 leaves it out.

    None where it takes more than `JACKKNIFE_CELLS` weights.
    """
    clusters, full = units.cluster_of_row, units.multiplicity.astype(np.float64)
    n_kinds = len(full) if clusters is None else units.n_units
    if n_kinds * len(full) > JACKKNIFE_CELLS:
        return None
    added = np.eye(n_kinds) if clusters is None else np.eye(n_kinds)[:, clusters] * full
    (kinds,) = np.nonzero((full - added).any(axis=1))
    often = (full if clusters is None else np.ones(n_kinds))[kinds, None]
    return kinds, often, statistic((full + step * added)[kinds])


def _why_no_abc(
    point: float, error: float, units: Units, config: BootstrapConfig, undefined: str
) -> str | None:
    reason = _why_nothing_to_resample(point, units, config, undefined)
    if reason is not None:
        return reason
    if not np.isfinite(error):
        return f"no interval: without some of the {units.noun} the value is at its bound"
    return _all_alike(units) if error == 0 else None


def _why_no_interval(
    point: float, replicates: FloatArray, units: Units, config: BootstrapConfig, undefined: str
) -> str | None:
    reason = _why_nothing_to_resample(point, units, config, undefined)
    if reason is not None:
        return reason
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < MIN_DEFINED_SHARE * len(replicates):
        return f"no interval: {len(replicates) - len(defined)} of {len(replicates)} resamples have no value"
    return _all_alike(units) if np.ptp(defined) <= 1e-12 * max(1.0, abs(point)) else None


def _why_nothing_to_resample(
    point: float, units: Units, config: BootstrapConfig, undefined: str
) -> str | None:
    if not np.isfinite(point):
        return undefined
    if not config.replicates:
        return "no interval was asked for (0 replicates)"
    if units.n_units < 2:
        return f"no interval: {units.n_units} of the {units.noun} that are drawn, needs 2"
    return None


def _all_alike(units: Units) -> str:
    return f"no interval: every resample of the {units.noun} gives the same value"
