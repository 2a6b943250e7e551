"""Distance of feature vectors from a training set, by a shrunk covariance, and how many lie outside.

Leaves out making the features (a reward model's last hidden states, answer statistics).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain.errors import EvaluationError
from accord.domain.splits import hash_fraction
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate

FOLDS = 5
BAND = 0.99
"""Quantile of held-out training distances that counts as inside."""


@dataclass(frozen=True, kw_only=True)
class Shrinkage:
    """A Ledoit-Wolf covariance: (1 - intensity) S + intensity * (trace S / p) I."""

    covariance: FloatArray
    """Shape [feature, feature]; positive definite unless all rows are equal."""
    intensity: float
    """In [0, 1]; 1 where nothing but the scale can be told."""
    mean: FloatArray


@dataclass(frozen=True, kw_only=True)
class OutlierReport:
    """How far new rows lie from the training rows."""

    outside: Estimate
    """Share of new rows beyond the band; its expectation without drift is 1 - band."""
    expected_outside: float
    mean_distance: Estimate
    """Of the new rows."""
    reference_distance: float
    """Mean distance of training rows from the fit on OTHER training rows."""
    limit: float
    """Edge of the band, from held-out training rows: in-sample distances would be too small."""
    distances: FloatArray
    intensity: float


def ledoit_wolf(features: ArrayLike) -> Shrinkage:
    """Shrink the covariance (denominator n) of rows toward a multiple of the identity.

        d2 = |S - mu I|^2,  b2 = min(d2, sum_k |x_k x_k' - S|^2 / n^2),  intensity = b2 / d2

    Squared Frobenius norms over centered rows x_k; mu = trace S / p. Ledoit and Wolf 2004.
    Fewer than two rows raise; rows without any spread give intensity 1 and a zero matrix.
    """
    table = feature_table(features, name="features")
    n, size = table.shape
    if n < 2:
        raise EvaluationError(f"a covariance needs two rows or more, got {n}")
    mean = table.mean(axis=0)
    centered = table - mean
    sample = centered.T @ centered / n
    scale = float(np.trace(sample)) / size
    distance = float((sample**2).sum()) - size * scale**2
    noise = float(((centered**2).sum(axis=1) ** 2).sum()) / n**2 - float((sample**2).sum()) / n
    intensity = 1.0 if distance <= 0.0 else min(max(noise, 0.0), distance) / distance
    return Shrinkage(
        covariance=(1.0 - intensity) * sample + intensity * scale * np.eye(size),
        intensity=intensity,
        mean=mean,
    )


def mahalanobis_distances(features: ArrayLike, fit: Shrinkage) -> FloatArray:
    """sqrt((x - mean)' C^-1 (x - mean)) of each row."""
    table = feature_table(features, name="features", width=len(fit.mean))
    try:
        factor = np.linalg.cholesky(fit.covariance)
    except np.linalg.LinAlgError as error:
        raise EvaluationError(
            "the training rows have no spread, so no distance from them is defined"
        ) from error
    return np.asarray(np.sqrt((np.linalg.solve(factor, (table - fit.mean).T) ** 2).sum(axis=0)))


def measure_outliers(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    reference_ids: Sequence[Hashable] | None = None,
    current_ids: Sequence[Hashable] | None = None,
    band: float = BAND,
    seed: int = 0,
) -> OutlierReport:
    """Distances of current rows from reference rows of shape [row, feature].

    The band's edge is a quantile of cross-fitted distances: each fifth of the reference's
    prompts against a fit on the others. Intervals are clustered by `current_ids`. Fewer than
    20 reference rows raise.
    """
    old = feature_table(reference, name="reference features")
    new = feature_table(current, name="current features", width=old.shape[1])
    if len(old) < 20 or not len(new):
        raise EvaluationError(
            f"outliers need 20 reference rows and a current one, got {len(old)} and {len(new)}"
        )
    held_out = held_out_distances(old, Clusters.of(reference_ids, rows=len(old)), seed)
    limit = float(np.quantile(held_out, band, method="higher"))
    fit = ledoit_wolf(old)
    distances = mahalanobis_distances(new, fit)
    return OutlierReport(
        outside=share_estimate((distances > limit).astype(np.float64), current_ids, seed=seed),
        expected_outside=1.0 - band,
        mean_distance=mean_estimate(distances, current_ids, seed=seed),
        reference_distance=float(held_out.mean()),
        limit=limit,
        distances=distances,
        intensity=fit.intensity,
    )


def fold_codes(clusters: Clusters, *, seed: int) -> NDArray[np.int64]:
    """Fold of each row, whole clusters together, folds of nearly equal numbers of clusters."""
    keys = [hash_fraction(str(code), seed=seed) for code in range(clusters.count)]
    ranks = np.argsort(np.argsort(keys, kind="stable"), kind="stable")
    return np.asarray((ranks * min(FOLDS, clusters.count) // clusters.count)[clusters.codes], dtype=np.int64)


def feature_table(values: ArrayLike, *, name: str, width: int | None = None) -> FloatArray:
    """Finite float64 table [row, feature]; one column of numbers counts as one feature."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or (width is not None and table.shape[1] != width):
        expected = "[row, feature]" if width is None else f"[row, {width}]"
        raise EvaluationError(f"{name} have shape {table.shape}, expected {expected}")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise EvaluationError(f"{name} hold values that are not finite, the first in row {row}")
    return table


def held_out_distances(table: FloatArray, clusters: Clusters, seed: int = 0) -> FloatArray:
    """[row] Distance of each row [row, feature] from the rows of other folds of prompts."""
    if clusters.count < 2:
        raise EvaluationError("all reference rows share one prompt, so none can be held out")
    folds = fold_codes(clusters, seed=seed)
    distances = np.empty(len(table))
    for fold in np.unique(folds):
        is_test = folds == fold
        distances[is_test] = mahalanobis_distances(table[is_test], ledoit_wolf(table[~is_test]))
    return distances
