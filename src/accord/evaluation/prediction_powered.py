"""A judge corrected by people: many judged rows, a few that people labeled too.

PPI++ for any score, Rogan-Gladen for yes and no. Leaves out how the labeled rows were drawn; they must be a
random part of all.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import finite_array
from accord.evaluation.intervals import Estimate

MIN_LABELED = 10
"""Fewer labeled rows carry no variance worth the name."""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A mean by people's measure, with the judge's help."""

    estimate: Estimate
    """n is the number of labeled rows."""
    judge_weight: float
    """lambda: 0 where the judge tells nothing, near 1 where he is as good as people."""
    effective_gain: float
    """How many times more labeled rows would have been needed without the judge."""


def prediction_powered_mean(
    labels: ArrayLike, judged_labeled: ArrayLike, judged_only: ArrayLike, *, confidence: float = 0.95
) -> Corrected:
    """Mean of people's labels, by PPI++ (Angelopoulos, Duchi and Zrnic 2023, section 6).

        theta = lambda mean_U(f) + mean_L(y - lambda f)
        lambda = Cov_L(y, f) / ((1 + n/N) Var(f)), kept in [0, 1]
        SE^2 = lambda^2 Var_U(f) / N + Var_L(y - lambda f) / n;  theta +- t_(n - 1) SE

    `labels` and `judged_labeled` [n] are of the same rows, `judged_only` [N] of rows nobody labeled. Rows
    count as independent. Fewer than 10 of either raise. Departs from the paper in Student's t for z, by which
    few labels cover too little.
    """
    label = finite_array(labels, name="labels")
    judged = finite_array(judged_labeled, name="judged_labeled", length=len(label))
    rest = finite_array(judged_only, name="judged_only")
    n, total = len(label), len(rest)
    if min(n, total) < MIN_LABELED:
        raise EvaluationError(
            f"{n} labeled and {total} judged rows; a corrected mean needs {MIN_LABELED} or more of each"
        )
    spread = float(np.concatenate([judged, rest]).var(ddof=1))
    together = float(np.cov(label, judged)[0, 1])
    weight = min(1.0, max(0.0, together / ((1 + n / total) * spread))) if spread > 0 else 0.0
    residual = label - weight * judged
    value = weight * float(rest.mean()) + float(residual.mean())
    variance = weight**2 * float(rest.var(ddof=1)) / total + float(residual.var(ddof=1)) / n
    alone = float(label.var(ddof=1)) / n
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * math.sqrt(variance)
    return Corrected(
        estimate=Estimate(
            value=value,
            low=value - half,
            high=value + half,
            n=n,
            method=f"ppi++, {n} labeled and {total} judged",
            confidence=confidence,
        ),
        judge_weight=weight,
        effective_gain=alone / variance if variance > 0 else 1.0,
    )


def rogan_gladen(
    *,
    positive: int,
    judged: int,
    true_positive: int,
    really_positive: int,
    true_negative: int,
    really_negative: int,
    confidence: float = 0.95,
) -> Estimate:
    """Share of rows that are really positive, from a judge's share and his known errors.

        p = (q + specificity - 1) / (sensitivity + specificity - 1), kept in [0, 1]

    q = positive / judged; sensitivity = true_positive / really_positive and specificity = true_negative /
    really_negative of rows that people labeled. Interval by the delta method (Rogan and Gladen 1978), cut to
    [0, 1]. A judge no better than chance raises.
    """
    counts = ((positive, judged), (true_positive, really_positive), (true_negative, really_negative))
    if any(whole < 1 or not 0 <= part <= whole for part, whole in counts):
        raise EvaluationError(
            f"counts {counts} are no parts of wholes; expected 0 <= part <= whole, whole >= 1"
        )
    share, sensitivity, specificity = (part / whole for part, whole in counts)
    youden = sensitivity + specificity - 1
    if youden <= 0:
        raise EvaluationError(
            f"sensitivity {sensitivity:.3f}, specificity {specificity:.3f}: no better than chance"
        )
    value = (share + specificity - 1) / youden
    variance = (
        share * (1 - share) / judged
        + value**2 * sensitivity * (1 - sensitivity) / really_positive
        + (1 - value) ** 2 * specificity * (1 - specificity) / really_negative
    ) / youden**2
    half = float(ndtri(0.5 + confidence / 2)) * math.sqrt(variance)
    return Estimate(
        value=min(1.0, max(0.0, value)),
        low=min(1.0, max(0.0, value - half)),
        high=min(1.0, max(0.0, value + half)),
        n=judged,
        method="rogan-gladen",
        confidence=confidence,
    )
