"""Accuracy of a reward model on pairs that nobody has labeled, and when it leaves its control limits.

Leaves out drift that the model's own confidence does not show: when people change their taste, or the model
is sure and wrong on new kinds of answers, this estimate stays high. It says where to label next.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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
    expected_accuracy: float
    """Mean confidence on the labeled batch."""
    realized_accuracy: float
    """Mean probability that the labels side with the predicted winner there."""
    bias_interval: Estimate
    """realized - expected on the labeled batch: if it excludes 0, confidence is not worth its name."""
    spread: float
    """Standard deviation over prompts of their contribution to mean confidence."""
    n_prompts: int


@dataclass(frozen=True, kw_only=True)
class LabelFreeAccuracy:
    """Estimate for one unlabeled batch, with the limits it was held to."""

    accuracy: Estimate
    """Confidence-based: mean of max(p, 1 - p) after calibration. The interval covers sampling of prompts
    only."""
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
    return LabelFreeReference(
        temperature=temperature,
        expected_accuracy=float(confidence.mean()),
        realized_accuracy=float(outcome.mean()),
        bias_interval=mean_estimate(outcome - confidence, prompt_ids, seed=seed),
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
    return LabelFreeAccuracy(
        accuracy=mean_estimate(confidence, prompt_ids, seed=seed),
        center=reference.expected_accuracy,
        low_limit=reference.expected_accuracy - half,
        high_limit=reference.expected_accuracy + half,
    )


def _prompt_spread(confidence: FloatArray, clusters: Clusters) -> float:
    """Standard deviation over prompts of sum(confidence - mean) / mean rows a prompt."""
    sums = clusters.sums(confidence - confidence.mean())
    return float(sums.std(ddof=1)) * clusters.count / clusters.rows if clusters.count > 1 else math.nan
