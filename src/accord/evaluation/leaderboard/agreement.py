"""A leaderboard held against another one: the same order, and where both are sure of it.

Leaves out making either of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from accord.domain.errors import EvaluationError
from accord.evaluation.imports.log_file import read_log
from accord.evaluation.intervals import Estimate
from accord.evaluation.meta_metrics import pairwise_agreement

NAMES = ("model", "name", "index")
SCORES = ("score", "rating", "elo", "win_rate")
BOUNDS = (("low", "high"), ("lower", "upper"), ("rating_q025", "rating_q975"))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two leaderboards, over the models that both have."""

    models: int
    pearson: float
    spearman: float
    pairwise: float
    """Share of pairs in the same strict order."""
    confidence: float | None
    """Mean over pairs: 1 where both separate them in one order, -1 in opposite orders, 0 where one does
    not (Li et al. 2024); None where one side has no intervals."""


def measure_agreement(scores: Mapping[str, Estimate], reference: Mapping[str, Estimate]) -> Agreement:
    """Compare on the shared models, higher being better; fewer than three raise."""
    shared = sorted(set(scores) & set(reference))
    if len(shared) < 3:
        raise EvaluationError(
            f"{len(shared)} models are on both leaderboards; three are needed. Names must be the same: "
            f"{', '.join(list(scores)[:3])} and {', '.join(list(reference)[:3])}"
        )
    mine, theirs = ({name: side[name].value for name in shared} for side in (scores, reference))
    ends = np.array([[mine[name], theirs[name]] for name in shared])
    has_all = all(side[name].has_interval for side in (scores, reference) for name in shared)
    return Agreement(
        models=len(shared),
        pearson=float(np.corrcoef(ends.T)[0, 1]),
        spearman=float(spearmanr(ends[:, 0], ends[:, 1]).statistic),
        pairwise=pairwise_agreement(mine, theirs),
        confidence=_confidence(scores, reference, shared) if has_all else None,
    )


def read_leaderboard(path: Path) -> dict[str, Estimate]:
    """Model to score from JSON (a list), JSON lines or CSV: model, score, and bounds where there are some."""
    log = read_log(path)
    rows = [row for _, row in log.rows]
    if log.kind == "json":
        value = log.value.get("models") if isinstance(log.value, dict) else log.value
        rows = value if isinstance(value, list) and all(isinstance(row, dict) for row in value) else []
    first = rows[0] if rows else {}
    name = next((one for one in NAMES if one in first), None)
    score = next((one for one in SCORES if one in first), None)
    if name is None or score is None:
        raise log.refuse(f"expected rows with model and score; found {', '.join(first) or 'none'}")
    bounds = next((pair for pair in BOUNDS if set(pair) <= set(first)), None)
    found = {}
    for number, row in enumerate(rows, start=1):
        try:
            ends = [float(row[column]) for column in bounds or ()]
            value = float(row[score])
        except (KeyError, TypeError, ValueError) as error:
            raise log.refuse(f"row {number}: {score} or its bounds are no number") from error
        if str(row[name]) in found or not np.isfinite(value):
            raise log.refuse(f"row {number}: {row[name]!r} is there twice or its score is {value}")
        low, high = sorted(ends) if ends else (np.nan, np.nan)
        found[str(row[name])] = Estimate(value=value, low=low, high=high)
    return found


def _confidence(
    scores: Mapping[str, Estimate], reference: Mapping[str, Estimate], shared: list[str]
) -> float:
    pairs = list(combinations(shared, 2))
    return sum(_order(scores, pair) * _order(reference, pair) for pair in pairs) / len(pairs)


def _order(scores: Mapping[str, Estimate], pair: tuple[str, str]) -> int:
    """1 where the first is better for sure, -1 where the second is, 0 else."""
    one, two = scores[pair[0]], scores[pair[1]]
    return int(one.low > two.high) - int(two.low > one.high)
