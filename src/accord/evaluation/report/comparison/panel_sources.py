"""Parts of panels out of measurements and answers: Gao's form, the KL budget, agreement, score by length."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from accord.evaluation.comparison import Comparison
from accord.evaluation.gates.verdict import Release, threshold_of
from accord.evaluation.intervals import Estimate, mean_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison.contents import (
    AgreementPanel,
    FittedCurve,
    LengthCurve,
    RewardCurve,
)

Found = Mapping[tuple[str, str, str], Measurement]
FORMS = ("rl", "best_of_n")
POINTS = 40
"""Of a fitted line."""
BINS = 6
FEWEST = 5
"""Answers of a bin."""
AGREEMENT = "agreement="


def fitted_curve(found: Found, curves: Sequence[RewardCurve]) -> FittedCurve | None:
    """Gao's form by the measured alpha and beta, as far as the curves reach; None without both."""
    reach = max((kl for curve in curves for kl in curve.kl), default=0.0)
    for form in FORMS:
        rows = [found.get((name, f"form={form}", "nothing")) for name in ("gao_alpha", "gao_beta")]
        if rows[0] is None or rows[1] is None or reach <= 0:
            continue
        alpha, beta = rows[0].estimate.value, rows[1].estimate.value
        distances = np.linspace(math.sqrt(reach) / POINTS, math.sqrt(reach), POINTS)
        slope = alpha - beta * (np.log(distances) if form == "rl" else distances)
        peak = found.get(("gao_peak_kl", f"form={form}", "nothing"))
        return FittedCurve(
            form=form,
            kl=(0.0, *(distances**2).tolist()),
            values=(0.0, *(distances * slope).tolist()),
            peak_kl=Estimate(value=math.inf) if peak is None else peak.estimate,
        )
    return None


def kl_budget(release: Release) -> float | None:
    """The threshold of the gate on the mean KL, where the plan has one."""
    for result in release.results:
        gate = result.gate
        if (gate.metric, gate.slice, gate.versus) == ("kl_divergence", "all", "nothing"):
            return threshold_of(gate)[0]
    return None


def agreement_panel(found: Found) -> AgreementPanel | None:
    """Accuracy by agreement of the annotators, beside the human ceiling."""
    rows = tuple(
        (slice_name.removeprefix(AGREEMENT), one.estimate)
        for (metric, slice_name, versus), one in found.items()
        if metric == "reward_accuracy" and versus == "nothing" and slice_name.startswith(AGREEMENT)
    )
    if not rows:
        return None
    ceiling = found.get(("reward_ceiling", "all", "nothing"))
    return AgreementPanel(rows=rows, ceiling=None if ceiling is None else ceiling.estimate)


def length_curves(comparison: Comparison) -> tuple[LengthCurve, ...]:
    """Mean score of either side in bins of equal count by length; empty where the judge gives no scores."""
    judged = comparison.judgments
    if judged is None or judged.candidate_scores is None or judged.incumbent_scores is None:
        return ()
    sides = (
        (comparison.incumbent, judged.incumbent_scores),
        (comparison.candidate, judged.candidate_scores),
    )
    has_ids = comparison.candidate.has_ids and comparison.incumbent.has_ids
    curves = []
    for side, scores in sides:
        sizes = [len(row.token_ids) if has_ids else len(row.text) for row in side.completions]
        curve = _binned(side.name, sizes, scores, "tokens" if has_ids else "characters")
        if curve is not None:
            curves.append(curve)
    return tuple(curves)


def _binned(name: str, sizes: Sequence[int], scores: Sequence[float], unit: str) -> LengthCurve | None:
    order = np.argsort(np.asarray(sizes), kind="stable")
    count = min(BINS, len(order) // FEWEST)
    if count < 2:
        return None
    parts = np.array_split(order, count)
    return LengthCurve(
        name=name,
        lengths=tuple(float(np.mean([sizes[i] for i in part])) for part in parts),
        rewards=tuple(mean_estimate([float(scores[i]) for i in part]) for part in parts),
        unit=unit,
    )
