"""Calibration of pair probabilities: reliability bins, ECE, Brier score with its parts, temperature.

A pair's probability is sigmoid(margin / T). Everything is measured on the PREDICTED
winner: confidence = max(p, 1 - p), outcome = probability of the label that this side won,
so the result does not depend on which side is written first. Leaves out accuracy
(`reward_accuracy.py`).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.domain.splits import hash_fraction
from accord.evaluation.clusters import Clusters, FloatArray, finite_array, share_array
from accord.evaluation.intervals import Estimate, bootstrap_estimate, clustered_share

BINS = 15
"""Equal-count bins, fewer where a bin would hold under `MIN_BIN_ROWS` rows."""
MIN_BIN_ROWS = 10
MAX_TEMPERATURE = 100.0
"""Bounds of the fit are 1/100 and 100: a perfect predictor wants 0, a useless one infinity."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Pairs of similar confidence."""

    confidence: float
    """Mean predicted probability of the predicted winner, in [0.5, 1]."""
    observed: Estimate
    """How often the predicted winner won (label share)."""
    n: int


@dataclass(frozen=True, kw_only=True)
class BrierScore:
    """Expected squared error of the predicted winner's probability and what it is made of.

    score = reliability - resolution + uncertainty + within_bins (Murphy 1973; the last term
    is what binning leaves over and is 0 when all forecasts of a bin are equal).
    """

    score: Estimate
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the probabilities of a pair model can be trusted."""

    bins: tuple[ReliabilityBin, ...]
    ece: float
    """sum_k w_k |observed_k - confidence_k|; biased upward for small bins."""
    ece_debiased: Estimate
    """Root of [sum_k w_k ((observed_k - confidence_k)^2 - variance of observed_k)]_+ (Kumar et al. 2019). Cut
    off at 0 once, not bin by bin, which would leave a calibrated model with an error. Percentile interval; a
    resample carries the noise of the sample and its own, so twice the variance is taken away there."""
    brier: BrierScore
    temperature: float
    """By which margins were divided before measuring."""
    n: int


def measure_calibration(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    temperature: float = 1.0,
    bins: int = BINS,
    seed: int = 0,
) -> Calibration:
    """Calibration of sigmoid(margin / temperature) against label probabilities.

    `margins` are reward differences chosen minus rejected, `p_chosen` the label's
    probability (soft labels count in expectation; ties are 0.5). n = 0 raises; n = 1 is
    one bin without interval of the ECE.
    """
    confidence, outcome = predicted_winner(margins, p_chosen, temperature=temperature)
    clusters = Clusters.of(prompt_ids, rows=len(confidence))
    codes = equal_count_bins(confidence, bins=max(1, min(bins, len(confidence) // MIN_BIN_ROWS)))

    def debiased(weights: FloatArray) -> float:
        return _debiased_ece(confidence, outcome, codes, weights)

    cells = []
    for code in range(int(codes.max()) + 1):
        is_in = codes == code
        observed = clustered_share(outcome[is_in], clusters.select(is_in), seed=seed)
        cells.append(
            ReliabilityBin(confidence=float(confidence[is_in].mean()), observed=observed, n=int(is_in.sum()))
        )
    gaps = [cell.n * abs(cell.observed.value - cell.confidence) for cell in cells]
    return Calibration(
        bins=tuple(cells),
        ece=sum(gaps) / len(confidence),
        ece_debiased=bootstrap_estimate(debiased, clusters, method="percentile", resamples=500, seed=seed),
        brier=_brier(confidence, outcome, codes, clusters, seed=seed),
        temperature=temperature,
        n=len(confidence),
    )


def unfolded_calibration_error(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    keys: Sequence[str] | None = None,
    temperature: float = 1.0,
    bins: int = BINS,
    seed: int = 0,
) -> Estimate:
    """Debiased calibration error of P(A beats B) itself, A and B a random order of each pair.

    The order comes from `seed` and `keys` [pair] (by default its place), so that rows may stand in any order.

    Folding onto the predicted winner puts .2 and .8 in one bin; here they are two. Without the random order
    "chosen" would always stand first, and the order would tell the label. n = 0 raises.
    """
    predicted_winner(margins, p_chosen, temperature=temperature)  # checks both columns
    difference, label = np.asarray(margins, dtype=np.float64), np.asarray(p_chosen, dtype=np.float64)
    names = [str(i) for i in range(len(difference))] if keys is None else list(keys)
    if len(names) != len(difference):
        raise EvaluationError(f"{len(names)} keys for {len(difference)} pairs; give one for each")
    is_swapped = np.array([hash_fraction(name, seed=seed) < 0.5 for name in names])
    probability = expit(np.where(is_swapped, -difference, difference) / temperature)
    outcome = np.where(is_swapped, 1.0 - label, label)
    codes = equal_count_bins(probability, bins=max(1, min(bins, len(label) // MIN_BIN_ROWS)))
    return bootstrap_estimate(
        lambda weights: _debiased_ece(probability, outcome, codes, weights),
        Clusters.of(prompt_ids, rows=len(label)),
        method="percentile",
        resamples=500,
        seed=seed,
    )


def predicted_winner(
    margins: ArrayLike, p_chosen: ArrayLike, *, temperature: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Confidence in the predicted winner and the label's probability that it won.

    A margin of 0 predicts neither: confidence 0.5 and outcome 0.5.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise EvaluationError(f"temperature must be positive and finite, got {temperature}")
    difference = finite_array(margins, name="margins")
    label = share_array(p_chosen, name="p_chosen", length=len(difference))
    if not len(label):
        raise EvaluationError("there are no pairs to measure (n = 0)")
    outcome = np.where(difference > 0, label, np.where(difference < 0, 1.0 - label, 0.5))
    return expit(np.abs(difference) / temperature), outcome


def equal_count_bins(values: FloatArray, *, bins: int) -> np.ndarray:
    """Bin code of each row, bins of equal count by value; equal values always share a bin."""
    ranks = np.searchsorted(np.sort(values), values, side="left")
    raw = np.minimum(ranks * bins // len(values), bins - 1)
    return np.unique(raw, return_inverse=True)[1]


def negative_log_likelihood(margins: FloatArray, labels: FloatArray) -> FloatArray:
    """Per pair: p softplus(-m) + (1 - p) softplus(m), in nats; a margin of 0 costs ln 2."""
    return labels * np.logaddexp(0.0, -margins) + (1.0 - labels) * np.logaddexp(0.0, margins)


def fit_temperature(margins: ArrayLike, p_chosen: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Temperature T > 0 that minimizes the NLL of sigmoid(margin / T). Fit on a split of its own.

    Convex in 1/T. Separable margins run into 1/100, margins that predict nothing or the
    wrong side into 100. n = 0 raises. Guo et al. 2017.
    """
    difference = finite_array(margins, name="margins")
    label = share_array(p_chosen, name="p_chosen", length=len(difference))
    if not len(difference):
        raise EvaluationError("there are no pairs to fit a temperature on (n = 0)")
    weight = (
        np.ones_like(label) if weights is None else finite_array(weights, name="weights", length=len(label))
    )

    def loss(inverse: float) -> float:
        return float((weight * negative_log_likelihood(difference * inverse, label)).sum())

    fitted = minimize_scalar(
        loss, bounds=(1.0 / MAX_TEMPERATURE, MAX_TEMPERATURE), method="bounded", options={"xatol": 1e-8}
    )
    return 1.0 / float(fitted.x)


