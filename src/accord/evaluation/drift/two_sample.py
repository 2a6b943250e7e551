"""Do two sets of feature vectors come from one distribution? MMD, energy distance, exact-level permutations.

Leaves out which features differ (`classifier.py`).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.drift.mahalanobis import feature_table

Statistic = Literal["mmd", "energy"]

PERMUTATIONS = 999
"""Gives p-values in steps of 0.001."""
MAX_ROWS = 4_000
"""Both sides together; the table of distances then takes 128 MB. More rows must be sampled by the caller."""
BATCH = 100


@dataclass(frozen=True, kw_only=True)
class TwoSampleTest:
    """A statistic and its permutation p-value."""

    statistic: float
    """MMD^2 without bias (may be negative), or the energy distance (0 for equal sets)."""
    p_value: float
    """(1 + permutations at least as extreme) / (1 + permutations): at most alpha of them under no
    difference fall to alpha or below, at any sample size."""
    scale: float
    """Bandwidth of the RBF kernel; 0 for the energy distance, which has none."""
    n_reference: int
    n_current: int
    permutations: int
    unit: str
    """What was permuted, e.g. "rows", "prompts", "sides within prompts"."""


def compare_samples(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    statistic: Statistic = "mmd",
    reference_ids: Sequence[Hashable] | None = None,
    current_ids: Sequence[Hashable] | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> TwoSampleTest:
    """Permutation test that both sets of rows [row, feature] come from one distribution; standardize
    features first.

    The bandwidth (median distance) and all distances come from the POOLED rows and do not
    change under permutation, which is what makes the level exact. With prompt ids, prompts
    that lie on one side only trade sides as wholes and prompts on both sides swap theirs, so
    that answers to one prompt may depend on each other. Fewer than two rows a side raise.
    """
    return run_permutations(
        feature_table(reference, name="reference features"),
        feature_table(current, name="current features"),
        statistic,
        permuter(reference_ids, current_ids, rows=(np.shape(reference)[0], np.shape(current)[0])),
        permutations=permutations,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class Permuter:
    """How sides may be relabeled when nothing differs."""

    clusters: Clusters
    """Of the pooled rows."""
    is_current: NDArray[np.bool_]
    """Side of each pooled row."""

    @property
    def is_both(self) -> NDArray[np.bool_]:
        """Clusters with rows on both sides."""
        on_current = self.clusters.sums(self.is_current.astype(np.float64))
        on_reference = self.clusters.sums((~self.is_current).astype(np.float64))
        return (on_current > 0) & (on_reference > 0)

    @property
    def unit(self) -> str:
        """In words."""
        if self.clusters.is_single:
            return "rows"
        if self.is_both.all():
            return "sides within prompts"
        return "prompts and sides within prompts" if self.is_both.any() else "prompts"

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.bool_]:
        """`count` relabelings, shape [draw, row]."""
        is_both = self.is_both
        side = np.zeros(self.clusters.count, dtype=bool)
        side[self.clusters.codes[self.is_current]] = True
        moving = np.flatnonzero(~is_both)
        flips = generator.random((count, self.clusters.count)) < 0.5
        assigned = np.tile(side, (count, 1))
        assigned[:, moving] = generator.permuted(np.tile(side[moving], (count, 1)), axis=1)
        codes = self.clusters.codes
        return np.where(is_both[codes], self.is_current ^ flips[:, codes], assigned[:, codes])


def permuter(
    reference_ids: Sequence[Hashable] | None,
    current_ids: Sequence[Hashable] | None,
    *,
    rows: tuple[int, int],
) -> Permuter:
    """Relabelings for pooled rows, the reference first. Ids are given for both sides or for neither."""
    if (reference_ids is None) != (current_ids is None):
        raise EvaluationError("give the prompt ids of both sides or of neither")
    if min(rows) < 2:
        raise EvaluationError(f"a two-sample test needs two rows a side, got {rows[0]} and {rows[1]}")
    labels = None if reference_ids is None or current_ids is None else [*reference_ids, *current_ids]
    clusters = Clusters.of(labels, rows=sum(rows))
    return Permuter(clusters=clusters, is_current=np.arange(sum(rows)) >= rows[0])


def run_permutations(
    reference: FloatArray,
    current: FloatArray,
    statistic: Statistic,
    relabel: Permuter,
    *,
    permutations: int,
    seed: int,
) -> TwoSampleTest:
    """The test, given how sides may be relabeled."""
    if reference.shape[1] != current.shape[1]:
        raise EvaluationError(
            f"the reference has {reference.shape[1]} features, the current rows {current.shape[1]}"
        )
    pooled = np.concatenate([reference, current])
    if len(pooled) > MAX_ROWS:
        raise EvaluationError(
            f"{len(pooled)} rows in both sets; at most {MAX_ROWS} fit the distance table. "
            f"Draw a random sample of prompts from each side."
        )
    if relabel.clusters.count < 4:
        raise EvaluationError(
            f"{relabel.clusters.count} prompts in both sets cannot be permuted to any use; need 4 or more"
        )
    distance = pairwise_distances(pooled)
    table, scale = _kernel(distance) if statistic == "mmd" else (distance, 0.0)
    compute = _mmd_statistics if statistic == "mmd" else _energy_statistics
    observed = float(compute(table, relabel.is_current[None, :])[0])
    extreme = _count_extreme(table, compute, relabel, observed, permutations, seed)
    return TwoSampleTest(
        statistic=observed,
        p_value=(1 + extreme) / (1 + permutations),
        scale=scale,
        n_reference=len(reference),
        n_current=len(current),
        permutations=permutations,
        unit=relabel.unit,
    )


def mmd_unbiased(reference: ArrayLike, current: ArrayLike, *, bandwidth: float) -> float:
    """MMD^2_u with kernel exp(-|x - y|^2 / (2 bandwidth^2)); zero in expectation without drift.

    Gretton et al. 2012, lemma 6. Needs two rows a side.
    """
    old = feature_table(reference, name="reference features")
    new = feature_table(current, name="current features", width=old.shape[1])
    table = np.exp(-(pairwise_distances(np.concatenate([old, new])) ** 2) / (2.0 * bandwidth**2))
    np.fill_diagonal(table, 0.0)
    is_current = permuter(None, None, rows=(len(old), len(new))).is_current
    return float(_mmd_statistics(table, is_current[None, :])[0])


def energy_distance(reference: ArrayLike, current: ArrayLike) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs, a row with itself included: never negative.

    Szekely and Rizzo 2013.
    """
    old = feature_table(reference, name="reference features")
    new = feature_table(current, name="current features", width=old.shape[1])
    is_current = permuter(None, None, rows=(len(old), len(new))).is_current
    table = pairwise_distances(np.concatenate([old, new]))
    return float(_energy_statistics(table, is_current[None, :])[0])


