"""Accuracy and NLL of a reward model on held-out pairs, beside a length-only baseline.

`ceiling.py` says how high the accuracy could be, `calibration.py` whether the probabilities
can be trusted. Leaves out anything that needs the model itself: it takes margins.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.domain.splits import hash_fraction
from accord.evaluation.calibration import equal_count_bins, negative_log_likelihood
from accord.evaluation.clusters import Clusters, FloatArray, finite_array, share_array
from accord.evaluation.intervals import Estimate, clustered_share, ratio_estimate

FOLDS = 5
RIDGE = 0.5
"""Added to the baseline's loss as RIDGE * slope^2: a finite slope when the longer answer always wins."""
MAX_SLOPE = 50.0


@dataclass(frozen=True, kw_only=True)
class AccuracyBin:
    """Accuracy on one part of the pairs."""

    label: str
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class RewardAccuracy:
    """How often a reward model sides with the labels."""

    accuracy: Estimate
    """Over pairs with a preferred side; equal rewards count one half."""
    nll: Estimate
    """Mean negative log-likelihood of the soft labels, nats, over ALL pairs; ln 2 = 0.693 is guessing."""
    n_pairs: int
    n_label_ties: int
    """Pairs whose label prefers neither side: left out of the accuracy, part of the NLL."""
    by_margin: tuple[AccuracyBin, ...] = ()
    """Thirds of the pairs by absolute reward margin."""
    by_agreement: tuple[AccuracyBin, ...] = ()
    """By how one-sided the label is: split, majority, unanimous."""
    by_length: tuple[AccuracyBin, ...] = ()
    """Pairs where the preferred answer is longer against pairs where it is shorter."""


def measure_reward_accuracy(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    length_differences: ArrayLike | None = None,
    seed: int = 0,
) -> RewardAccuracy:
    """Accuracy and NLL of reward margins (chosen minus rejected) against label probabilities.

    A label below one half prefers the rejected side. n = 0, or labels that are all ties,
    raise. Intervals are clustered by prompt (`share_estimate`).
    """
    margin = finite_array(margins, name="margins")
    label = share_array(p_chosen, name="p_chosen", length=len(margin))
    clusters = Clusters.of(prompt_ids, rows=len(margin))
    is_decided = label != 0.5
    if not is_decided.any():
        raise EvaluationError(
            f"no pair has a preferred side ({len(label)} pairs, all ties or none at all); "
            f"accuracy needs at least one"
        )
    side = np.sign(label - 0.5)
    hits = _Hits(hits=0.5 + 0.5 * np.sign(margin) * side, is_decided=is_decided, clusters=clusters, seed=seed)
    by_length: tuple[AccuracyBin, ...] = ()
    if length_differences is not None:
        longer = side * finite_array(length_differences, name="length differences", length=len(margin))
        by_length = hits.binned([("preferred is longer", longer > 0), ("preferred is shorter", longer < 0)])
    losses = negative_log_likelihood(margin, label)
    return RewardAccuracy(
        accuracy=hits.accuracy_on(is_decided),
        nll=ratio_estimate(losses, np.ones_like(losses), clusters, seed=seed),
        n_pairs=len(margin),
        n_label_ties=int((~is_decided).sum()),
        by_margin=hits.binned(_margin_thirds(margin)),
        by_agreement=hits.binned(_agreement_levels(label)),
        by_length=by_length,
    )


def length_baseline(
    length_differences: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> RewardAccuracy:
    """What length alone achieves: logistic regression on chosen minus rejected length, cross-fitted.

    One slope and no intercept, so that swapping the sides swaps the prediction. Each of
    five folds of prompts (by hash) is predicted by a slope fitted on the others; with one
    prompt there is nothing to fit on and the margin is 0. n = 0 raises.
    """
    difference = finite_array(length_differences, name="length differences")
    label = share_array(p_chosen, name="p_chosen", length=len(difference))
    labels = list(range(len(difference))) if prompt_ids is None else list(prompt_ids)
    folds = np.array([int(hash_fraction(str(key), seed=seed) * FOLDS) for key in labels])
    margins = np.zeros_like(difference)
    for fold in range(FOLDS):
        is_test = folds == fold
        if is_test.all():
            continue
        scale = float(np.sqrt((difference[~is_test] ** 2).mean())) or 1.0
        slope = _fit_slope(difference[~is_test] / scale, label[~is_test])
        margins[is_test] = slope * difference[is_test] / scale
    return measure_reward_accuracy(margins, label, prompt_ids, length_differences=difference, seed=seed)


@dataclass(frozen=True, kw_only=True)
class _Hits:
    """1 where the reward model sides with the label, 0.5 on equal rewards."""

    hits: FloatArray
    is_decided: NDArray[np.bool_]
    clusters: Clusters
    seed: int

    def accuracy_on(self, is_in: NDArray[np.bool_]) -> Estimate:
        return clustered_share(self.hits[is_in], self.clusters.select(is_in), seed=self.seed)

    def binned(self, parts: Sequence[tuple[str, NDArray[np.bool_]]]) -> tuple[AccuracyBin, ...]:
        """Accuracy on the decided pairs of each part; parts without any are left out."""
        kept = [(name, is_in & self.is_decided) for name, is_in in parts]
        return tuple(
            AccuracyBin(label=name, accuracy=self.accuracy_on(is_in)) for name, is_in in kept if is_in.any()
        )


def _fit_slope(feature: FloatArray, label: FloatArray) -> float:
    def loss(slope: float) -> float:
        return float(negative_log_likelihood(slope * feature, label).sum()) + RIDGE * slope**2

    return float(minimize_scalar(loss, bounds=(-MAX_SLOPE, MAX_SLOPE), method="bounded").x)


def _margin_thirds(margin: FloatArray) -> list[tuple[str, np.ndarray]]:
    size = np.abs(margin)
    codes = equal_count_bins(size, bins=min(3, len(size)))
    parts = []
    for code in range(int(codes.max()) + 1):
        is_in = codes == code
        low, high = expit(size[is_in].min()), expit(size[is_in].max())
        parts.append((f"confidence {low:.2f} to {high:.2f}", is_in))
    return parts


def _agreement_levels(label: FloatArray) -> list[tuple[str, np.ndarray]]:
    share = np.maximum(label, 1.0 - label)
    return [
        ("split (share under 2/3)", share < 2 / 3),
        ("majority (2/3 to under 1)", (share >= 2 / 3) & (share < 1.0)),
        ("unanimous", share == 1.0),
    ]
