"""A second judge that stands for what is really wanted: does the score that was trained on tell the truth?

The first judge is the proxy, the second gold (people's scores, a reward model of other annotators, a rule).
Leaves out runs with many checkpoints (`evaluation/overoptimization.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.comparison.columns import paired_measurements
from accord.evaluation.comparison.judging import PairJudgments
from accord.evaluation.intervals import bootstrap_estimate, share_estimate
from accord.evaluation.measurement import Measurement

MIN_PROMPTS = 8
"""Fewer prompts give no standard deviation worth dividing by."""


def measure_gold(
    proxy: PairJudgments,
    gold: PairJudgments,
    prompt_ids: Sequence[str],
    *,
    seed: int,
    facts: Mapping[str, Any],
) -> tuple[list[Measurement], dict[str, str]]:
    """Gold's win rate and scores, and `overoptimization_gap` where both judges score single answers.

        gap = mean(proxy gain) / sd(proxy of the incumbent) - mean(gold gain) / sd(gold of the incumbent)

    Above 0 where the proxy rose more than gold. The interval resamples prompts, standard deviations included.
    """
    if len(proxy.preferences) != len(gold.preferences):
        raise EvaluationError(
            f"{len(proxy.preferences)} prompts of the proxy and {len(gold.preferences)} of gold; "
            "ask both judges about the same pairs"
        )
    named = {**facts, "judge": gold.judge, "proxy": proxy.judge}
    measured = [
        Measurement(
            metric="win_rate",
            slice="judge=gold",
            estimate=share_estimate(gold.preferences, prompt_ids, seed=seed),
            facts=named,
        )
    ]
    told, wanted = _scores(proxy), _scores(gold)
    if wanted is not None:
        candidate, incumbent = wanted
        measured += paired_measurements(
            "gold_score", candidate, incumbent, prompt_ids, is_share=False, seed=seed, facts=named
        )
    if told is None or wanted is None:
        return measured, {"overoptimization_gap": "a judge compares pairs and gives no scores"}
    if len(prompt_ids) < MIN_PROMPTS:
        return measured, {
            "overoptimization_gap": f"{len(prompt_ids)} prompts; it needs {MIN_PROMPTS} or more"
        }
    if any(np.ptp(side[1]) == 0 for side in (told, wanted)):
        return measured, {
            "overoptimization_gap": "a judge gives every answer of the incumbent the same score"
        }
    clusters = Clusters.of(prompt_ids, rows=len(prompt_ids))

    def gap(weights: FloatArray) -> float:
        return _gain(*told, weights) - _gain(*wanted, weights)

    estimate = bootstrap_estimate(gap, clusters, method="percentile", seed=seed)
    return [*measured, Measurement(metric="overoptimization_gap", estimate=estimate, facts=named)], {}


def _gain(new: FloatArray, old: FloatArray, weights: FloatArray) -> float:
    """Mean gain in standard deviations of the incumbent's scores (n - 1); NaN without spread."""
    center = np.average(old, weights=weights)
    variance = float((weights * (old - center) ** 2).sum() / (weights.sum() - 1))
    if not variance > 0:
        return float("nan")
    return float(np.average(new - old, weights=weights)) / variance**0.5


def _scores(judged: PairJudgments) -> tuple[FloatArray, FloatArray] | None:
    if judged.candidate_scores is None or judged.incumbent_scores is None:
        return None
    return np.array(judged.candidate_scores), np.array(judged.incumbent_scores)
