"""How often the pooled label of an item is the opposite of what a group's majority says.

A majority vote erases whoever is in the minority on it. Some of that is chance: a few votes drawn from the
item's own, whoever gave them, oppose the rest now and then. That part is exact and told beside it. Leaves out
agreement within groups (`accord quality report --group`).
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import hypergeom

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate, share_estimate
from accord.evaluation.reward_groups import MIN_GROUP, measure_groups

LEAST_VOTES = 5
"""Of a group on an item: of fewer people a majority says little, and might tell who they are."""


@dataclass(frozen=True, kw_only=True)
class GroupErasure:
    """One group."""

    name: str
    erased: Estimate
    """Share of its items on which the pooled label is the opposite of the group's majority."""
    excess: Estimate
    """The same less what votes dealt at random among the item's people would give, which is held fixed.
    Erased items are few: a bootstrap of the differences held the truth in .907 of 500 draws."""
    expected: float
    """What such votes give."""
    n_items: int


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """All groups large enough."""

    groups: tuple[GroupErasure, ...]
    """By name; the intervals of `erased` hold together (max-t)."""
    worst: str
    worst_erased: Estimate
    """Bounds for whichever group is truly erased most."""
    too_few: dict[str, int]
    """Groups that are not shown, with their items."""


def measure_erasure(
    items: Sequence[Hashable],
    groups: Sequence[str],
    votes: Sequence[tuple[int, int]],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    least_votes: int = LEAST_VOTES,
    min_items: int = MIN_GROUP,
    seed: int = 0,
) -> Erasure:
    """One row an item and group: votes for one side and for the other; an item's label is that of them all.

    Even votes are no majority: an item whose pooled votes are even is left out, one on which the group is
    even is not erased. Rows of fewer than `least_votes` votes count for the pooled label alone. Intervals
    resample prompts (items where none are given). No group with `min_items` items raises.
    """
    ids = list(items) if prompt_ids is None else list(prompt_ids)
    if not len(items) == len(groups) == len(votes) == len(ids):
        raise EvaluationError(
            f"{len(items)} items, {len(groups)} groups, {len(votes)} votes and {len(ids)} prompts; expected "
            f"one of each a row"
        )
    pooled: dict[Hashable, np.ndarray] = defaultdict(lambda: np.zeros(2, dtype=np.int64))
    for item, pair in zip(items, votes, strict=True):
        pooled[item] += pair
    kept = [i for i, pair in enumerate(votes) if sum(pair) >= least_votes and np.ptp(pooled[items[i]]) > 0]
    if not kept:
        raise EvaluationError(
            f"no group has {least_votes} votes on an item whose pooled votes are uneven; fewer would say "
            f"little of a group and may tell who its people are"
        )
    erased = np.array([_is_erased(pooled[items[i]], votes[i]) for i in kept], dtype=np.float64)
    expected = np.array([_chance_of_erasure(pooled[items[i]], sum(votes[i])) for i in kept])
    names = [str(groups[i]) for i in kept]
    rows = [ids[i] for i in kept]
    shown = measure_groups(1.0 - erased, names, rows, min_group=min_items, seed=seed)
    found = []
    for one in shown.groups:
        places = [k for k, name in enumerate(names) if name == one.name]
        share = share_estimate(erased[places], [rows[k] for k in places], seed=seed)
        chance = float(expected[places].mean())
        found.append(
            GroupErasure(
                name=one.name,
                erased=_complement(one.accuracy),
                excess=replace(
                    share, value=share.value - chance, low=share.low - chance, high=share.high - chance
                ),
                expected=chance,
                n_items=len(places),
            )
        )
    return Erasure(
        groups=tuple(found),
        worst=shown.worst,
        worst_erased=_complement(shown.worst_accuracy),
        too_few=shown.too_few,
    )


def _is_erased(pooled: np.ndarray, own: tuple[int, int]) -> bool:
    return int(np.sign(pooled[0] - pooled[1])) == -int(np.sign(own[0] - own[1]))


def _chance_of_erasure(pooled: np.ndarray, drawn: int) -> float:
    """Chance that `drawn` of the item's votes, taken at random, have the opposite strict majority."""
    larger = int(pooled.max())
    return float(hypergeom((int(pooled.sum())), larger, drawn).cdf((drawn - 1) // 2))


def _complement(share: Estimate) -> Estimate:
    return replace(share, value=1.0 - share.value, low=1.0 - share.high, high=1.0 - share.low)