def pairwise_distances(table: FloatArray) -> FloatArray:
    """Euclidean distances [row, row]."""
    return np.asarray(cdist(table, table))


def _kernel(distance: FloatArray) -> tuple[FloatArray, float]:
    """RBF kernel with the median of the pooled distances, diagonal set to 0."""
    scale = float(np.median(distance[np.triu_indices(len(distance), 1)]))
    if scale == 0.0:
        positive = distance[distance > 0]
        scale = float(positive.mean()) if len(positive) else 1.0
    table = np.exp(-(distance**2) / (2.0 * scale**2))
    np.fill_diagonal(table, 0.0)
    return table, scale


def _sums(table: FloatArray, sides: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums of the table within the reference, within the current and across (once), for each relabeling."""
    current = sides.astype(np.float64)
    onto = current @ table
    within_current = (onto * current).sum(axis=1)
    across = onto.sum(axis=1) - within_current
    return float(table.sum()) - within_current - 2.0 * across, within_current, across


def _mmd_statistics(table: FloatArray, sides: NDArray[np.bool_]) -> FloatArray:
    reference, current, across = _sums(table, sides)
    n = sides.sum(axis=1).astype(np.float64)
    m = sides.shape[1] - n
    pairs_m, pairs_n = (np.maximum(size * (size - 1), 1.0) for size in (m, n))  # one row has no pair: sum 0
    return np.asarray(reference / pairs_m + current / pairs_n - 2.0 * across / (m * n))


def _energy_statistics(table: FloatArray, sides: NDArray[np.bool_]) -> FloatArray:
    reference, current, across = _sums(table, sides)
    n = sides.sum(axis=1).astype(np.float64)
    m = sides.shape[1] - n
    return np.asarray(2.0 * across / (m * n) - reference / m**2 - current / n**2)


def _count_extreme(
    table: FloatArray,
    compute: Callable[[FloatArray, NDArray[np.bool_]], FloatArray],
    relabel: Permuter,
    observed: float,
    permutations: int,
    seed: int,
) -> int:
    """Relabelings at least as extreme; equal up to rounding counts as equal, on the safe side."""
    generator = np.random.default_rng(seed)
    limit = observed - 1e-10 * max(1.0, float(np.abs(table).mean()))
    extreme, done = 0, 0
    while done < permutations:
        chunk = min(BATCH, permutations - done)
        extreme += int((compute(table, relabel.draw(generator, chunk)) >= limit).sum())
        done += chunk
    return extreme
