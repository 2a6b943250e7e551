"""Other signs of inattention, each with a false-alarm rate of its own: pace, runs of one side, spells,
repeats.

Every detector gives a valid p-value for each annotator, None where it cannot speak; `combine_channels` makes
one of them. What each null hypothesis allows is stated, since an honest annotator may have habits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from accord.domain import ConfigError, EvaluationError
from accord.quality.people.discovery import combine_channels, permutation_p_value

CONVERGED = 1e-13
"""Relative change of the survival rate of a run chain below which it is constant."""


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """What an honest annotator may do, and the promised rate."""

    level: float = 0.01
    """Chance of an alarm for an honest annotator, over all channels together."""
    reading_speed: float = 60.0
    """Characters a second that nobody reads faster (about 700 words a minute)."""
    least_ms: float = 500.0
    """Nobody judges anything faster."""
    max_fast_share: float = 0.05
    """Share of judgments an honest annotator may make too fast, by double clicks and the like."""
    max_side_share: float = 0.65
    """Largest share of one screen side by habit alone; sides are shown at random."""
    min_self_agreement: float = 0.6
    """Least share of repeats an honest annotator answers alike."""
    window: int = 30
    """Judgments over which the entropy of the answers is taken."""
    max_draws: int = 1999
    """Permutations at most, for each annotator."""

    def __post_init__(self) -> None:
        shares = {
            "level": self.level,
            "max_fast_share": self.max_fast_share,
            "max_side_share": self.max_side_share,
            "min_self_agreement": self.min_self_agreement,
        }
        problems = [
            f"{name} is {value}; expected between 0 and 1"
            for name, value in shares.items()
            if not 0 < value < 1
        ]
        if self.reading_speed <= 0 or self.window < 2:
            problems.append("reading_speed must be above 0 and window 2 or more")
        if problems:
            raise ConfigError("channels", problems)


@dataclass(frozen=True)
class ChannelResult:
    """One channel of one annotator."""

    channel: str
    statistic: float | None
    p_value: float | None
    n: int
    reason: str
    """What was seen, or why nothing can be said, as a sentence."""


@dataclass(frozen=True)
class ChannelAlarm:
    """All channels of one annotator."""

    results: tuple[ChannelResult, ...]
    p_value: float | None
    """Least p-value times the number of channels that spoke; valid whatever their dependence."""
    is_alarm: bool


def join_channels(results: list[ChannelResult], *, config: ChannelConfig | None = None) -> ChannelAlarm:
    """One alarm from the channels of one annotator,
    raised for an honest one at most at the level promised."""
    config = config or ChannelConfig()
    p_values = [np.nan if one.p_value is None else one.p_value for one in results]
    joined = float(combine_channels([p_values])[0]) if results else np.nan
    p_value = None if np.isnan(joined) else joined
    return ChannelAlarm(tuple(results), p_value, p_value is not None and p_value <= config.level)


def check_pace(
    durations_ms: ArrayLike, *, n_characters: ArrayLike | None = None, config: ChannelConfig | None = None
) -> ChannelResult:
    """Too fast to have read [judgment]: more such judgments than `max_fast_share` explains (binomial).

    Too fast is under the time to read `n_characters` at `reading_speed`, or under `least_ms`. Without
    lengths only the latter counts. Missing durations (NaN) are left out.
    """
    config = config or ChannelConfig()
    spent = np.asarray(durations_ms, dtype=np.float64)
    needed = np.full(spent.shape, config.least_ms)
    if n_characters is not None:
        lengths = np.asarray(n_characters, dtype=np.float64)
        needed = np.maximum(needed, 1000.0 * np.nan_to_num(lengths) / config.reading_speed)
    known = np.isfinite(spent)
    total, fast = int(known.sum()), int((spent[known] < needed[known]).sum())
    if not total:
        return ChannelResult("pace", None, None, 0, "no durations")
    p_value = float(stats.binom.sf(fast - 1, total, config.max_fast_share))
    reason = f"{fast} of {total} judgments came faster than the text can be read"
    return ChannelResult("pace", fast / total, p_value, total, reason)


def check_hurry(
    durations_ms: ArrayLike,
    *,
    n_characters: ArrayLike | None = None,
    config: ChannelConfig | None = None,
    seed: int = 0,
) -> ChannelResult:
    """Became faster, given length [judgment, in order of time]: the largest fall of the mean log time.

    Log times are taken less their regression on log length, and permuted: exact when the order means
    nothing. Practice makes everyone faster at first, so leave the first judgments out.
    """
    config = config or ChannelConfig()
    spent = np.asarray(durations_ms, dtype=np.float64)
    known = np.isfinite(spent) & (spent > 0)
    pace = np.log(spent[known])
    if n_characters is not None and len(pace) > 2:
        lengths = np.log1p(np.asarray(n_characters, dtype=np.float64)[known])
        centered = lengths - lengths.mean()
        pace = pace - centered * float(centered @ pace) / max(float(centered @ centered), 1e-12)
    side = 10
    if len(pace) < 2 * side or pace.std() == 0:
        return ChannelResult("hurry", None, None, len(pace), f"fewer than {2 * side} durations, or all equal")
    total = len(pace)
    starts = np.arange(side, total - side + 1)
    scale = np.sqrt(total / (starts * (total - starts))) / pace.std()
    rng = np.random.default_rng(seed)
    pace = pace - pace.mean()

    def falls(streams: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(streams, axis=-1)[..., starts - 1] * scale)

    def draw(count: int) -> NDArray[np.float64]:
        return np.asarray(falls(rng.permuted(np.tile(pace, (count, 1)), axis=1)).max(axis=1))

    path = falls(pace)
    since = int(starts[int(np.argmax(path))])
    p_value = permutation_p_value(float(path.max()), draw, max_draws=config.max_draws)
    ratio = float(np.exp(pace[since:].mean() - pace[:since].mean()))
    reason = f"from judgment {since + 1} on, a judgment takes {ratio:.2f} of the time it took before"
    return ChannelResult("hurry", ratio, p_value, total, reason)


def longest_run(sides: ArrayLike) -> int:
    """Length of the longest run of one value; 0 for none."""
    values = np.asarray(sides)
    if not len(values):
        return 0
    edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
    return int(np.diff(edges).max())


def run_tail(total: int, run: int, share: float) -> float:
    """P(a run of `run` or more of either value in `total` independent ones, one of them with `share`).

    Exact, by the chain of the length of the current run; once its survival rate is constant, to
    rounding, the rest is a power.
    """
    if run <= 1:
        return 1.0 if total >= run else 0.0
    if run > total:
        return 0.0
    alive = np.zeros((2, run - 1))
    alive[:, 0] = share, 1 - share
    grow = np.array([[share], [1 - share]])
    mass, rate = 1.0, -1.0
    for step in range(1, total):
        ends = alive.sum(axis=1)
        alive[:, 1:] = alive[:, :-1] * grow
        alive[0, 0], alive[1, 0] = ends[1] * share, ends[0] * (1 - share)
        renewed = float(alive.sum())
        if renewed <= 0:
            return 1.0
        previous, rate = rate, renewed / mass
        mass = renewed
        if step > 4 * run and abs(rate - previous) < CONVERGED * rate:
            return float(-np.expm1(np.log(mass) + (total - 1 - step) * np.log(rate)))
    return float(1.0 - mass)


def check_runs(sides: ArrayLike, *, config: ChannelConfig | None = None) -> ChannelResult:
    """Longest run of one screen side [decided judgment, in order of time; ties left out].

    The null hypothesis lets him prefer one side with `max_side_share`; sides shown at random are what
    makes runs improbable.
    """
    config = config or ChannelConfig()
    values = np.asarray(sides)
    if len(np.unique(values)) > 2:
        raise EvaluationError("sides have more than two values; expected left and right, ties left out")
    if not len(values):
        return ChannelResult("runs", None, None, 0, "no decided judgment")
    run = longest_run(values)
    p_value = run_tail(len(values), run, config.max_side_share)
    reason = f"chose one side {run} times in a row in {len(values)} judgments"
    return ChannelResult("runs", float(run), p_value, len(values), reason)


def window_entropies(answers: NDArray[Any], *, window: int) -> NDArray[np.float64]:
    """[..., window] Entropy in nats of each `window` successive class numbers [..., judgment]."""
    numbers = np.asarray(answers, dtype=np.int64)
    terms = special.xlogy(np.arange(window + 1) / window, np.arange(window + 1) / window)
    total = np.zeros((*numbers.shape[:-1], numbers.shape[-1] - window + 1))
    for k in range(int(numbers.max(initial=0)) + 1):
        sums = np.cumsum(numbers == k, axis=-1)
        counts = sums[..., window - 1 :].copy()
        counts[..., 1:] -= sums[..., : -window or None]
        total -= terms[counts]
    return total


def check_spells(answers: ArrayLike, *, config: ChannelConfig | None = None, seed: int = 0) -> ChannelResult:
    """A spell of monotonous answers [judgment, class numbers in order of time]: least entropy of a window.

    Permutation test: exact when the order of the answers means nothing, whatever the annotator's habit.
    So it finds who stops looking for a while, NOT who never looked: one answer throughout has no spell.
    `statistic` is the least entropy over his overall entropy.
    """
    config = config or ChannelConfig()
    numbers = np.asarray(answers, dtype=np.int64)
    total = len(numbers)
    if total < 2 * config.window:
        return ChannelResult("spells", None, None, total, f"fewer than {2 * config.window} judgments")
    shares = np.bincount(numbers) / total
    overall = float(-special.xlogy(shares, shares).sum())
    if overall <= 0:
        return ChannelResult("spells", None, None, total, "the same answer throughout")
    rng = np.random.default_rng(seed)
    path = window_entropies(numbers, window=config.window)

    def draw(count: int) -> NDArray[np.float64]:
        drawn = rng.permuted(np.tile(numbers, (count, 1)), axis=1)
        return np.asarray(-window_entropies(drawn, window=config.window).min(axis=-1))

    p_value = permutation_p_value(-float(path.min()), draw, max_draws=config.max_draws)
    at = int(np.argmin(path))
    reason = (
        f"answers {at + 1} to {at + config.window} have {path.min():.2f} nats of entropy, "
        f"all have {overall:.2f}"
    )
    return ChannelResult("spells", float(path.min()) / overall, p_value, total, reason)


def check_repeats(n_alike: int, n_repeats: int, *, config: ChannelConfig | None = None) -> ChannelResult:
    """Fewer repeats answered alike than `min_self_agreement` allows (binomial)."""
    config = config or ChannelConfig()
    if not 0 <= n_alike <= n_repeats:
        raise EvaluationError(f"{n_alike} of {n_repeats} repeats alike; expected 0 <= alike <= repeats")
    if not n_repeats:
        return ChannelResult("repeats", None, None, 0, "no repeats")
    p_value = float(stats.binom.cdf(n_alike, n_repeats, config.min_self_agreement))
    reason = f"answered {n_alike} of {n_repeats} repeated items as before"
    return ChannelResult("repeats", n_alike / n_repeats, p_value, n_repeats, reason)
