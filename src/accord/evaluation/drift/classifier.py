"""Classifier two-sample test: can a logistic regression tell new rows from old, and by which features?

Leaves out differences that no linear score of the given features shows (`two_sample.py` sees them).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray
from accord.evaluation.drift.mahalanobis import feature_table, fold_codes
from accord.evaluation.drift.two_sample import Permuter, permuter
from accord.evaluation.ensemble import weighted_auroc

PERMUTATIONS = 199
RIDGE = 1.0
"""Half of it times the squared slopes of standardized features is added to the loss."""
NEWTON_STEPS = 12
TOP = 5


@dataclass(frozen=True, kw_only=True)
class FeatureShift:
    """One feature that tells the sides apart."""

    name: str
    coefficient: float
    """Slope of the log-odds "is current" per pooled standard deviation, other features held; above 0 is
    more."""
    auroc: float
    """Of this feature alone: chance that a current row has more of it than a reference row."""


@dataclass(frozen=True, kw_only=True)
class ClassifierTest:
    """How well current rows can be told from reference rows."""

    auroc: float
    """Cross-validated, mean over folds; 0.5 is not at all, and below it is chance."""
    p_value: float
    """(1 + relabelings with an AUC at least as high) / (1 + relabelings), each cross-validated anew."""
    top_features: tuple[FeatureShift, ...]
    """By absolute coefficient of a fit on all rows."""
    n_reference: int
    n_current: int
    unit: str
    """What was relabeled."""


def classify_samples(
    reference: ArrayLike,
    current: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    reference_ids: Sequence[Hashable] | None = None,
    current_ids: Sequence[Hashable] | None = None,
    permutations: int = PERMUTATIONS,
    top: int = TOP,
    seed: int = 0,
) -> ClassifierTest:
    """Train a classifier to tell the sides apart and judge it on prompts it has not seen.

    Rows [row, feature]; features are standardized on the pooled rows. Prompts are never split
    between training and testing, and are relabeled as in `compare_samples`. Fewer than 10 rows a
    side or 10 prompts in all raise.
    """
    old = feature_table(reference, name="reference features")
    new = feature_table(current, name="current features", width=old.shape[1])
    labels = [f"feature {i}" for i in range(old.shape[1])] if names is None else list(names)
    if len(labels) != old.shape[1]:
        raise EvaluationError(f"{len(labels)} names for {old.shape[1]} features; expected one each")
    relabel = permuter(reference_ids, current_ids, rows=(len(old), len(new)))
    if min(len(old), len(new)) < 10 or relabel.clusters.count < 10:
        raise EvaluationError(
            f"a cross-validated fit needs 10 rows a side and 10 prompts, got {len(old)} and {len(new)} "
            f"rows on {relabel.clusters.count} prompts"
        )
    pooled = _standardize(np.concatenate([old, new]))
    folds = fold_codes(relabel.clusters, seed=seed)
    observed = _cross_validated(pooled, relabel.is_current, folds)
    slopes = fit_logistic(pooled, relabel.is_current)[1:]
    order = np.argsort(-np.abs(slopes), kind="stable")[:top]
    sides = relabel.is_current.astype(np.float64)
    return ClassifierTest(
        auroc=observed,
        p_value=_p_value(pooled, relabel, folds, observed, permutations, seed),
        top_features=tuple(
            FeatureShift(
                name=labels[i], coefficient=float(slopes[i]), auroc=weighted_auroc(pooled[:, i], sides)
            )
            for i in order
        ),
        n_reference=len(old),
        n_current=len(new),
        unit=relabel.unit,
    )


def fit_logistic(features: FloatArray, is_positive: NDArray[np.bool_], *, ridge: float = RIDGE) -> FloatArray:
    """Intercept (not shrunk) and slopes of a ridge logistic regression, by Newton's method.

    loss = sum_i log(1 + exp(-y_i z_i)) + ridge / 2 * |slopes|^2
    """
    design = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    target = is_positive.astype(np.float64)
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-9  # keeps the system regular when one side is empty
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ weights)
        gradient = design.T @ (chance - target) + penalty * weights
        curvature = (design * (chance * (1.0 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = float(np.abs(step).max())
        weights -= step * min(1.0, 4.0 / size) if size > 0 else 0.0
        if size < 1e-8:
            break
    return weights


def _cross_validated(pooled: FloatArray, is_current: NDArray[np.bool_], folds: NDArray[np.int64]) -> float:
    """Mean over folds that hold both sides, by rows; scores of different fits are not pooled."""
    total, rows = 0.0, 0
    for fold in np.unique(folds):
        is_test = folds == fold
        if any(side.all() or not side.any() for side in (is_current[is_test], is_current[~is_test])):
            continue
        weights = fit_logistic(pooled[~is_test], is_current[~is_test])
        scores = pooled[is_test] @ weights[1:]
        total += is_test.sum() * weighted_auroc(scores, is_current[is_test].astype(np.float64))
        rows += int(is_test.sum())
    return total / rows if rows else 0.5


def _p_value(
    pooled: FloatArray,
    relabel: Permuter,
    folds: NDArray[np.int64],
    observed: float,
    permutations: int,
    seed: int,
) -> float:
    generator = np.random.default_rng(seed)
    sides = relabel.draw(generator, permutations)
    extreme = sum(_cross_validated(pooled, side, folds) >= observed - 1e-12 for side in sides)
    return (1 + extreme) / (1 + permutations)


def _standardize(table: FloatArray) -> FloatArray:
    """Pooled mean 0 and standard deviation 1; a feature that does not vary becomes 0."""
    spread = table.std(axis=0)
    return np.asarray((table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
