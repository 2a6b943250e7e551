"""Pairs judged in both orders: win rate with ties, swap consistency, and what the first place is worth.

Only a pair with both orders is free of the judge's liking for a place. Pairs with one order are counted and
left out, or taken in with a flag that says so. Leaves out who judged (`judges/`), length and correction.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement

SingleOrders = Literal["drop", "keep"]


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """One candidate's answer against one incumbent's, as one judge saw it."""

    prompt_id: str
    candidate_first: float | None = None
    """Share of the win that the candidate got where its answer was shown first: 1 won, 0.5 a tie, 0 lost,
    or a probability. None where this order was not judged."""
    candidate_second: float | None = None
    """The same where its answer was shown second."""

    def __post_init__(self) -> None:
        for share in self.shares:
            if not 0 <= share <= 1:
                raise EvaluationError(
                    f"pair of prompt {self.prompt_id!r}: a share of {share}; expected 0 (lost) to 1 (won)"
                )

    @property
    def shares(self) -> tuple[float, ...]:
        """Those that were judged."""
        return tuple(one for one in (self.candidate_first, self.candidate_second) if one is not None)

    @property
    def has_both(self) -> bool:
        """True where both orders were judged."""
        return len(self.shares) == 2

    @property
    def is_consistent(self) -> bool:
        """True where both orders name the same winner, or both a tie."""
        first, second = self.shares
        return float(np.sign(first - 0.5)) == float(np.sign(second - 0.5))


@dataclass(frozen=True, kw_only=True)
class JudgedWinRate:
    """What judged pairs say of the candidate."""

    win_rate: Estimate
    """Mean share over pairs, each the mean of its orders; NaN where no pair may count."""
    wins: int
    """Pairs whose mean share is above one half."""
    ties: int
    losses: int
    consistency: Estimate
    """Share of pairs with both orders whose winner does not depend on the order."""
    position_bias: Estimate
    """Share of the win that goes to the first place, less one half, over pairs with both orders."""
    pairs: int
    """Pairs with at least one order."""
    single_orders: int
    """Of them with one order only."""
    empty: int
    """Pairs without any judgment."""
    flags: tuple[str, ...]
    """What to be careful about, in words."""


def measure_judged_pairs(
    pairs: Sequence[JudgedPair],
    *,
    single_orders: SingleOrders = "drop",
    confidence: float = 0.95,
    seed: int = 0,
) -> JudgedWinRate:
    """Everything that both orders tell, intervals clustered by prompt; the order of pairs does not matter.

    Where no pair has both orders, consistency and bias are not measured (NaN, no interval), and so is the
    win rate unless `single_orders` is "keep". No pair at all raises.
    """
    if single_orders not in get_args(SingleOrders):
        raise ConfigError("single orders", [f"are {single_orders!r}; expected drop or keep"])
    if not pairs:
        raise EvaluationError("there are no judged pairs")
    judged = [pair for pair in pairs if pair.shares]
    both = [pair for pair in judged if pair.has_both]
    counted = judged if single_orders == "keep" else both
    means = np.array([float(np.mean(pair.shares)) for pair in counted])
    ids = [pair.prompt_id for pair in counted]
    both_ids = [pair.prompt_id for pair in both]
    nothing = Estimate(value=math.nan, n=0, method="not measured", confidence=confidence)
    win_rate = consistency = bias = nothing
    if counted:
        win_rate = share_estimate(means, ids, confidence=confidence, seed=seed)
    if both:
        agreed = [float(pair.is_consistent) for pair in both]
        consistency = share_estimate(agreed, both_ids, confidence=confidence, seed=seed)
        leaning = [first + (1 - second) for first, second in (pair.shares for pair in both)]
        bias = mean_estimate(np.array(leaning) / 2 - 0.5, both_ids, confidence=confidence, seed=seed)
        if np.ptp(leaning) == 0:
            # Resampling equal rows would claim certainty.
            bias = Estimate(
                value=bias.value, n=bias.n, method="no interval: equal rows", confidence=confidence
            )
    return JudgedWinRate(
        win_rate=win_rate,
        wins=int((means > 0.5).sum()),
        ties=int((means == 0.5).sum()),
        losses=int((means < 0.5).sum()),
        consistency=consistency,
        position_bias=bias,
        pairs=len(judged),
        single_orders=len(judged) - len(both),
        empty=len(pairs) - len(judged),
        flags=tuple(_flags(len(pairs), judged, both, bias, single_orders)),
    )


def to_measurements(found: JudgedWinRate) -> list[Measurement]:
    """What gates read: win_rate, swap_consistency, position_bias."""
    facts = {"single_orders": found.single_orders, "empty": found.empty, "flags": list(found.flags)}
    named = {
        "win_rate": found.win_rate,
        "swap_consistency": found.consistency,
        "position_bias": found.position_bias,
    }
    return [Measurement(metric=name, estimate=value, facts=facts) for name, value in named.items()]


def vote_shares(pairs: Sequence[JudgedPair], *, single_orders: SingleOrders = "drop") -> list[float]:
    """Share of the win of each pair that counts, in the order given, for bounds that hold at every look."""
    return [
        float(np.mean(pair.shares))
        for pair in pairs
        if pair.shares and (pair.has_both or single_orders == "keep")
    ]


def _flags(
    total: int,
    judged: Sequence[JudgedPair],
    both: Sequence[JudgedPair],
    bias: Estimate,
    single_orders: SingleOrders,
) -> list[str]:
    flags = []
    alone = len(judged) - len(both)
    if alone:
        kept = "count all the same: the win rate holds the judge's liking for a place"
        done = kept if single_orders == "keep" else "are left out"
        flags.append(f"{alone} pairs were judged in one order only and {done}")
    if len(judged) < total:
        flags.append(f"{total - len(judged)} pairs have no judgment and count nowhere")
    if not both:
        flags.append("no pair was judged in both orders: consistency and position bias are not measured")
    if bias.is_above(0.0) or bias.is_below(0.0):
        flags.append(f"the judge leans to the {'first' if bias.value > 0 else 'second'} place")
    return flags
