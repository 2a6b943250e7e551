"""Plackett-Luce scores from rankings, with ties and of parts of the items only.

A ranking is made stage by stage: of the items left, a group C is taken as the best among all groups

    f(C) = nu_|C| * exp(mean of s over C),  nu_1 = 1,   P(C) = f(C) / sum of f over groups

up to the largest size of a tie in the data (Turner, van Etten, Firth and Kosmidis 2020). Without ties
this is Plackett (1975) and Luce (1959), of two items Bradley-Terry or Davidson's ties. Items that were
shown but not ranked stay among those left; items not shown say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from accord.domain import ConfigError, DataError, Ranking
from accord.quality.preferences.bradley_terry import WinCounts, connected_groups, missing_maximum

NOT_RANKED = 0
"""Rank of an item that was shown, and comes somewhere after those ranked."""
LARGEST_TIE = 4
"""Items that may share a rank: of larger ties there are too few to tell their weights."""
CURVATURE_STEP = 1e-4
"""Of the central differences of the exact gradient; their error is of the order of its square."""
Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class PlackettLuceConfig:
    """The penalty and when to stop."""

    ridge: float = 0.0
    """Precision of a normal prior around 0 on every score and log tie weight; 0 is maximum likelihood."""
    has_intervals: bool = True
    """Whether to compute intervals: one gradient for each item and side."""
    max_iterations: int = 1000
    """L-BFGS steps at most."""

    def __post_init__(self) -> None:
        problems = []
        if not (np.isfinite(self.ridge) and self.ridge >= 0):
            problems.append(f"ridge is {self.ridge}, expected 0 or a positive number")
        if problems:
            raise ConfigError("PlackettLuceConfig", problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedLists:
    """Rankings stage by stage. Built by `tabulate_rankings`."""

    items: tuple[Any, ...]
    """Ids in sorted order."""
    left_items: NDArray[np.intp]
    """[stage, place] Items to choose from; 0 where there is none."""
    is_left: NDArray[np.bool_]
    """[stage, place]"""
    is_chosen: NDArray[np.bool_]
    """[stage, place]"""
    n_lists: int

    @property
    def tie_sizes(self) -> NDArray[np.intp]:
        """[stage] How many items were chosen together."""
        return np.asarray(self.is_chosen.sum(axis=1), dtype=np.intp)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlackettLuceFit:
    """Scores in log-odds; None where the maximum likelihood does not exist."""

    items: tuple[Any, ...]
    scores: NDArray[np.float64] | None
    """[item] Sum 0."""
    low: NDArray[np.float64] | None
    """[item] Lower ends of 95 % intervals, from the curvature."""
    high: NDArray[np.float64] | None
    tie_weights: tuple[float, ...]
    """nu for ties of 2, 3, ... items; empty where no items are tied."""
    log_likelihood: float | None
    is_converged: bool
    reason: str | None
    """Why there are no scores, or None."""


def tabulate_rankings(
    lists: Sequence[Sequence[Any]], ranks: Sequence[Sequence[int]], *, largest_tie: int = LARGEST_TIE
) -> RankedLists:
    """`lists` of items with their `ranks`: 1 is best, equal ranks are ties, 0 is shown but not ranked.

    Ranks may leave numbers out. Raises on a list of one item, an item twice, or a tie above `largest_tie`.
    """
    if not len(lists):
        raise DataError("no rankings; expected at least one")
    if len(lists) != len(ranks):
        raise DataError(f"{len(lists)} lists have {len(ranks)} rows of ranks, expected one each")
    names = {name for listed in lists for name in listed}
    try:
        items = tuple(sorted(names))
    except TypeError:
        items = tuple(sorted(names, key=repr))
    number_of = {name: k for k, name in enumerate(items)}
    stages: list[tuple[list[int], list[bool]]] = []
    for row, (listed, own_ranks) in enumerate(zip(lists, ranks, strict=True)):
        _check_ranking(row, listed, own_ranks)
        numbers = [number_of[name] for name in listed]
        for rank in sorted(set(own_ranks) - {NOT_RANKED}):
            left = [k for k, own in zip(numbers, own_ranks, strict=True) if own >= rank or own == NOT_RANKED]
            chosen = [own == rank for own in own_ranks if own >= rank or own == NOT_RANKED]
            if sum(chosen) > largest_tie:
                raise DataError(
                    f"ranking {row}: {sum(chosen)} items share rank {rank}, expected at most {largest_tie}; "
                    f"give items of unknown order rank 0, or raise largest_tie"
                )
            if len(left) > 1:
                stages.append((left, chosen))
    width = max((len(left) for left, _ in stages), default=2)
    left_items = np.zeros((len(stages), width), dtype=np.intp)
    is_left, is_chosen = np.zeros(left_items.shape, dtype=bool), np.zeros(left_items.shape, dtype=bool)
    for k, (left, chosen) in enumerate(stages):
        left_items[k, : len(left)], is_left[k, : len(left)], is_chosen[k, : len(left)] = left, True, chosen
    return RankedLists(
        items=items, left_items=left_items, is_left=is_left, is_chosen=is_chosen, n_lists=len(lists)
    )


def rankings_from_records(records: Sequence[Ranking], *, largest_tie: int = LARGEST_TIE) -> RankedLists:
    """Ranking records as stages; each answer to a prompt is an item (prompt id, text)."""
    lists = [[(record.prompt.id, text) for text in record.completions] for record in records]
    return tabulate_rankings(lists, [record.ranks for record in records], largest_tie=largest_tie)


def fit_plackett_luce(rankings: RankedLists, config: PlackettLuceConfig | None = None) -> PlackettLuceFit:
    """Scores and tie weights; deterministic, the same for every order of rankings and of their items."""
    config = config or PlackettLuceConfig()
    reason = None if config.ridge > 0 else _missing(rankings)
    n_items = len(rankings.items)
    n_ties = max(int(rankings.tie_sizes.max(initial=1)), 1) - 1
    if reason is not None:
        return PlackettLuceFit(
            items=rankings.items,
            scores=None,
            low=None,
            high=None,
            tie_weights=(),
            log_likelihood=None,
            is_converged=False,
            reason=reason,
        )

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = plackett_luce_loss(rankings, point)
        return value + 0.5 * config.ridge * float(point @ point), gradient + config.ridge * point

    options = {"maxiter": config.max_iterations, "ftol": 0.0, "gtol": 1e-9 * max(1, rankings.n_lists)}
    found = minimize(
        objective, np.zeros(n_items + n_ties), jac=True, method="L-BFGS-B", options=options | {"maxcor": 30}
    )
    point = found.x.copy()
    point[:n_items] -= point[:n_items].mean()
    low, high = _intervals(objective, point, n_items) if config.has_intervals else (None, None)
    largest = float(np.abs(objective(point)[1]).max())
    return PlackettLuceFit(
        items=rankings.items,
        scores=point[:n_items],
        low=low,
        high=high,
        tie_weights=tuple(np.exp(point[n_items:]).tolist()),
        log_likelihood=-plackett_luce_loss(rankings, point)[0],
        is_converged=largest < 1e-5 * max(1, rankings.n_lists),
        reason=None,
    )


def plackett_luce_loss(
    rankings: RankedLists, point: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Negative log-likelihood and gradient at scores followed by log tie weights of 2, 3, ...

    The sum over groups of k of the items left is the elementary symmetric polynomial of degree k in
    exp(s / k), by products of (1 + x z) from both ends: O(stages * places * k).
    """
    n_items = len(rankings.items)
    sizes = np.arange(1, len(point) - n_items + 2)
    log_weights = np.concatenate([[0.0], point[n_items:]])
    scores = np.where(rankings.is_left, point[rankings.left_items], -np.inf)
    peak = scores.max(axis=1, keepdims=True, initial=-1e300)
    share = np.zeros((len(sizes), *scores.shape))
    totals = np.empty((len(sizes), len(scores)))
    for k, size in enumerate(sizes):
        polynomial, without = _symmetric(np.exp((scores - peak) / size), int(size))
        totals[k] = np.exp(log_weights[k]) * polynomial
        share[k] = np.exp(log_weights[k]) * without
    total = totals.sum(axis=0)
    chosen = rankings.tie_sizes
    mean_score = np.where(rankings.is_chosen, scores - peak, 0.0).sum(axis=1) / chosen
    value = -(log_weights[chosen - 1] + mean_score - np.log(total)).sum()
    by_place = (share / sizes[:, None, None]).sum(axis=0) / total[:, None]
    by_place -= rankings.is_chosen / chosen[:, None]
    gradient = np.bincount(rankings.left_items.ravel(), by_place.ravel(), n_items)
    by_tie = (totals[1:] / total).sum(axis=1) - np.bincount(chosen, minlength=len(sizes) + 1)[2:]
    return float(value), np.concatenate([gradient, by_tie])


