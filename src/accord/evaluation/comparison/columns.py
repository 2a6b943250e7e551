"""One number a prompt and side: levels, paired difference, tests and what the prompts could have shown.

Leaves out which numbers are taken (`texts.py`, `comparing.py`).
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from accord.evaluation.clusters import Clusters, finite_array
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate, wilson
from accord.evaluation.measurement import Measurement
from accord.evaluation.paired import mcnemar, paired_share_interval, sign_flip
from accord.evaluation.planning import detectable_effect

INCUMBENT = "side=incumbent"
"""Slice of the incumbent's own level; the candidate's is "all"."""


def paired_measurements(
    metric: str,
    candidate: ArrayLike,
    incumbent: ArrayLike,
    prompt_ids: Sequence[Hashable],
    *,
    is_share: bool,
    seed: int,
    facts: Mapping[str, Any],
) -> list[Measurement]:
    """Level of the candidate, level of the incumbent, and candidate minus incumbent with its tests.

    `is_share` says that values lie in [0, 1]; where they are all 0 or 1 the exact McNemar test is among the
    facts of the difference, beside the sign flip test by prompt.
    """
    first = finite_array(candidate, name=f"{metric} of the candidate")
    second = finite_array(incumbent, name=f"{metric} of the incumbent", length=len(first))
    level = share_estimate if is_share else mean_estimate
    return [
        Measurement(
            metric=metric,
            estimate=level(first, prompt_ids, seed=seed),
            facts=dict(facts),
            deviation=_sd(first),
        ),
        Measurement(
            metric=metric, slice=INCUMBENT, estimate=level(second, prompt_ids, seed=seed), facts=dict(facts)
        ),
        difference_measurement(metric, first, second, prompt_ids, is_share=is_share, seed=seed, facts=facts),
    ]


def difference_measurement(
    metric: str,
    candidate: ArrayLike,
    incumbent: ArrayLike,
    prompt_ids: Sequence[Hashable],
    *,
    is_share: bool,
    seed: int,
    facts: Mapping[str, Any],
    slice: str = "all",
) -> Measurement:
    """Candidate minus incumbent, paired by prompt; `p_sign_flip`, `p_mcnemar` and the detectable effect."""
    first, second = np.asarray(candidate, dtype=float), np.asarray(incumbent, dtype=float)
    gap = first - second
    found: dict[str, Any] = {**facts, "p_sign_flip": sign_flip(gap, prompt_ids, seed=seed)}
    is_binary = bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())
    if is_share and is_binary:
        test = mcnemar(first, second)
        found |= {"p_mcnemar_exact": test.exact_p, "only_candidate": test.only_candidate}
        found["only_incumbent"] = test.only_incumbent
    deviation = _sd(gap)
    if deviation:
        found["detectable_effect"] = detectable_effect(deviation, len(gap))
    return Measurement(
        metric=metric,
        slice=slice,
        versus="incumbent",
        estimate=paired_share_interval(first, second)
        if is_share and is_binary and np.ptp(gap) > 0 and Clusters.of(prompt_ids, rows=len(gap)).is_single
        else _gap_estimate(gap, prompt_ids, is_share=is_share, seed=seed),
        deviation=deviation,
        facts=found,
    )


def _gap_estimate(gap: np.ndarray, prompt_ids: Sequence[Hashable], *, is_share: bool, seed: int) -> Estimate:
    """Mean difference by the cluster bootstrap, which would claim certainty where no prompt differs.

    There at most the upper Wilson bound of 0 in n prompts differs, by 1 at most for shares.
    """
    clusters = Clusters.of(prompt_ids, rows=len(gap))
    if not is_share or clusters.count < 2 or np.ptp(gap) > 0:
        return mean_estimate(gap, prompt_ids, seed=seed)
    reach = wilson(0, clusters.count).high
    value = float(gap[0])
    return Estimate(
        value=value,
        low=max(-1.0, value - reach),
        high=min(1.0, value + reach),
        n=len(gap),
        method=f"wilson bound of no difference in {clusters.count} prompts",
    )


def _sd(values: np.ndarray) -> float | None:
    """Standard deviation of one row with n - 1; None for one row."""
    found = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return found if math.isfinite(found) else None
