"""A reward model against people's rankings of several answers: best-of-k accuracy and Kendall's tau-b.

    {"prompt_id": "7", "rewards": [1.2, 0.3, -0.4], "ranks": [1, 3, 2]}

Rank 1 is best, equal ranks are ties. Leaves out pairs (`reward_accuracy.py`) and scoring (the pipeline's).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import finite_array
from accord.evaluation.imports.log_file import read_log
from accord.evaluation.intervals import mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class RankedAnswers:
    """Answers to one prompt as a reward model scored and people ranked them."""

    prompt_id: str
    rewards: tuple[float, ...]
    ranks: tuple[float, ...]
    """1 is best; equal ranks are ties."""

    def __post_init__(self) -> None:
        if len(self.rewards) != len(self.ranks) or len(self.ranks) < 2:
            raise EvaluationError(
                f"prompt {self.prompt_id!r} has {len(self.rewards)} rewards and {len(self.ranks)} ranks; "
                f"expected one of each for two answers or more"
            )


@dataclass(frozen=True, kw_only=True)
class RankedLists:
    """Lists of one reward model, and where they come from."""

    rows: tuple[RankedAnswers, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_ranked_answers(path: Path) -> RankedLists:
    """Lists from JSON lines, a JSON list or CSV (also .gz); numbers that are none raise with the line."""
    log = read_log(path)
    rows = log.records()
    if not rows or not {"prompt_id", "rewards", "ranks"} <= set(rows[0][1]):
        raise log.refuse("expected rows with prompt_id, rewards and ranks")
    found = []
    for line, row in rows:
        if row.get("prompt_id") in (None, ""):
            raise log.refuse("there is no prompt_id", line)
        lists = {name: log.numbers(line, row, name) for name in ("rewards", "ranks")}
        try:
            found.append(RankedAnswers(prompt_id=str(row["prompt_id"]), **lists))
        except EvaluationError as error:
            raise log.refuse(str(error), line) from error
    return RankedLists(
        rows=tuple(found), facts={"rankings_file": Path(path).name, "rankings_sha256": log.digest}
    )


def measure_rankings(lists: RankedLists, *, seed: int = 0) -> tuple[list[Measurement], dict[str, str]]:
    """`reward_best_of_k` and `reward_kendall_tau`, over all and by number of answers; why one has no number.

    Best of k: whether the highest reward is on an answer that people ranked first; equal highest rewards
    count the share of them that are. `chance` in the facts is what a blind choice gives. Tau is the mean of
    the lists' tau-b; a list that people did not order at all is left out and counted, one that the rewards
    do not order counts 0. Intervals resample prompts. No list raises.
    """
    if not lists.rows:
        raise EvaluationError("there is no ranking to measure (n = 0)")
    sizes = sorted({len(row.ranks) for row in lists.rows})
    parts = {"all": list(lists.rows)}
    if len(sizes) > 1:
        parts |= {f"k={k}": [row for row in lists.rows if len(row.ranks) == k] for k in sizes}
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    for name, rows in parts.items():
        ids = [row.prompt_id for row in rows]
        best = [best_of_k(row.rewards, row.ranks) for row in rows]
        chance = float(np.mean([row.ranks.count(min(row.ranks)) / len(row.ranks) for row in rows]))
        facts = {**lists.facts, "lists": len(rows), "seed": seed}
        measured.append(
            Measurement(
                metric="reward_best_of_k",
                slice=name,
                estimate=share_estimate(best, ids, seed=seed),
                facts={**facts, "chance": chance},
            )
        )
        ordered = [row for row in rows if len(set(row.ranks)) > 1]
        if not ordered:
            missing[f"reward_kendall_tau, {name}"] = "people ranked all answers of every list alike"
            continue
        taus = [kendall_tau_b(row.rewards, [-rank for rank in row.ranks]) for row in ordered]
        values = [0.0 if math.isnan(tau) else tau for tau in taus]
        measured.append(
            Measurement(
                metric="reward_kendall_tau",
                slice=name,
                estimate=mean_estimate(values, [row.prompt_id for row in ordered], seed=seed),
                facts={**facts, "all_tied": len(rows) - len(ordered)},
            )
        )
    return measured, missing


def best_of_k(rewards: ArrayLike, ranks: ArrayLike) -> float:
    """Share of the answers with the highest reward that people ranked first."""
    reward = finite_array(rewards, name="rewards")
    rank = finite_array(ranks, name="ranks", length=len(reward))
    return float((rank[reward == reward.max()] == rank.min()).mean())


def kendall_tau_b(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two columns, for ordinal values with ties; in [-1, 1].

        (concordant - discordant) / sqrt(pairs not tied in first * pairs not tied in second)

    Kendall 1945. NaN where one column is all alike, n = 1 included.
    """
    one = finite_array(first, name="first column")
    other = finite_array(second, name="second column", length=len(one))
    left, right = (np.sign(column[:, None] - column[None, :]) for column in (one, other))
    untied = float((left**2).sum()) * float((right**2).sum())
    return float((left * right).sum()) / math.sqrt(untied) if untied > 0 else math.nan
