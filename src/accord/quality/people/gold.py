"""Known answers: how each annotator does on them, and how much gold each one is to be given.

Leaves out doubts about the gold itself, which are `gold_audit`, and gold that has leaked, `gold_leaks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from accord.domain import ConfigError, DataError, Value
from accord.quality.labels import LabelTable
from accord.quality.people.intervals import Estimate, estimate_share


@dataclass(frozen=True, kw_only=True)
class GoldConfig:
    """How gold is scored and given out."""

    level: float = 0.95
    """Level of the intervals."""
    mean_share: float = 0.05
    """Wanted share of gold among all assignments."""
    floor: float = 0.03
    """No annotator gets a smaller share."""
    ceiling: float = 0.5
    """No annotator gets a larger share."""
    daily_cap: int = 20
    """Gold items an annotator gets on one day at most."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.level < 1:
            problems.append(f"level is {self.level}; expected between 0 and 1")
        if not 0 <= self.floor <= self.mean_share <= self.ceiling <= 1:
            problems.append(
                f"floor, mean_share, ceiling are {self.floor}, {self.mean_share}, {self.ceiling}; "
                f"expected 0 <= floor <= mean_share <= ceiling <= 1"
            )
        if self.daily_cap < 0:
            problems.append(f"daily_cap is {self.daily_cap}; expected 0 or more")
        if problems:
            raise ConfigError("gold", problems)


@dataclass(frozen=True)
class GoldScore:
    """One annotator on the gold items he labeled."""

    annotator: Any
    n_right: int
    accuracy: Estimate
    """Share right among his gold items; Jeffreys' posterior mean and interval."""
    per_class: tuple[Estimate, ...]
    """The same among gold items of each class, in the order of the table's classes."""
    variance: float
    """Posterior variance of the accuracy; 1/8 without gold."""

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean over the classes he saw gold of; None without gold. Answering one class always gives 1 / K."""
        seen = [one.value for one in self.per_class if one.value is not None]
        return float(np.mean(seen)) if seen else None


def index_gold(items: NDArray[Any], classes: Sequence[Value], gold: Mapping[Any, Value]) -> NDArray[np.int64]:
    """[item] Number of the gold class, -1 where an item has none. Gold of unknown items is left out.

    Raises where a gold value is not one of `classes`.
    """
    number_of = {value: number for number, value in enumerate(classes)}
    index = np.full(len(items), -1, dtype=np.int64)
    by_name = {str(item): value for item, value in gold.items()}
    for place, item in enumerate(items.tolist()):
        value = by_name.get(str(item))
        if value is None:
            continue
        if value not in number_of:
            raise DataError(
                f"gold of item {item!r} is {value!r}; expected one of {', '.join(map(repr, classes))}"
            )
        index[place] = number_of[value]
    return index


def score_gold(
    table: LabelTable, gold: Mapping[Any, Value], *, config: GoldConfig | None = None
) -> list[GoldScore]:
    """Each annotator of the table on gold, in its order; one without gold has estimates that do not exist."""
    config = config or GoldConfig()
    gold_class = index_gold(table.items, table.classes, gold)[table.item_index]
    known = gold_class >= 0
    cells = table.annotator_index[known].astype(np.int64) * table.n_classes + gold_class[known]
    size = table.n_annotators * table.n_classes
    is_right = table.class_index[known] == gold_class[known]
    shape = (table.n_annotators, table.n_classes)
    seen = np.bincount(cells, minlength=size).reshape(shape)
    right = np.bincount(cells[is_right], minlength=size).reshape(shape)
    scores = []
    for number, annotator in enumerate(table.annotators.tolist()):
        n_right, n_seen = int(right[number].sum()), int(seen[number].sum())
        scores.append(
            GoldScore(
                annotator=annotator,
                n_right=n_right,
                accuracy=estimate_share(n_right, n_seen, level=config.level),
                per_class=tuple(
                    estimate_share(int(hits), int(trials), level=config.level)
                    for hits, trials in zip(right[number], seen[number], strict=True)
                ),
                variance=float(beta_variance(n_right, n_seen)),
            )
        )
    return scores


def beta_variance(
    right: ArrayLike, seen: ArrayLike, *, prior: tuple[float, float] = (0.5, 0.5)
) -> NDArray[np.float64]:
    """Posterior variance of a share under a Beta prior, entry by entry."""
    first = np.asarray(right, dtype=np.float64) + prior[0]
    second = np.asarray(seen, dtype=np.float64) - np.asarray(right, dtype=np.float64) + prior[1]
    total = first + second
    return np.asarray(first * second / (total**2 * (total + 1)))


def assign_gold_shares(
    variances: ArrayLike, *, given_today: ArrayLike = 0, config: GoldConfig | None = None
) -> NDArray[np.float64]:
    """[annotator] Share of gold for each, proportional to the posterior variance of his accuracy.

        share = clip(c * variance, floor, ceiling), c so that the mean share is as wanted

    Equal variances give everyone the mean share. Who got `daily_cap` today gets 0, which does not raise the
    others' shares. No annotator gives an empty array.
    """
    config = config or GoldConfig()
    spread = np.asarray(variances, dtype=np.float64)
    if not (np.isfinite(spread).all() and (spread >= 0).all()):
        raise DataError("a variance is negative or not finite; expected posterior variances")
    if not len(spread):
        return np.zeros(0)
    low, high = 0.0, config.ceiling / max(float(spread[spread > 0].min(initial=1.0)), 1e-300)
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):  # neighbors: nothing lies between them
            break
        if np.clip(middle * spread, config.floor, config.ceiling).mean() < config.mean_share:
            low = middle
        else:
            high = middle
    shares = np.clip(high * spread, config.floor, config.ceiling)
    return np.where(np.asarray(given_today) >= config.daily_cap, 0.0, shares)


def is_gold_turn(share: float, *, assigned: int, gold_given: int, seed: int) -> bool:
    """Whether the next assignment is gold: a coin of the wanted share, which nobody can foresee.

    `assigned` and `gold_given` name the turn, so that the same turn asked for again gets the same answer.
    """
    return bool(np.random.default_rng([seed, assigned, gold_given]).random() < share)


def draw_gold(
    pool: Sequence[Any],
    *,
    seen: Sequence[Any] = (),
    uses: Mapping[Any, int] | None = None,
    n: int = 1,
    seed: int = 0,
) -> list[Any]:
    """Up to `n` gold items the annotator has not seen, the least used first, at random among equals.

    Fewer come back where the pool is used up: an item is never repeated for the same annotator.
    """
    if n < 0:
        raise DataError(f"n is {n}; expected 0 or more gold items")
    spent = set(seen)
    fresh = [item for item in dict.fromkeys(pool) if item not in spent]
    counts = np.array([(uses or {}).get(item, 0) for item in fresh], dtype=np.float64)
    order = np.lexsort((np.random.default_rng(seed).random(len(fresh)), counts))
    return [fresh[place] for place in order[:n]]


def chance_below(right: ArrayLike, seen: ArrayLike, floor: float) -> NDArray[np.float64]:
    """Posterior probability that the accuracy lies below `floor`, under Jeffreys' prior, entry by entry."""
    hits = np.asarray(right, dtype=np.float64)
    return np.asarray(special.betainc(hits + 0.5, np.asarray(seen, dtype=np.float64) - hits + 0.5, floor))
