"""Accuracy of a reward model on pairs that nobody has labeled, and when it leaves its control limits.

Leaves out drift that the model's own confidence does not show: when people change their taste, or the model
is sure and wrong on new kinds of answers, this estimate stays high. It says where to label next.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.calibration import fit_temperature, predicted_winner
from accord.evaluation.clusters import Clusters, FloatArray, finite_array
from accord.evaluation.intervals import Estimate, mean_estimate

SIGMAS = 3.0
"""Half-width of the control limits in standard errors: one false alarm in about 370 batches."""
MIN_REFERENCE = 50


@dataclass(frozen=True, kw_only=True)
class LabelFreeReference:
    """What the last labeled batch says confidence is worth."""

    temperature: float
    """Fitted on the labeled batch; margins are divided by it."""
    sharpness_error: float
    """Standard error of 1 / temperature, by prompts (sandwich)."""
    expected_accuracy: float
    """Mean confidence on the labeled batch."""
    realized_accuracy: float
    """Mean probability that the labels side with the predicted winner there."""
    bias_interval: Estimate
    """realized - expected on the labeled batch: if it excludes 0, confidence is not worth its name. The
    interval knows that the temperature was fitted to the same labels."""
    spread: float
    """Standard deviation over prompts of their contribution to mean confidence."""
    n_prompts: int


@dataclass(frozen=True, kw_only=True)
class LabelFreeAccuracy:
    """Estimate for one unlabeled batch, with the limits it was held to."""

    accuracy: Estimate
    """Confidence-based: mean of max(p, 1 - p) after calibration. The interval covers sampling of prompts
    and the error of the temperature; half-widths of both add as roots of squares (Zou and Donner 2008)."""
    center: float
    low_limit: float
    high_limit: float
    """center +- 3 standard errors of a batch of this many prompts and of the reference together."""

    @property
    def is_out(self) -> bool:
        """True when the batch lies outside its control limits, on either side."""
        return not self.low_limit <= self.accuracy.value <= self.high_limit


def fit_label_free(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> LabelFreeReference:
    """Calibrate on a labeled batch of 50 pairs or more (label ties count in expectation)."""
    margin = finite_array(margins, name="margins")
    if len(margin) < MIN_REFERENCE:
        raise EvaluationError(
            f"the labeled batch has {len(margin)} pairs; calibration needs {MIN_REFERENCE} or more"
        )
    temperature = fit_temperature(margin, p_chosen)
    confidence, outcome = predicted_winner(margin, p_chosen, temperature=temperature)
    clusters = Clusters.of(prompt_ids, rows=len(margin))
    # d loss / d(1 / T) is sum |m| (outcome - confidence), its own derivative sum m^2 c (1 - c)
    scores = np.abs(margin) * (outcome - confidence)
    scores = scores - scores.mean()
    curvature = float((margin**2 * confidence * (1 - confidence)).mean())
    pulls = scores / curvature if curvature > 0 else np.zeros_like(scores)
    bias = outcome - confidence - _slope(margin, confidence) * pulls
    return LabelFreeReference(
        temperature=temperature,
        sharpness_error=_prompt_spread(pulls, clusters) / math.sqrt(clusters.count),
        expected_accuracy=float(confidence.mean()),
        realized_accuracy=float(outcome.mean()),
        bias_interval=mean_estimate(bias, prompt_ids, seed=seed),
        spread=_prompt_spread(confidence, clusters),
        n_prompts=clusters.count,
    )


def estimate_accuracy(
    margins: ArrayLike,
    reference: LabelFreeReference,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> LabelFreeAccuracy:
    """Expected accuracy on unlabeled pairs, and whether it is what the labeled batch leads to expect.

    No pairs raise. Prompts with more pairs than the reference's make the limits narrower than
    they should be; keep pairs per prompt alike.
    """
    margin = finite_array(margins, name="margins")
    if not len(margin):
        raise EvaluationError("there are no pairs to estimate an accuracy on (n = 0)")
    confidence, _ = predicted_winner(margin, np.full(len(margin), 0.5), temperature=reference.temperature)
    n_prompts = Clusters.of(prompt_ids, rows=len(margin)).count
    half = SIGMAS * reference.spread * math.sqrt(1.0 / n_prompts + 1.0 / reference.n_prompts)
    accuracy = mean_estimate(confidence, prompt_ids, seed=seed)
    if accuracy.has_interval:
        quantile = -float(ndtri((1 - accuracy.confidence) / 2))
        more = quantile * _slope(margin, confidence) * reference.sharpness_error
        low = accuracy.value - math.hypot(accuracy.value - accuracy.low, more)
        high = accuracy.value + math.hypot(accuracy.high - accuracy.value, more)
        accuracy = replace(accuracy, low=max(0.5, low), high=min(1.0, high))
    return LabelFreeAccuracy(
        accuracy=accuracy,
        center=reference.expected_accuracy,
        low_limit=reference.expected_accuracy - half,
        high_limit=reference.expected_accuracy + half,
    )


def _slope(margin: FloatArray, confidence: FloatArray) -> float:
    """How mean confidence moves with 1 / temperature."""
    return float((np.abs(margin) * confidence * (1 - confidence)).mean())


def _prompt_spread(confidence: FloatArray, clusters: Clusters) -> float:
    """Standard deviation over prompts of sum(confidence - mean) / mean rows a prompt."""
    sums = clusters.sums(confidence - confidence.mean())
    return float(sums.std(ddof=1)) * clusters.count / clusters.rows if clusters.count > 1 else math.nan
