"""Bradley-Terry scores with intervals: how strong each item is, from who beat whom.

P(i beats j) = sigma(s_i - s_j); a tie counts half a win for each. Annotators are taken as alike, with
`annotator_aware` they are not. Without a ridge the maximum likelihood exists only where, within each
connected group, every item can be reached from every other along wins (Ford 1957); where it does not,
there are no scores but a reason.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg
from scipy.special import expit, log_expit, ndtri, stdtrit

from accord.domain import ConfigError, DataError
from accord.quality.agreement.resampling import quantile_levels
from accord.quality.preferences.scored_pairs import ScoredPairs

IntervalMethod = Literal["sandwich", "information", "bootstrap", "none"]
INTERVAL_METHODS: tuple[IntervalMethod, ...] = ("sandwich", "information", "bootstrap", "none")
DRAWN = ("sandwich", "bootstrap")
"""Intervals that speak of rows or annotators drawn anew."""
Z95 = 1.959963984540054
DENSE_LIMIT = 1200
"""Items up to which steps are solved by a Cholesky factor; beyond, by conjugate gradients."""
CG_TOLERANCE = 1e-4
"""Relative residual of such a step; Newton's method mends the rest."""
MAX_STEP = 4.0
"""No score moves farther in one step: a longer one leaves the region where the model is quadratic."""
UNIT_BLOCK = 1 << 12
"""Rows or annotators whose influence on all items is held at a time."""
SHOWN_ITEMS = 5
"""Items named in a reason."""


