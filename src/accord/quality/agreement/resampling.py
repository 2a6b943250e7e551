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
from scipy.special import ndtr, stdtrit

from accord.domain import ConfigError, DataError

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""Weights [replicate, row] -> values [replicate, value]; NaN where a replicate has no value."""

CHUNK_CELLS = 1 << 21
"""Weights held at a time: 16 MB of float64."""
MIN_DEFINED_SHARE = 0.9
"""Of the replicates; where fewer have a value, quantiles of the rest would be a biased interval."""


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
    """Values on the data as they are, and percentile intervals over resampled units.

    The percentile interval is expanded for few units (Hesterberg 2015, section 5.4: the levels
    are those of Student's t with the standard deviation's n / (n - 1)), which mends most of its
    undercoverage below a hundred units and changes nothing above a thousand. Replicates without a value are
    left out; there is no interval where more than a tenth are, where there are fewer than two units,
    or where all replicates are equal, for then resampling has nothing to say. `undefined` is the
    reason given for a value that is NaN.
    """
    points = statistic(units.multiplicity[None, :].astype(np.float64))[0]
    if config.replicates and units.n_units >= 2:
        chunks = [statistic(weights) for weights in replicate_weights(units, config)]
        replicates = np.concatenate(chunks)
    else:
        replicates = np.full((0, len(points)), np.nan)
    results = [
        _interval(float(point), replicates[:, i], units, config, undefined) for i, point in enumerate(points)
    ]
    values, lows, highs, reasons = zip(*results, strict=True)
    return Resampled(values=values, lows=lows, highs=highs, reasons=reasons)


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


def expanded_levels(n_units: int, confidence: float) -> tuple[float, float]:
    """Quantile levels of the bootstrap distribution for a two-sided interval; n_units >= 2."""
    t_quantile = float(stdtrit(n_units - 1, (1 - confidence) / 2))
    low = float(ndtr(t_quantile * np.sqrt(n_units / (n_units - 1))))
    return low, 1 - low


def _interval(
    point: float, replicates: FloatArray, units: Units, config: BootstrapConfig, undefined: str
) -> tuple[float | None, float | None, float | None, str | None]:
    if not np.isfinite(point):
        return None, None, None, undefined
    if not config.replicates:
        return point, None, None, "no interval was asked for (0 replicates)"
    if units.n_units < 2:
        return point, None, None, f"no interval: {units.n_units} of the {units.noun} that are drawn, needs 2"
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < MIN_DEFINED_SHARE * len(replicates):
        missing = len(replicates) - len(defined)
        return point, None, None, f"no interval: {missing} of {len(replicates)} resamples have no value"
    if np.ptp(defined) <= 1e-12 * max(1.0, abs(point)):
        return point, None, None, f"no interval: every resample of the {units.noun} gives the same value"
    low, high = np.quantile(defined, expanded_levels(units.n_units, config.confidence))
    return point, float(low), float(high), None
