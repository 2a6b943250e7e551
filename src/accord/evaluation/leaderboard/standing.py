"""A fitted leaderboard in the form that is read: ratings on the Elo scale, from the best model on.

400 points are odds of ten to one. Leaves out fitting (`ranking.py`) and what ranks mean (`ranks.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from accord.domain.errors import ConfigError
from accord.evaluation.intervals import Estimate
from accord.evaluation.leaderboard.agreement import Agreement
from accord.evaluation.leaderboard.ranking import Ranking
from accord.evaluation.leaderboard.ranks import Ranks
from accord.evaluation.measurement import Measurement

POINTS = 400 / math.log(10)
"""Rating points of one log-odds."""
MEAN = 1000.0
"""Mean rating where no model is the anchor."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One model's place."""

    model: str
    rating: Estimate
    """Its interval is relative to the mean of all models, also where one model is the anchor."""
    rank: int
    best_rank: int
    worst_rank: int
    group: int
    first_probability: float


def anchored(ranking: Ranking, ranks: Ranks, anchor: str | None = None) -> tuple[Standing, ...]:
    """Standings from the best on; `anchor` is MODEL=RATING and moves all ratings alike."""
    shift = MEAN
    if anchor is not None:
        name, _, text = anchor.rpartition("=")
        try:
            shift = float(text) - POINTS * float(ranking.scores[ranking.models.index(name)])
        except ValueError as error:
            raise ConfigError(
                "--anchor", [f"is {anchor!r}; expected MODEL=RATING, a model of {', '.join(ranking.models)}"]
            ) from error
    order = np.argsort(-ranking.scores, kind="stable")
    return tuple(
        Standing(
            model=ranking.models[k],
            rating=Estimate(
                value=shift + POINTS * float(ranking.scores[k]),
                low=shift + POINTS * float(ranks.low[k]),
                high=shift + POINTS * float(ranks.high[k]),
                n=round(float(ranking.games[k])),
                method="bootstrap" if ranking.draws is not None else "sandwich",
            ),
            rank=place,
            best_rank=int(ranks.best[k]),
            worst_rank=int(ranks.worst[k]),
            group=int(ranks.group[k]),
            first_probability=float(ranks.first_probability[k]),
        )
        for place, k in enumerate(order, start=1)
    )


def effect_rows(ranking: Ranking, confidence: float = 0.95) -> list[dict[str, Any]]:
    """What a typical difference in style is worth, in log-odds."""
    z_value = float(ndtri(0.5 + confidence / 2))
    return [
        {"name": name, "effect": float(value), "low": float(value - z_value * error),
         "high": float(value + z_value * error)}
        for name, value, error in zip(
            ranking.covariate_names, ranking.effects, ranking.effect_errors, strict=True
        )
    ]  # fmt: skip


def to_measurements(
    standings: Sequence[Standing], facts: Mapping[str, Any], agreement: Agreement | None = None
) -> list[Measurement]:
    """What gates read: a rating for each model, separability, agreement."""
    found = [
        Measurement(
            metric="rating", slice=f"model={one.model}", estimate=one.rating, facts={"rank": one.rank}
        )
        for one in standings
    ]
    known = {"separability": float(facts["separability"])}
    if agreement is not None:
        known |= {"leaderboard_spearman": agreement.spearman, "leaderboard_agreement": agreement.pairwise}
    found += [
        Measurement(metric=name, estimate=Estimate(value=value, n=len(standings), method="no interval"))
        for name, value in known.items()
    ]
    return found
