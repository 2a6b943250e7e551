"""Who copies from whom: two annotators who make the same errors more often than skill and hard items explain.

Agreement proves nothing, since good annotators agree; shared errors do, unless the items are hard. Both are
taken away by conditioning. An item with m wrong labels of n says how hard it is; given m, which annotators
are among the wrong depends on skill alone. With w_ia the chance that a is among the wrong of item i,

    logit w_ia = hardness_i + skill[a, true class],   sum over a of w_ia = m_i,
    sum over i of w_ia = errors of a (with a ridge)
    P(a and b both wrong | m) = w_ia w_ib (1 - (1 - w_ia) (1 - w_ib) / D_i),
    D_i = (n - 1) / n * sum over a of w_ia (1 - w_ia)

the last by Hajek 1964 (conditional Poisson sampling), scaled by (n - 1) / n to be exact for equal skills;
times the chance that two of the wrong labels are of one class. Skill by true class keeps lenient and strict
annotators apart from copies. Shared errors over the items are Poisson-binomial; tails are exact;
Benjamini-Hochberg runs over all pairs that labeled enough in common.

Annotators of one school of thought share errors by conviction: run this within each camp (`camps`), with the
camp's own consensus. A pair with no errors to share cannot be found, and who began is not told.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special
from scipy.sparse.csgraph import connected_components

from accord.domain import ConfigError, EvaluationError
from accord.quality.labels import LabelTable
from accord.quality.people.discovery import benjamini_hochberg
from accord.quality.people.intervals import Estimate

CHUNK = 1_000_000
"""Pairs of labels looked at together; bounds the memory."""
CLIP = 15.0
"""Largest logit of an error: an annotator wrong on all hard items is not infinitely bad."""


@dataclass(frozen=True, kw_only=True)
class CopyingConfig:
    """When two annotators are taken for copies."""

    rate: float = 0.05
    """Wanted false discovery rate over the pairs; where nobody copies, the chance of any alarm."""
    min_common: int = 5
    """Items both labeled, on which somebody but not everybody erred."""
    min_copy_rate: float = 0.2
    """The lower end of the copy rate must reach this."""
    ridge: float = 0.5
    """Precision of the normal prior of a skill, in logits."""
    iterations: int = 30
    """Sweeps of the skill fit."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.rate < 1:
            problems.append(f"rate is {self.rate}; expected between 0 and 1")
        if self.min_common < 1 or self.iterations < 1:
            problems.append("min_common and iterations must be 1 or more")
        if not self.ridge > 0:
            problems.append(f"ridge is {self.ridge}; expected above 0")
        if problems:
            raise ConfigError("copying", problems)


@dataclass(frozen=True)
class CopyPair:
    """Two annotators who share more errors than they should."""

    first: Any
    second: Any
    n_common: int
    """Items both labeled on which somebody but not everybody erred."""
    shared_errors: int
    """Items on which both gave the same wrong label."""
    expected: float
    """How many skill and hardness explain."""
    p_value: float
    q_value: float
    """Adjusted for all pairs."""
    copy_rate: Estimate
    """Share of one's errors taken over from the other; on the low side, as copies make items look hard."""


@dataclass(frozen=True)
class CopyingReport:
    """All pairs found, and the groups they form."""

    pairs: tuple[CopyPair, ...]
    """Surest first."""
    groups: tuple[tuple[Any, ...], ...]
    """Annotators linked by pairs, the largest group first."""
    n_tested: int
    """Pairs with enough in common."""


@dataclass(frozen=True, eq=False)
class _Errors:
    """Labels on the items with at least two wrong labels and one right; flat, sorted by item."""

    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    given: NDArray[np.int64]
    is_wrong: NDArray[np.bool_]
    chance: NDArray[np.float64]
    """[label] Chance to be among the wrong."""
    spread: NDArray[np.float64]
    """[item] Sum of chance (1 - chance), times (n - 1) / n."""
    same: NDArray[np.float64]
    """[item] Chance that two wrong labels are of one class."""
    starts: NDArray[np.int64]


