"""Do people tire? The slope of correctness, or of a score, on the minutes since a session began.

    outcome = session effect (+ item effect) + slope * minutes + error

A linear model with fixed effects of sessions, which hold the annotator, his day and his usual level;
item effects take out that hard items may come late. Linear rather than logistic (the mixed logistic
model is the usual form): the outcome may be an expected correctness, and the interval needs no
distribution. The interval is cluster-robust over annotators, CR2 with the degrees of freedom of Bell
and McCaffrey 2002, both in closed form since the other effects are projected out first; it allows for slopes
that differ between annotators and for errors that hang together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from accord.domain import EvaluationError
from accord.quality.people.intervals import Estimate

MS_PER_MINUTE = 60_000.0
PROJECTIONS = 500
"""Sweeps at most of taking session and item means out in turn."""
SETTLED = 1e-10
"""The sweeps stop when no value moves by more than this share of the spread."""


@dataclass(frozen=True)
class FatigueSlope:
    """The common slope and each annotator's."""

    per_hour: Estimate
    """Change of the outcome in an hour of one session; n is the number of annotators it rests on."""
    p_value: float | None
    """Two-sided, for no slope."""
    degrees_of_freedom: float | None
    n_judgments: int
    n_sessions: int
    annotators: tuple[Any, ...]
    """Names, in sorted order."""
    per_annotator: tuple[Estimate, ...]
    """Each one's own slope an hour, cluster-robust over his sessions; none with fewer than 3 sessions."""


def split_sessions(
    annotators: ArrayLike, timestamps_ms: ArrayLike, *, gap_minutes: float = 30.0
) -> NDArray[np.int64]:
    """[judgment] Number of the session: a new one for each annotator and after each pause over the gap."""
    _, people = np.unique(np.asarray(annotators), return_inverse=True)
    times = np.asarray(timestamps_ms, dtype=np.float64)
    if len(people) != len(times):
        raise EvaluationError(f"{len(people)} annotators and {len(times)} timestamps; expected equal lengths")
    if not np.isfinite(times).all():
        raise EvaluationError("a timestamp is missing or not finite; leave such judgments out")
    order = np.lexsort((times, people))
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.diff(people[order]) != 0
    begins[1:] |= np.diff(times[order]) > gap_minutes * MS_PER_MINUTE
    sessions = np.empty(len(order), dtype=np.int64)
    sessions[order] = np.cumsum(begins) - 1
    return sessions


def minutes_in_session(sessions: ArrayLike, timestamps_ms: ArrayLike) -> NDArray[np.float64]:
    """[judgment] Minutes since the first judgment of its session."""
    _, index = np.unique(np.asarray(sessions), return_inverse=True)
    times = np.asarray(timestamps_ms, dtype=np.float64)
    first = np.full(int(index.max(initial=-1)) + 1, np.inf)
    np.minimum.at(first, index, times)
    return np.asarray((times - first[index]) / MS_PER_MINUTE)


def fit_fatigue(
    outcomes: ArrayLike,
    minutes: ArrayLike,
    *,
    annotators: ArrayLike,
    sessions: ArrayLike,
    items: ArrayLike | None = None,
    level: float = 0.95,
) -> FatigueSlope:
    """Slope of the outcome [judgment] on minutes, within sessions and, with `items`, within items.

    One annotator has no clusters: the estimate then has no interval and says so. Nobody with two
    judgments at different minutes of a session gives no value.
    """
    outcome = np.asarray(outcomes, dtype=np.float64)
    clock = np.asarray(minutes, dtype=np.float64) / 60.0
    if not (np.isfinite(outcome).all() and np.isfinite(clock).all()):
        raise EvaluationError("an outcome or a time is not finite; leave such judgments out")
    names, people = np.unique(np.asarray(annotators), return_inverse=True)
    _, sitting = np.unique(np.asarray(sessions), return_inverse=True)
    effects = [sitting]
    if items is not None:
        effects.append(np.unique(np.asarray(items), return_inverse=True)[1])
    if not len(outcome) == len(clock) == len(people) == len(sitting) == len(effects[-1]):
        raise EvaluationError("the columns differ in length; expected one entry a judgment in each")
    spread_x, spread_y = _project_out(clock, effects), _project_out(outcome, effects)
    n_sessions = int(sitting.max(initial=-1)) + 1
    estimate, p_value, freedom = _robust_slope(spread_x, spread_y, people, level)
    own = []
    for number in range(len(names)):
        mine = people == number
        if len(np.unique(sitting[mine])) < 3:
            own.append(Estimate(None, None, None, 0, "fewer than 3 sessions"))
        else:
            _, sittings = np.unique(sitting[mine], return_inverse=True)
            own.append(_robust_slope(spread_x[mine], spread_y[mine], sittings, level)[0])
    return FatigueSlope(
        per_hour=estimate,
        p_value=p_value,
        degrees_of_freedom=freedom,
        n_judgments=len(outcome),
        n_sessions=n_sessions,
        annotators=tuple(names.tolist()),
        per_annotator=tuple(own),
    )


def _project_out(values: NDArray[np.float64], effects: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Values less the means of every effect, by sweeps in turn; one effect takes one sweep."""
    rest = values.astype(np.float64, copy=True)
    scale = float(np.abs(rest).max(initial=0.0)) or 1.0
    sizes = [np.maximum(np.bincount(effect), 1) for effect in effects]
    for _ in range(PROJECTIONS):
        moved = 0.0
        for effect, size in zip(effects, sizes, strict=True):
            means = np.bincount(effect, weights=rest) / size
            rest -= means[effect]
            moved = max(moved, float(np.abs(means).max(initial=0.0)))
        if moved <= SETTLED * scale or len(effects) == 1:
            break
    return rest


def _robust_slope(
    clock: NDArray[np.float64], outcome: NDArray[np.float64], cluster: NDArray[Any], level: float
) -> tuple[Estimate, float | None, float | None]:
    """Slope through the origin, CR2 interval over clusters, p-value and degrees of freedom.

    With one regressor x, h_g = x_g'x_g / x'x: variance = sum of (x_g'e_g)^2 / (1 - h_g) / (x'x)^2, and with
    a_g = h_g / (1 - h_g), b_g = h_g / sqrt(1 - h_g) its freedom is tr(M)^2 / |M|^2, M = diag(a) - b b'.
    """
    squares = float(clock @ clock)
    if squares <= 1e-12 * max(len(clock), 1):
        return Estimate(None, None, None, 0, "no two judgments at different times of a session"), None, None
    slope = float(clock @ outcome) / squares
    sums = np.bincount(cluster, weights=clock**2)
    share = sums / squares
    n_clusters = int((share > 1e-12).sum())
    if n_clusters < 2 or share.max() > 1 - 1e-9:
        return Estimate(slope, None, None, n_clusters, "one cluster: no interval"), None, None
    residual = np.bincount(cluster, weights=clock * (outcome - slope * clock))
    error = float(np.sqrt((residual**2 / (1 - share)).sum())) / squares
    diagonal, outer = share / (1 - share), share / np.sqrt(1 - share)
    trace = float((diagonal - outer**2).sum())
    norm = float((diagonal**2).sum() - 2 * (diagonal * outer**2).sum() + (outer**2).sum() ** 2)
    freedom = trace**2 / norm
    if error == 0:
        return Estimate(slope, slope, slope, n_clusters), float(slope == 0), freedom
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(slope) / error, freedom))
    return Estimate(slope, slope - half, slope + half, n_clusters), p_value, freedom