def _symmetric(values: NDArray[np.float64], degree: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[stage] Elementary symmetric polynomial of `values` [stage, place], and [stage, place] its terms
    that hold each place: value times the polynomial of one degree less in the others."""
    n_stages, width = values.shape
    before = np.zeros((width + 1, degree + 1, n_stages))
    after = np.zeros((width + 1, degree + 1, n_stages))
    before[0, 0] = after[width, 0] = 1.0
    for i in range(width):
        before[i + 1] = before[i]
        before[i + 1, 1:] += values[:, i] * before[i, :-1]
        k = width - 1 - i
        after[k] = after[k + 1]
        after[k, 1:] += values[:, k] * after[k + 1, :-1]
    others = np.zeros((width, n_stages))
    for j in range(degree):
        others += before[:-1, j] * after[1:, degree - 1 - j]
    return before[width, degree], values * others.T


def _intervals(
    objective: Any, point: NDArray[np.float64], n_items: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % intervals of scores relative to their mean, from differences of the gradient."""
    size = len(point)
    curvature = np.empty((size, size))
    for k in range(size):
        ahead, behind = point.copy(), point.copy()
        ahead[k] += CURVATURE_STEP
        behind[k] -= CURVATURE_STEP
        curvature[k] = (objective(ahead)[1] - objective(behind)[1]) / (2 * CURVATURE_STEP)
    curvature = (curvature + curvature.T) / 2
    # The mean of the scores is told by no ranking; this fixes it and takes no part in the differences.
    curvature[:n_items, :n_items] += 1.0
    covariance = np.linalg.inv(curvature)[:n_items, :n_items]
    centering = np.eye(n_items) - 1 / n_items
    half = Z95 * np.sqrt(np.diag(centering @ covariance @ centering))
    return point[:n_items] - half, point[:n_items] + half


def _check_ranking(row: int, listed: Sequence[Any], ranks: Sequence[int]) -> None:
    if len(listed) != len(ranks) or len(listed) < 2:
        raise DataError(
            f"ranking {row} has {len(listed)} items and {len(ranks)} ranks, expected two or more items and a "
            f"rank for each"
        )
    if len(set(listed)) < len(listed):
        raise DataError(f"ranking {row} holds an item twice; remove one")
    if min(ranks) < NOT_RANKED:
        raise DataError(f"ranking {row} has rank {min(ranks)}, expected 1 (best) or more, 0 for not ranked")


def _missing(rankings: RankedLists) -> str | None:
    """Why the maximum likelihood does not exist, or None: wins along the rankings, a tie as both ways."""
    if not len(rankings.left_items):
        return "no item is ranked above another; set a ridge or collect rankings"
    above, below = [], []
    for k in range(rankings.left_items.shape[1]):
        beaten = rankings.is_chosen & rankings.is_left[:, [k]]
        beaten[:, k] = False
        row, place = np.nonzero(beaten)
        above.append(rankings.left_items[row, place])
        below.append(np.broadcast_to(rankings.left_items[row, k], row.shape))
    winner, loser = np.concatenate(above), np.concatenate(below)
    one = np.ones(len(winner))
    counts = WinCounts(len(rankings.items), winner, loser, one, 0 * one)
    n_groups, group = connected_groups(counts)
    if n_groups > 1:
        return f"the rankings fall into {n_groups} groups that never meet; set a ridge or fit each group"
    unseen = set(range(1, int(rankings.tie_sizes.max()) + 1)) - set(rankings.tie_sizes.tolist())
    if unseen:
        what = "no item is ever alone at a rank" if 1 in unseen else f"no tie is of {min(unseen)} items"
        return f"{what}, but larger ties occur, so that tie weights have no finite estimate; set a ridge"
    return missing_maximum(counts, rankings.items, group)
