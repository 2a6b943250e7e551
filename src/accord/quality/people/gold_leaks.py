"""Has a gold item leaked? From some showing on, its answers come faster and are right more often.

Every showing of a gold item has a time and an answer. Both are compared with what the annotator does on
other gold, so that who is quick or good does not look like a leak. The statistic is the largest sum,
over the showing at which it could have leaked, of the fall of the log time and the rise of the share
right, each in standard errors and each counted only where it goes the leaking way. Its p-value comes
from permuting the showings of the item: exact as long as their order means nothing for sound gold.
An item that was easy for everyone from the start has not leaked by this test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain import EvaluationError
from accord.quality.people.discovery import benjamini_hochberg, permutation_p_value


@dataclass(frozen=True, kw_only=True)
class GoldLeakConfig:
    """When gold is retired."""

    rate: float = 0.05
    """Wanted share of sound items among those retired (Benjamini-Hochberg over items)."""
    min_side: int = 4
    """Showings before and after the leak at least."""
    max_draws: int = 1999
    """Permutations at most, for each item."""


@dataclass(frozen=True)
class GoldLeak:
    """One gold item over time."""

    item: Any
    n_showings: int
    p_value: float | None
    """None with too few showings."""
    q_value: float | None
    """Adjusted for the number of items."""
    since: int | None
    """Likeliest first showing after the leak, from 0."""
    time_ratio: float | None
    """Median time after it over median time before it, both relative to the annotators' own pace."""
    accuracy_change: float | None
    """Rise of the share right, relative to the annotators' own."""
    has_leaked: bool
    reason: str


def detect_gold_leaks(
    items: ArrayLike,
    annotators: ArrayLike,
    times: ArrayLike,
    durations_ms: ArrayLike,
    is_right: ArrayLike,
    *,
    config: GoldLeakConfig | None = None,
    seed: int = 0,
) -> list[GoldLeak]:
    """Every gold item, in sorted order; all arguments are [showing], in any order. No showing, no item."""
    config = config or GoldLeakConfig()
    names, item_index = np.unique(np.asarray(items), return_inverse=True)
    _, people = np.unique(np.asarray(annotators), return_inverse=True)
    when = np.asarray(times, dtype=np.float64)
    spent = np.asarray(durations_ms, dtype=np.float64)
    right = np.asarray(is_right, dtype=np.float64)
    if not len(item_index) == len(people) == len(when) == len(spent) == len(right):
        raise EvaluationError("the columns of the showings differ in length; expected one entry a showing")
    if not (spent > 0).all():
        raise EvaluationError("a showing lasted 0 ms or less; expected the time from showing to answer")
    pace = _less_own(np.log(spent), people)
    skill = _less_own(right, people)
    order = np.lexsort((when, item_index))
    ends = np.cumsum(np.bincount(item_index, minlength=len(names)))[:-1]
    rng = np.random.default_rng(seed)
    found = [_test_item(pace[rows], skill[rows], config, rng) for rows in np.split(order, ends) if len(names)]
    adjusted = benjamini_hochberg([np.nan if one is None else one["p_value"] for one in found])
    counts = np.bincount(item_index, minlength=len(names))
    return [
        _row(name, int(count), one, float(q_value), config)
        for name, count, one, q_value in zip(names.tolist(), counts, found, adjusted, strict=True)
    ]


def _row(
    name: Any, count: int, found: Mapping[str, Any] | None, q_value: float, config: GoldLeakConfig
) -> GoldLeak:
    if found is None:
        reason = f"{count} showings; a leak needs {2 * config.min_side} to be seen"
        return GoldLeak(name, count, None, None, None, None, None, False, reason)
    leaked = q_value <= config.rate
    reason = (
        f"from showing {found['since'] + 1} of {count} on, the time is {found['time_ratio']:.2f} of what it "
        f"was and the share right changes by {found['accuracy_change']:+.2f} (q = {q_value:.3g})"
    )
    return GoldLeak(name, count, q_value=q_value, has_leaked=leaked, reason=reason, **found)


def _test_item(
    pace: NDArray[np.float64], skill: NDArray[np.float64], config: GoldLeakConfig, rng: np.random.Generator
) -> dict[str, Any] | None:
    """The test of one item's showings in the order of time."""
    total = len(pace)
    if total < 2 * config.min_side:
        return None
    lengths = np.arange(config.min_side, total - config.min_side + 1)
    scale = np.sqrt(total / (lengths * (total - lengths)))
    both = np.stack([pace - pace.mean(), skill.mean() - skill])
    both /= np.maximum(both.std(axis=1, keepdims=True), 1e-12)

    def sums(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        falls = np.cumsum(drawn, axis=-1)[..., lengths - 1] * scale
        return np.asarray((np.maximum(falls, 0.0) ** 2).sum(axis=-2))

    def draw(count: int) -> NDArray[np.float64]:
        places = rng.permuted(np.tile(np.arange(total), (count, 1)), axis=1)
        return np.asarray(sums(np.swapaxes(both[:, places], 0, 1)).max(axis=-1))

    path = sums(both)
    since = int(lengths[int(np.argmax(path))])
    return {
        "p_value": permutation_p_value(float(path.max()), draw, max_draws=config.max_draws),
        "since": since,
        "time_ratio": float(np.exp(np.median(pace[since:]) - np.median(pace[:since]))),
        "accuracy_change": float(skill[since:].mean() - skill[:since].mean()),
    }


def _less_own(values: NDArray[np.float64], people: NDArray[Any]) -> NDArray[np.float64]:
    """Values less the annotator's mean over all his showings."""
    if not len(values):
        return values
    means = np.bincount(people, weights=values) / np.bincount(people)
    return np.asarray(values - means[people])