def find_copies(
    table: LabelTable, probabilities: ArrayLike, *, config: CopyingConfig | None = None
) -> CopyingReport:
    """Pairs that copy, from labels and the consensus [item, class].

    Items where two classes tie for the consensus are left out. O(sum over items of labels squared).
    One annotator, or no item with two wrong labels and a right one, gives an empty report.
    """
    config = config or CopyingConfig()
    errors = _collect(table, probabilities, config)
    if errors is None:
        return CopyingReport((), (), 0)
    size = table.n_annotators
    common, shared, expected, variance = _sum_pairs(errors, size)
    rows, columns = common.nonzero()
    flat = [np.asarray(matrix[rows, columns]).ravel() for matrix in (common, shared, expected, variance)]
    tested = flat[0] >= config.min_common
    rows, columns = rows[tested], columns[tested]
    n_common, n_shared, mean, spread = (values[tested] for values in flat)
    p_values = np.ones(len(rows))
    # p = 1 for the rest is valid, and their shared errors are within one standard error of the expected
    candidates = np.flatnonzero((n_shared >= 2) & (n_shared - mean > np.sqrt(spread)))
    terms = _terms_of(errors, rows[candidates], columns[candidates], size)
    for place, own in zip(candidates, terms, strict=True):
        p_values[place] = poisson_binomial_tail(own[:, 0], int(n_shared[place]))
    q_values = benjamini_hochberg(p_values)
    names = table.annotators.tolist()
    pairs = []
    for place, own in zip(candidates, terms, strict=True):
        copy_rate = _copy_rate(own)
        if q_values[place] > config.rate or copy_rate.low is None or copy_rate.low < config.min_copy_rate:
            continue
        pair = CopyPair(
            first=names[rows[place]],
            second=names[columns[place]],
            n_common=int(n_common[place]),
            shared_errors=int(n_shared[place]),
            expected=float(mean[place]),
            p_value=float(p_values[place]),
            q_value=float(q_values[place]),
            copy_rate=copy_rate,
        )
        pairs.append(pair)
    pairs.sort(key=lambda pair: pair.p_value)
    return CopyingReport(tuple(pairs), _groups(pairs), len(rows))


def poisson_binomial_tail(chances: ArrayLike, at_least: int) -> float:
    """P(sum of independent 0/1 with these chances >= at_least), exact; 1 for 0 or less."""
    values = np.asarray(chances, dtype=np.float64)
    if at_least <= 0:
        return 1.0
    if at_least > len(values):
        return 0.0
    below = np.zeros(at_least)
    below[0], over = 1.0, 0.0
    for chance in values:
        over += below[-1] * chance
        below[1:] = below[1:] * (1 - chance) + below[:-1] * chance
        below[0] *= 1 - chance
    return float(min(over, 1.0))


def _collect(table: LabelTable, probabilities: ArrayLike, config: CopyingConfig) -> _Errors | None:
    posterior = np.asarray(probabilities, dtype=np.float64)
    if posterior.shape != (table.n_items, table.n_classes):
        raise EvaluationError(
            f"probabilities have shape {posterior.shape}; expected [item, class] = "
            f"({table.n_items}, {table.n_classes})"
        )
    if table.n_classes < 2:
        return None
    true = posterior.argmax(axis=1)
    top = np.sort(posterior, axis=1)
    is_clear = top[:, -1] > top[:, -2] + 1e-9
    is_wrong = table.class_index != true[table.item_index]
    n_wrong = np.bincount(table.item_index, weights=is_wrong, minlength=table.n_items)
    is_used = is_clear & (n_wrong >= 2) & (n_wrong < table.labels_per_item)
    keep = is_used[table.item_index]
    if not keep.any():
        return None
    used, item = np.unique(table.item_index[keep], return_inverse=True)
    annotator = table.annotator_index[keep].astype(np.int64)
    given = table.class_index[keep].astype(np.int64)
    wrong = is_wrong[keep]
    sizes = table.labels_per_item[used].astype(np.float64)
    skill_cell = annotator * table.n_classes + true[used][item]
    chance = _fit_chances(item, skill_cell, wrong, table.n_annotators * table.n_classes, config)
    spread = np.bincount(item, weights=chance * (1 - chance)) * (sizes - 1) / sizes
    cells = np.bincount(item[wrong] * table.n_classes + given[wrong], minlength=len(used) * table.n_classes)
    wrong_counts = cells.reshape(len(used), table.n_classes).astype(np.float64)
    total = wrong_counts.sum(axis=1)
    same = (wrong_counts * (wrong_counts - 1)).sum(axis=1) / (total * (total - 1))
    starts = np.concatenate([[0], np.cumsum(np.bincount(item))]).astype(np.int64)
    return _Errors(item, annotator, given, wrong, chance, spread, same, starts)


def _fit_chances(
    item: NDArray[np.int64],
    cell: NDArray[np.int64],
    is_wrong: NDArray[np.bool_],
    n_cells: int,
    config: CopyingConfig,
) -> NDArray[np.float64]:
    """[label] Chance to be among the wrong: Newton steps for hardness and skill in turn.

    Hardness comes last, so that the chances of an item sum to its wrong labels.
    """
    n_wrong = np.bincount(item, weights=is_wrong).astype(np.float64)
    n_errors = np.bincount(cell, weights=is_wrong, minlength=n_cells)
    hardness = special.logit(n_wrong / np.bincount(item))
    skill = np.zeros(n_cells)
    for sweep in range(config.iterations + 5):
        if sweep < config.iterations:
            chance = special.expit(hardness[item] + skill[cell])
            bend = np.bincount(cell, weights=chance * (1 - chance), minlength=n_cells) + config.ridge
            excess = np.bincount(cell, weights=chance, minlength=n_cells) - n_errors + config.ridge * skill
            skill = np.clip(skill - np.clip(excess / bend, -2, 2), -CLIP, CLIP)
        chance = special.expit(hardness[item] + skill[cell])
        slope = np.maximum(np.bincount(item, weights=chance * (1 - chance)), 1e-9)
        step = np.bincount(item, weights=chance) - n_wrong
        hardness = np.clip(hardness - np.clip(step / slope, -2, 2), -2 * CLIP, 2 * CLIP)
    return np.asarray(special.expit(hardness[item] + skill[cell]))