def _debiased_ece(
    confidence: FloatArray, outcome: FloatArray, codes: np.ndarray, weights: FloatArray
) -> float:
    """Root of the debiased squared ECE. The variance of a bin's mean is s^2 / n, which for 0/1 outcomes
    is observed (1 - observed) / (n - 1); a bin with a weight of one row or less is left as it is."""
    count = np.bincount(codes, weights=weights)
    safe = np.maximum(count, 1.0)
    observed = np.bincount(codes, weights=weights * outcome) / safe
    square = np.bincount(codes, weights=weights * outcome**2) / safe
    predicted = np.bincount(codes, weights=weights * confidence) / safe
    variance = np.maximum(square - observed**2, 0.0) / np.where(count > 1, count - 1, np.inf)
    noise_copies = 1.0 if bool((weights == 1.0).all()) else 2.0
    excess = (observed - predicted) ** 2 - noise_copies * variance
    return math.sqrt(max(0.0, float((count * excess).sum() / count.sum())))


def _brier(
    confidence: FloatArray, outcome: FloatArray, codes: np.ndarray, clusters: Clusters, *, seed: int
) -> BrierScore:
    """Expected score of soft labels: q (f - 1)^2 + (1 - q) f^2."""
    rows = outcome * (confidence - 1.0) ** 2 + (1.0 - outcome) * confidence**2
    count = np.bincount(codes)
    share = count / count.sum()
    observed = np.bincount(codes, weights=outcome) / count
    predicted = np.bincount(codes, weights=confidence) / count
    overall = float(outcome.mean())
    reliability = float((share * (predicted - observed) ** 2).sum())
    resolution = float((share * (observed - overall) ** 2).sum())
    uncertainty = overall * (1.0 - overall)
    score = clustered_share(rows, clusters, seed=seed)
    left_over = float(rows.mean()) - (reliability - resolution + uncertainty)
    return BrierScore(
        score=score,
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=left_over,
    )