@dataclass(frozen=True, kw_only=True)
class BradleyTerryConfig:
    """The penalty and the intervals."""

    ridge: float = 0.0
    """Precision of a normal prior around 0 on every score; 0 is maximum likelihood."""
    intervals: IntervalMethod = "sandwich"
    """From the spread of the rows' scores (holds where the model does not; Student's t), from the curvature,
    by bootstrap (BCa), or none. The first two need O(items^3)."""
    cluster_by_annotator: bool = False
    """Whether annotators, not rows, are what would be drawn anew: for sandwich and bootstrap."""
    replicates: int = 1000
    """Bootstrap samples."""
    seed: int = 0
    """Of the bootstrap."""
    max_iterations: int = 100
    """Newton steps at most."""
    tolerance: float = 1e-13
    """Stop when a step promises to lower the objective by less than this for each comparison."""

    def __post_init__(self) -> None:
        problems = []
        if not (np.isfinite(self.ridge) and self.ridge >= 0):
            problems.append(f"ridge is {self.ridge}, expected 0 or a positive number")
        if self.intervals not in INTERVAL_METHODS:
            problems.append(f"intervals is {self.intervals!r}, expected one of {', '.join(INTERVAL_METHODS)}")
        if self.replicates < 40:
            problems.append(f"replicates is {self.replicates}, expected 40 or more for a 95 % interval")
        if problems:
            raise ConfigError("BradleyTerryConfig", problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class BradleyTerryFit:
    """Scores in log-odds."""

    items: tuple[object, ...]
    scores: NDArray[np.float64] | None
    """[item] Sum 0 within each group; None where the maximum likelihood does not exist."""
    low: NDArray[np.float64] | None
    """[item] Lower ends of 95 % intervals of the score relative to its group's mean."""
    high: NDArray[np.float64] | None
    """[item]"""
    group: NDArray[np.intp]
    """[item] Number of the connected group of compared items; scores of different groups do not compare."""
    n_groups: int
    log_likelihood: float | None
    objectives: tuple[float, ...]
    """Penalized negative log-likelihood, step by step; never rises."""
    is_converged: bool
    failed_replicates: int
    """Bootstrap samples without a maximum likelihood, left out of the intervals."""
    reason: str | None
    """Why there are no scores, or no intervals; None where there are."""

    def probability(self, item: object, other: object) -> float | None:
        """That `item` beats `other`; None where scores do not exist or the two were never connected."""
        i, j = self.items.index(item), self.items.index(other)
        if self.scores is None or self.group[i] != self.group[j]:
            return None
        return float(expit(self.scores[i] - self.scores[j]))


@dataclass(frozen=True, eq=False)
class WinCounts:
    """Who met whom how often; `first` has the smaller number."""

    n_items: int
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    first_wins: NDArray[np.float64]
    second_wins: NDArray[np.float64]

    @property
    def games(self) -> NDArray[np.float64]:
        """[pair]"""
        return self.first_wins + self.second_wins


def count_wins(pairs: ScoredPairs) -> WinCounts:
    """Wins by pair of items, sides forgotten."""
    return _Meetings(pairs).count(None)


class _Meetings:
    """Which rows are of the same two items, found once."""

    def __init__(self, pairs: ScoredPairs):
        self.n_items = len(pairs.items)
        low, high = np.minimum(pairs.left, pairs.right), np.maximum(pairs.left, pairs.right)
        codes, self.cell = np.unique(low * self.n_items + high, return_inverse=True)
        self.first, self.second = codes // self.n_items, codes % self.n_items
        self.for_first = np.where(pairs.left < pairs.right, pairs.left_share, 1 - pairs.left_share)

    def count(self, weights: NDArray[np.float64] | None) -> WinCounts:
        """Wins where `weights` [row] say how often each row counts."""
        size = len(self.first)
        wins = self.for_first if weights is None else weights * self.for_first
        games = np.asarray(np.bincount(self.cell, weights, size), dtype=np.float64)
        first_wins = np.bincount(self.cell, wins, size).astype(np.float64)
        return WinCounts(self.n_items, self.first, self.second, first_wins, games - first_wins)


def fit_bradley_terry(pairs: ScoredPairs, config: BradleyTerryConfig | None = None) -> BradleyTerryFit:
    """Scores by Newton's method on the win counts, exact to rounding. O(rows) once, then O(pairs) a step.

    Deterministic, the same for every order of the rows, either way round of a pair and any names.
    """
    config = config or BradleyTerryConfig()
    if not len(pairs):
        raise DataError("no comparisons to fit; expected at least one")
    counts = count_wins(pairs)
    n_groups, group = connected_groups(counts)
    reason = None if config.ridge > 0 else missing_maximum(counts, pairs.items, group)
    if reason is not None:
        return BradleyTerryFit(
            items=pairs.items,
            scores=None,
            low=None,
            high=None,
            group=group,
            n_groups=n_groups,
            log_likelihood=None,
            objectives=(),
            is_converged=False,
            failed_replicates=0,
            reason=reason,
        )
    scores, objectives, is_converged = _maximize(counts, group, config, np.zeros(counts.n_items))
    half: NDArray[np.float64] | None = None
    low, high, failed = None, None, 0
    is_alone = config.cluster_by_annotator and config.intervals in DRAWN and _n_units(pairs, config) < 2
    if config.intervals == "bootstrap" and not is_alone:
        low, high, failed = _bootstrap(pairs, group, config, scores)
    elif config.intervals != "none" and not is_alone:
        half = _reach(pairs, config) * np.sqrt(np.diag(_covariance(pairs, counts, group, config, scores)))
        low, high = scores - half, scores + half
    if config.intervals == "none":
        reason = "intervals were not asked for"
    elif is_alone:
        reason = "no interval: one annotator says nothing about others"
    elif low is None:
        reason = f"{failed} of {config.replicates} bootstrap samples have no maximum likelihood; set a ridge"
    return BradleyTerryFit(
        items=pairs.items,
        scores=scores,
        low=low,
        high=high,
        group=group,
        n_groups=n_groups,
        log_likelihood=-_loss(counts, scores),
        objectives=objectives,
        is_converged=is_converged,
        failed_replicates=failed,
        reason=reason,
    )


def connected_groups(counts: WinCounts) -> tuple[int, NDArray[np.intp]]:
    """Groups of items joined by comparisons, numbered by their first item."""
    graph = csr_array(
        (np.ones(len(counts.first)), (counts.first, counts.second)), shape=(counts.n_items, counts.n_items)
    )
    n_groups, group = connected_components(graph, directed=False)
    return int(n_groups), group.astype(np.intp)


def missing_maximum(counts: WinCounts, items: tuple[object, ...], group: NDArray[np.intp]) -> str | None:
    """Why the maximum likelihood does not exist, or None where it does."""
    won, lost = counts.first_wins > 0, counts.second_wins > 0
    winner = np.concatenate([counts.first[won], counts.second[lost]])
    loser = np.concatenate([counts.second[won], counts.first[lost]])
    graph = csr_array((np.ones(len(winner)), (winner, loser)), shape=(counts.n_items, counts.n_items))
    n_strong = connected_components(graph, connection="strong", return_labels=False)
    if n_strong == group.max() + 1:
        return None
    wins, losses = np.bincount(winner, minlength=counts.n_items), np.bincount(loser, minlength=counts.n_items)
    never_won, never_lost = (
        np.flatnonzero((wins == 0) & (losses > 0)),
        np.flatnonzero((losses == 0) & (wins > 0)),
    )
    parts = [
        f"{word}: {', '.join(repr(items[k]) for k in some[:SHOWN_ITEMS])}"
        + (" ..." if len(some) > SHOWN_ITEMS else "")
        for word, some in (("never won", never_won), ("never lost", never_lost))
        if len(some)
    ]
    parts = parts or ["some items never beat, even through others, those that beat them"]
    return (
        f"the maximum likelihood does not exist, the best scores are infinite ({'; '.join(parts)}); "
        f"set a ridge, for example 0.1, or collect more comparisons"
    )


def _loss(counts: WinCounts, scores: NDArray[np.float64]) -> float:
    margin = scores[counts.first] - scores[counts.second]
    wins = counts.first_wins @ log_expit(margin) + counts.second_wins @ log_expit(-margin)
    return -float(wins)


def _maximize(
    counts: WinCounts, group: NDArray[np.intp], config: BradleyTerryConfig, scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[float, ...], bool]:
    """Newton with halving from `scores`, each group centered."""
    games = counts.games
    objective = _loss(counts, scores) + 0.5 * config.ridge * float(scores @ scores)
    objectives = [objective]
    for _ in range(config.max_iterations):
        p_first = expit(scores[counts.first] - scores[counts.second])
        surprise = counts.first_wins - games * p_first
        gradient = config.ridge * scores
        gradient -= np.bincount(counts.first, surprise, counts.n_items)
        gradient += np.bincount(counts.second, surprise, counts.n_items)
        step = _solve(counts, games * p_first * (1 - p_first), group, config.ridge, gradient)
        slope = float(gradient @ step)
        if slope <= config.tolerance * games.sum():
            # The last step is taken too: it squares what is left of the error.
            return _centered(scores - step, group), tuple(objectives), True
        length = min(1.0, MAX_STEP / np.abs(step).max())
        while length > 1e-12:
            moved = scores - length * step
            objective = _loss(counts, moved) + 0.5 * config.ridge * float(moved @ moved)
            if objective < objectives[-1]:
                break
            length /= 2
        else:
            return _centered(scores, group), tuple(objectives), slope <= 1e3 * config.tolerance * games.sum()
        scores = moved
        objectives.append(objective)
    return _centered(scores, group), tuple(objectives), False


def _centered(scores: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean 0 in each group; under a ridge it is so already, up to rounding."""
    return np.asarray(scores - (np.bincount(group, scores) / np.bincount(group))[group])


def _solve(
    counts: WinCounts,
    curvature: NDArray[np.float64],
    group: NDArray[np.intp],
    ridge: float,
    gradient: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The Newton step, without a part along the means of the groups, which no comparison tells."""
    n_items = counts.n_items
    if n_items <= DENSE_LIMIT:
        return np.asarray(cho_solve(cho_factor(_curvature(counts, curvature, group, ridge)), gradient))
    both = np.concatenate([counts.first, counts.second]), np.concatenate([counts.second, counts.first])
    beside = csr_array((-np.tile(curvature, 2), both), shape=(n_items, n_items))
    diagonal = ridge - beside.sum(axis=1)
    floor = diagonal.max() * 1e-12
    matrix = beside + diags_array(diagonal + floor)
    step, _ = cg(matrix, gradient, rtol=CG_TOLERANCE, maxiter=n_items, M=diags_array(1 / (diagonal + floor)))
    return _centered(step, group)


def _curvature(
    counts: WinCounts, curvature: NDArray[np.float64], group: NDArray[np.intp], ridge: float
) -> NDArray[np.float64]:
    """[item, item] The Hessian, with the means of the groups fixed by a term they alone feel."""
    matrix = np.zeros((counts.n_items, counts.n_items))
    matrix[counts.first, counts.second] = matrix[counts.second, counts.first] = -curvature
    diagonal = np.bincount(counts.first, curvature, counts.n_items)
    diagonal += np.bincount(counts.second, curvature, counts.n_items)
    matrix[np.diag_indices(counts.n_items)] += diagonal + ridge
    same = group[:, None] == group[None, :]
    scale = max(float(diagonal.mean()), 1.0)
    return np.asarray(matrix + scale * same / np.bincount(group)[group][:, None])


def _covariance(
    pairs: ScoredPairs,
    counts: WinCounts,
    group: NDArray[np.intp],
    config: BradleyTerryConfig,
    scores: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[item, item] Of the scores relative to the means of their groups."""
    p_first = expit(scores[counts.first] - scores[counts.second])
    hessian = _curvature(counts, counts.games * p_first * (1 - p_first), group, config.ridge)
    inverse = cho_solve(cho_factor(hessian), np.eye(counts.n_items))
    inverse -= _group_mean(group) @ inverse
    if config.intervals == "information":
        return np.asarray(inverse)
    of_units = _unit_scores(pairs, counts.n_items, config, scores)
    spread = np.asarray((of_units.T @ of_units).toarray())
    n_units = of_units.shape[0]
    if n_units > 1:
        spread *= n_units / (n_units - 1)
    return np.asarray(inverse @ spread @ inverse.T)


def _units(pairs: ScoredPairs, config: BradleyTerryConfig) -> NDArray[np.intp]:
    """[row] What would be drawn anew, numbered without gaps: the annotator or the row."""
    if not config.cluster_by_annotator:
        return np.arange(len(pairs))
    return np.unique(pairs.annotator, return_inverse=True)[1]


def _n_units(pairs: ScoredPairs, config: BradleyTerryConfig) -> int:
    return int(_units(pairs, config).max()) + 1


def _reach(pairs: ScoredPairs, config: BradleyTerryConfig) -> float:
    """Standard errors on either side of a 95 % interval; for the sandwich Student's t of its units."""
    n_units = _n_units(pairs, config)
    if config.intervals == "information" or n_units < 2:
        return Z95
    return float(stdtrit(n_units - 1, 0.975))


def _unit_scores(
    pairs: ScoredPairs, n_items: int, config: BradleyTerryConfig, scores: NDArray[np.float64]
) -> csr_array:
    """[unit, item] Derivative of each unit's log-likelihood."""
    surprise = pairs.left_share - expit(scores[pairs.left] - scores[pairs.right])
    unit = _units(pairs, config)
    return csr_array(
        (
            np.concatenate([surprise, -surprise]),
            (np.tile(unit, 2), np.concatenate([pairs.left, pairs.right])),
        ),
        shape=(int(unit.max()) + 1, n_items),
    )


def _accelerations(
    pairs: ScoredPairs,
    counts: WinCounts,
    group: NDArray[np.intp],
    config: BradleyTerryConfig,
    scores: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[item] sum u^3 / (6 (sum u^2)^1.5), u the influence of a unit (Efron 1987); 0 beyond `DENSE_LIMIT`."""
    if counts.n_items > DENSE_LIMIT:
        return np.zeros(counts.n_items)
    p_first = expit(scores[counts.first] - scores[counts.second])
    hessian = _curvature(counts, counts.games * p_first * (1 - p_first), group, config.ridge)
    inverse = cho_solve(cho_factor(hessian), np.eye(counts.n_items))
    inverse -= _group_mean(group) @ inverse
    of_units = _unit_scores(pairs, counts.n_items, config, scores)
    squares, cubes = np.zeros(counts.n_items), np.zeros(counts.n_items)
    for start in range(0, of_units.shape[0], UNIT_BLOCK):
        influence = of_units[start : start + UNIT_BLOCK] @ inverse.T
        squares += (influence**2).sum(axis=0)
        cubes += (influence**3).sum(axis=0)
    return np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(cubes), where=squares > 0)


def _group_mean(group: NDArray[np.intp]) -> NDArray[np.float64]:
    """[item, item] The matrix that puts each group's mean in place of its scores."""
    same = group[:, None] == group[None, :]
    return np.asarray(same / np.bincount(group)[group][:, None])


def _bootstrap(
    pairs: ScoredPairs, group: NDArray[np.intp], config: BradleyTerryConfig, scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, int]:
    """BCa over samples of rows or annotators (Efron 1987), and how many samples have no maximum.

    Scores of a sample are as much too far from 0 as those of the data are, and plain percentiles would count
    that twice.
    """
    generator = np.random.default_rng(config.seed)
    unit = _units(pairs, config)
    n_units = int(unit.max()) + 1
    drawn, failed = [], 0
    meetings = _Meetings(pairs)
    for _ in range(config.replicates):
        times = generator.multinomial(n_units, np.full(n_units, 1 / n_units))
        counts = meetings.count(times[unit].astype(np.float64))
        if config.ridge == 0 and missing_maximum(counts, pairs.items, group) is not None:
            failed += 1
            continue
        drawn.append(_maximize(counts, group, config, scores)[0])
    if failed > config.replicates / 20 or n_units < 2:
        return None, None, failed
    replicates = np.array(drawn)
    below = ((replicates < scores).sum(axis=0) + 0.5 * (replicates == scores).sum(axis=0)) / len(drawn)
    edge = 1 / (len(drawn) + 1)
    bias = ndtri(np.clip(below, edge, 1 - edge))
    bends = _accelerations(pairs, meetings.count(None), group, config, scores)
    ends = [
        np.quantile(column, quantile_levels(n_units, 0.95, bias=float(shift), acceleration=float(bend)))
        for column, shift, bend in zip(replicates.T, bias, bends, strict=True)
    ]
    low, high = np.array(ends).T
    return low, high, failed