def _label_pairs(errors: _Errors) -> Any:
    """Chunks of pairs of labels (first, second) of one item, the annotator of lower number first."""
    sizes = np.diff(errors.starts)
    for size in np.unique(sizes):
        left, right = np.triu_indices(int(size), 1)
        begins = errors.starts[:-1][sizes == size]
        step = max(CHUNK // max(len(left), 1), 1)
        for at in range(0, len(begins), step):
            base = begins[at : at + step, None]
            yield (base + left).ravel(), (base + right).ravel()


def _pair_chances(
    errors: _Errors, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """[pair] Chance of the same wrong label given the item's counts, and whether it happened."""
    one, two = errors.chance[first], errors.chance[second]
    item = errors.item[first]
    joint = one * two * (1 - (1 - one) * (1 - two) / np.maximum(errors.spread[item], 1e-12))
    joint = np.clip(joint, 0.0, np.minimum(one, two)) * errors.same[item]
    happened = (
        errors.is_wrong[first] & errors.is_wrong[second] & (errors.given[first] == errors.given[second])
    )
    return joint, happened


def _sum_pairs(errors: _Errors, size: int) -> tuple[Any, Any, Any, Any]:
    """[annotator, annotator] Items in common, shared errors, their mean and variance; upper triangle."""
    sums = [sparse.csr_matrix((size, size)) for _ in range(4)]
    for first, second in _label_pairs(errors):
        joint, happened = _pair_chances(errors, first, second)
        where = (errors.annotator[first], errors.annotator[second])
        for number, values in enumerate((np.ones(len(first)), happened, joint, joint * (1 - joint))):
            sums[number] += sparse.csr_matrix((values.astype(np.float64), where), shape=(size, size))
    return sums[0], sums[1], sums[2], sums[3]


def _terms_of(
    errors: _Errors, rows: NDArray[Any], columns: NDArray[Any], size: int
) -> list[NDArray[np.float64]]:
    """For each wanted pair [item, 6]: chance and fact of a shared error and of either's error."""
    if not len(rows):
        return []
    wanted = rows.astype(np.int64) * size + columns
    order = np.argsort(wanted)
    ordered = wanted[order]
    places, tables = [], []
    for first, second in _label_pairs(errors):
        keys = errors.annotator[first] * size + errors.annotator[second]
        found = np.minimum(np.searchsorted(ordered, keys), len(wanted) - 1)
        is_hit = ordered[found] == keys
        one, two = first[is_hit], second[is_hit]
        joint, happened = _pair_chances(errors, one, two)
        places.append(order[found[is_hit]])
        facts = (joint, happened, errors.chance[one], errors.is_wrong[one])
        tables.append(np.stack([*facts, errors.chance[two], errors.is_wrong[two]], axis=1).astype(np.float64))
    place, terms = np.concatenate(places), np.concatenate(tables)
    by_pair = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=len(wanted)))[:-1]
    return list(np.split(terms[by_pair], ends))


def _copy_rate(terms: NDArray[np.float64]) -> Estimate:
    """Likeliest c in P(the other errs alike | one errs) = c + (1 - c) chance; profile interval."""
    conditional, happened = [], []
    for chance, fact in ((2, 3), (4, 5)):
        erred = terms[:, fact] > 0
        conditional.append(np.minimum(terms[erred, 0] / np.maximum(terms[erred, chance], 1e-12), 1.0))
        happened.append(terms[erred, 1])
    base, hits = np.concatenate(conditional), np.concatenate(happened)
    if not len(base):
        return Estimate(None, None, None, 0, "neither erred on the items in common")
    grid = np.linspace(0.0, 1.0, 401)
    alike = np.clip(grid[:, None] + (1 - grid[:, None]) * base, 1e-9, 1 - 1e-9)
    # each item on which both erred stands here twice, hence the half
    likelihood = 0.5 * (hits * np.log(alike) + (1 - hits) * np.log1p(-alike)).sum(axis=1)
    inside = grid[likelihood >= likelihood.max() - 0.5 * special.chdtri(1, 0.05)]
    best = float(grid[int(np.argmax(likelihood))])
    return Estimate(best, float(inside[0]), float(inside[-1]), len(base))


def _groups(pairs: list[CopyPair]) -> tuple[tuple[Any, ...], ...]:
    names = sorted({name for pair in pairs for name in (pair.first, pair.second)})
    if not names:
        return ()
    number = {name: place for place, name in enumerate(names)}
    ends = ([number[pair.first] for pair in pairs], [number[pair.second] for pair in pairs])
    graph = sparse.csr_matrix((np.ones(len(pairs)), ends), shape=(len(names), len(names)))
    count, member = connected_components(graph, directed=False)
    groups = [tuple(name for name in names if member[number[name]] == k) for k in range(count)]
    return tuple(sorted(groups, key=lambda group: (-len(group), str(group[0]))))
