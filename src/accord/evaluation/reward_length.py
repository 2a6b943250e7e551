"""How much of a reward model's verdicts is length: ranks within prompts, and what length adds.

Leaves out the accuracy of length alone (`reward_accuracy.py` has that baseline) and the Pearson
correlation (`overoptimization.within_prompt_correlation`).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import rankdata

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, finite_array, share_array
from accord.evaluation.intervals import Estimate, bootstrap_estimate, clustered_share
from accord.evaluation.overoptimization import within_prompt_correlation

RIDGE = 1e-3
"""Times half the squared slopes: finite where the sides are separable, invisible elsewhere."""
NEWTON_STEPS = 25
SIMILAR_LENGTH = 0.1
RESAMPLES = 500


@dataclass(frozen=True, kw_only=True)
class LengthBias:
    """Length in the labels and in the reward, pair by pair."""

    reward_coefficient: Estimate
    """Log-odds that the labels prefer a side, per standard deviation of the margin, length held."""
    length_coefficient: Estimate
    """The same per standard deviation of the length difference, the margin held. Above 0: people want MORE
    length than the reward pays for; below 0: the reward overpays it; 0: it is right about length."""
    similar_length_accuracy: Estimate | None
    """On pairs whose lengths differ by under 10 % of the longer one; None without such a pair."""
    longer_accuracy: Estimate | None
    """On pairs whose preferred answer is longer; None without one."""
    shorter_accuracy: Estimate | None
    gap: float
    """Accuracy on longer less accuracy on shorter; NaN where one of them is missing."""
    n: int


def within_prompt_rank_correlation(
    scores: ArrayLike, lengths: ArrayLike, prompt_ids: Sequence[Hashable], *, seed: int = 0
) -> Estimate:
    """Correlation of the ranks that answers have among their prompt's, equal values sharing ranks.

    Ranks are centered and divided by the prompt's number of answers, so prompts with many
    answers do not drown the others. Prompts with one answer say nothing; NaN where nothing varies.
    """
    score = finite_array(scores, name="scores")
    length = finite_array(lengths, name="lengths", length=len(score))
    clusters = Clusters.of(prompt_ids, rows=len(score))
    ranks = np.zeros((2, len(score)))
    order = np.argsort(clusters.codes, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(clusters.codes, minlength=clusters.count))[:-1]):
        for i, column in enumerate((score, length)):
            ranks[i, rows] = rankdata(column[rows]) / len(rows) if len(rows) else 0.0
    return within_prompt_correlation(ranks[0], ranks[1], prompt_ids, seed=seed)


def measure_length_bias(
    margins: ArrayLike,
    p_chosen: ArrayLike,
    chosen_lengths: ArrayLike,
    rejected_lengths: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> LengthBias:
    """Fit logit P(label prefers chosen) = a * margin + b * length difference, both over their root mean
    square.

    No intercept, so swapping the sides of any pair changes nothing. Soft labels count in
    expectation; accuracies leave out label ties. Margins or length differences that are all 0
    have no scale and raise. Intervals resample prompts, scales held.
    """
    margin = finite_array(margins, name="margins")
    label = share_array(p_chosen, name="p_chosen", length=len(margin))
    chosen = finite_array(chosen_lengths, name="chosen lengths", length=len(margin))
    rejected = finite_array(rejected_lengths, name="rejected lengths", length=len(margin))
    if len(margin) and min(chosen.min(), rejected.min()) < 0:
        raise EvaluationError("lengths cannot be negative")
    difference = chosen - rejected
    columns = np.stack([margin, difference], axis=1)
    scale = np.sqrt((columns**2).mean(axis=0)) if len(margin) else np.zeros(2)
    if not scale.min() > 0:
        raise EvaluationError(
            f"{'margins' if not scale[0] > 0 else 'length differences'} are all 0 over {len(margin)} pairs, "
            f"so no coefficient is defined"
        )
    design = columns / scale
    clusters = Clusters.of(prompt_ids, rows=len(margin))
    side = np.sign(label - 0.5)
    hits = 0.5 + 0.5 * np.sign(margin) * side
    similar = np.abs(difference) < SIMILAR_LENGTH * np.maximum(chosen, rejected)
    parts = [
        _accuracy(hits, is_in & (side != 0), clusters, seed)
        for is_in in (similar, side * difference > 0, side * difference < 0)
    ]
    gap = math.nan if parts[1] is None or parts[2] is None else parts[1].value - parts[2].value
    return LengthBias(
        reward_coefficient=_coefficient(design, label, clusters, 0, seed),
        length_coefficient=_coefficient(design, label, clusters, 1, seed),
        similar_length_accuracy=parts[0],
        longer_accuracy=parts[1],
        shorter_accuracy=parts[2],
        gap=gap,
        n=len(margin),
    )


def _coefficient(
    design: FloatArray, label: FloatArray, clusters: Clusters, index: int, seed: int
) -> Estimate:
    return bootstrap_estimate(
        lambda weights: float(_fit(design, label, weights)[index]),
        clusters,
        method="percentile",
        resamples=RESAMPLES,
        seed=seed,
    )


def _accuracy(hits: FloatArray, is_in: NDArray[np.bool_], clusters: Clusters, seed: int) -> Estimate | None:
    return clustered_share(hits[is_in], clusters.select(is_in), seed=seed) if is_in.any() else None


def _fit(design: FloatArray, label: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted logistic regression without intercept, by Newton's method with bounded steps."""
    slopes = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ slopes)
        gradient = design.T @ (weights * (chance - label)) + RIDGE * slopes
        curvature = (design * (weights * chance * (1.0 - chance))[:, None]).T @ design
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(slopes)), gradient)
        size = float(np.abs(step).max())
        slopes = slopes - step * min(1.0, 2.0 / size) if size > 0 else slopes
        if size < 1e-9:
            break
    return np.asarray(slopes)
