"""Schools of thought: disagreement that has a system is no noise, and a minority that has one is kept whole.

Annotators fall into camps; each camp has its own shares of the classes on each item, drawn toward the shares
of all. An annotator of reliability r in camp c gives

    P(y | item) = r theta[c, item, y] + (1 - r) own[y]
    theta[c, item, y] = (strength g[item, y] + camp labels of class y) / (strength + camp labels)

where g are the smoothed shares of all annotators and `own` what he answers over all items. His own labels are
always taken out of g and theta first, so that nobody agrees with himself. Fitted by EM from several starts.
The number of camps is the least whose held-out label likelihood is not beaten by one more camp by `min_gain`
nats a label and `min_gain_errors` standard errors: chance groupings do not predict new labels, schools do.

An annotator is BAD only when two things hold at once: every camp predicts him badly (the upper end of his
reliability in each lies under `max_reliability`), and he contradicts his own repeats (the upper end of their
chance-corrected agreement lies under `min_self_agreement`). Without repeats nobody is called bad here. The
mixture does NOT tell who is right: on ducks the largest camp is wrong and a smaller one is right, which only
gold settles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from accord.domain import ConfigError, EvaluationError
from accord.quality.labels import LabelTable
from accord.quality.people.intervals import Estimate, estimate_share

LEAST = 1e-9
"""Least probability of a label, against log(0) where an annotator is alone on an item."""
SHORT_CLIMB = 8
"""Steps of EM by which the starts are compared."""
RELIABILITIES = np.linspace(0.0, 1.0, 51)
"""Grid on which the likelihood of a reliability is profiled."""


@dataclass(frozen=True, kw_only=True)
class CampConfig:
    """The mixture, and what counts as bad."""

    max_camps: int = 4
    """Largest number of camps tried."""
    strength: float = 2.0
    """How many labels the view of all annotators is worth on an item of a camp."""
    restarts: int = 6
    """Starts of EM for each number of camps."""
    iterations: int = 60
    """Steps of EM at most."""
    folds: int = 5
    """Parts of the labels held out in turn."""
    min_gain_errors: float = 3.0
    """Standard errors, over items and over annotators, by which one camp more must win on held-out labels."""
    min_gain: float = 0.005
    """Least gain on held-out labels, in nats a label: a school of thought is more than a better smoothing."""
    max_reliability: float = 0.3
    """Badly predicted: the reliability is surely below this."""
    min_self_agreement: float = 0.5
    """Inconsistent: the chance-corrected agreement of repeats is surely below this."""
    max_labels: int = 100_000
    """The number of camps is chosen on random items with about as many labels; the fit uses all."""
    level: float = 0.95
    """Level of the intervals."""

    def __post_init__(self) -> None:
        problems = []
        if min(self.max_camps, self.restarts, self.iterations, self.max_labels) < 1 or self.folds < 2:
            problems.append("max_camps, restarts, iterations, max_labels must be 1 or more, folds 2 or more")
        if not self.strength > 0:
            problems.append(f"strength is {self.strength}; expected above 0")
        if problems:
            raise ConfigError("camps", problems)


@dataclass(frozen=True)
class CampMember:
    """One annotator among the camps."""

    camp: int
    """Likeliest camp, from 0, the largest first."""
    memberships: tuple[float, ...]
    """Probability of each camp."""
    reliabilities: tuple[Estimate, ...]
    """In each camp: share of his labels drawn from its view rather than from his habit."""
    self_agreement: Estimate
    """Chance-corrected agreement with his own repeats; does not exist without repeats."""
    is_badly_predicted: bool
    """By every camp."""
    is_inconsistent: bool
    """With his own repeats."""

    @property
    def is_bad(self) -> bool:
        """Both at once; neither alone is enough."""
        return self.is_badly_predicted and self.is_inconsistent


@dataclass(frozen=True, eq=False)
class Camps:
    """Camps and their members."""

    n_camps: int
    members: tuple[CampMember, ...]
    """[annotator] In the order of the table."""
    heldout: tuple[float, ...]
    """Held-out log-likelihood a label, for 1, 2, ... camps, as far as tried."""
    gain_errors: tuple[float, ...]
    """What the second, third, ... camp gained, in standard errors."""
    shares: NDArray[np.float64]
    """[camp, item, class] View of each camp."""
    sizes: tuple[float, ...]
    """[camp] Expected number of members."""


@dataclass(frozen=True, eq=False)
class _Mixture:
    memberships: NDArray[np.float64]
    """[annotator, camp]"""
    reliability: NDArray[np.float64]
    """[annotator]"""
    objective: float


@dataclass(frozen=True, eq=False)
class _Labels:
    """Labels flat, with what does not change in a fit."""

    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    given: NDArray[np.int64]
    n_items: int
    n_annotators: int
    n_classes: int
    own: NDArray[np.float64]
    """[annotator, class] Smoothed habit."""
    everyone: NDArray[np.float64]
    """[class]"""


def find_camps(
    table: LabelTable,
    *,
    repeats: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    config: CampConfig | None = None,
    seed: int = 0,
) -> Camps:
    """Camps by held-out likelihood, and each annotator's standing in them.

    `repeats` are three arrays [repeat]: number of the annotator in the table, first and second answer to one
    item (compared for equality). O(labels x camps) an EM step. With one annotator, or fewer than two labels
    a fold, there is one camp.
    """
    config = config or CampConfig()
    labels = _flatten(table, np.ones(table.n_labels, dtype=bool))
    heldout, gains, best = _choose(table, config, seed)
    mixture = _fit(labels, best, config, seed)
    order = np.argsort(-mixture.memberships.sum(axis=0), kind="stable")
    mixture = _Mixture(mixture.memberships[:, order], mixture.reliability, mixture.objective)
    views = _predict_own_out(labels, mixture.memberships, config)
    profiles = _profile_reliability(labels, views, config)
    consistency = self_agreement(table, repeats, level=config.level)
    members = tuple(
        _member(mixture.memberships[number], profiles[number], consistency[number], config)
        for number in range(table.n_annotators)
    )
    return Camps(
        n_camps=best,
        members=members,
        heldout=tuple(heldout),
        gain_errors=tuple(gains),
        shares=_views(labels, mixture.memberships, config),
        sizes=tuple(mixture.memberships.sum(axis=0).tolist()),
    )


def self_agreement(
    table: LabelTable, repeats: tuple[ArrayLike, ArrayLike, ArrayLike] | None, *, level: float = 0.95
) -> list[Estimate]:
    """[annotator] Agreement of first and second answers beyond chance: (agreed - chance) / (1 - chance).

    Chance is the sum of squares of the annotator's shares of the classes; both ends of the Beta interval of
    the raw agreement are moved the same way. Does not exist without repeats, nor where he always gives
    one class, since then agreement says nothing.
    """
    size = table.n_annotators
    if repeats is None:
        return [Estimate(None, None, None, 0, "no repeats")] * size
    people, first, second = (np.asarray(column) for column in repeats)
    if not len(people) == len(first) == len(second):
        raise EvaluationError("the columns of the repeats differ in length; expected one entry a repeat")
    total = np.bincount(people.astype(np.int64), minlength=size)
    agreed = np.bincount(people.astype(np.int64), weights=first == second, minlength=size)
    cells = table.annotator_index.astype(np.int64) * table.n_classes + table.class_index
    habits = np.bincount(cells, minlength=size * table.n_classes).reshape(size, -1).astype(np.float64)
    habits /= np.maximum(habits.sum(axis=1, keepdims=True), 1.0)
    chances = (habits**2).sum(axis=1)
    result = []
    for number in range(size):
        share = estimate_share(float(agreed[number]), float(total[number]), level=level)
        chance = float(chances[number])
        if share.value is None or share.low is None or share.high is None:
            result.append(Estimate(None, None, None, 0, "no repeats"))
        elif chance > 0.95:
            result.append(
                Estimate(None, None, None, share.n, "always the same answer: agreement says nothing")
            )
        else:
            value, low, high = ((end - chance) / (1 - chance) for end in (share.value, share.low, share.high))
            result.append(Estimate(value, low, high, share.n))
    return result


def _member(
    memberships: NDArray[np.float64],
    reliabilities: Sequence[Estimate],
    consistency: Estimate,
    config: CampConfig,
) -> CampMember:
    return CampMember(
        camp=int(np.argmax(memberships)),
        memberships=tuple(memberships.tolist()),
        reliabilities=tuple(reliabilities),
        self_agreement=consistency,
        is_badly_predicted=all(
            one.high is not None and one.high < config.max_reliability for one in reliabilities
        ),
        is_inconsistent=consistency.high is not None and consistency.high < config.min_self_agreement,
    )


def _flatten(table: LabelTable, keep: NDArray[np.bool_]) -> _Labels:
    annotator, given = table.annotator_index[keep].astype(np.int64), table.class_index[keep].astype(np.int64)
    n_classes = table.n_classes
    everyone = (np.bincount(given, minlength=n_classes) + 0.5) / (len(given) + 0.5 * n_classes)
    cells = annotator * n_classes + given
    habits = np.bincount(cells, minlength=table.n_annotators * n_classes).reshape(-1, n_classes)
    own = habits + 2.0 * everyone
    return _Labels(
        item=table.item_index[keep].astype(np.int64),
        annotator=annotator,
        given=given,
        n_items=table.n_items,
        n_annotators=table.n_annotators,
        n_classes=n_classes,
        own=own / own.sum(axis=1, keepdims=True),
        everyone=np.asarray(everyone, dtype=np.float64),
    )


def _choose(table: LabelTable, config: CampConfig, seed: int) -> tuple[list[float], list[float], int]:
    """Held-out log-likelihoods a label, gains in standard errors, and the number of camps."""
    rng = np.random.default_rng([seed, 1])
    if table.n_labels > config.max_labels:
        share = config.max_labels / table.n_labels
        table = table.select((rng.random(table.n_items) < share)[table.item_index])
    fold = rng.permutation(np.arange(table.n_labels) % config.folds)
    heldout: list[float] = []
    gains: list[float] = []
    if table.n_annotators < 4 or table.n_labels < 2 * config.folds:
        return heldout, gains, 1
    scores: list[NDArray[np.float64]] = []
    for n_camps in range(1, config.max_camps + 1):
        score = np.zeros(table.n_labels)
        for part in range(config.folds):
            train, test = _flatten(table, fold != part), _flatten(table, fold == part)
            mixture = _fit(train, n_camps, config, seed + part)
            score[fold == part] = _score_new(train, test, mixture, config)
        scores.append(score)
        heldout.append(float(score.mean()))
        if n_camps == 1:
            continue
        gain = score - scores[-2]
        error = max(_clustered_error(gain, table.item_index), _clustered_error(gain, table.annotator_index))
        gains.append(float(gain.sum() / error) if error > 0 else 0.0)
        if gains[-1] < config.min_gain_errors or gain.mean() < config.min_gain:
            return heldout, gains, n_camps - 1
    return heldout, gains, config.max_camps


def _clustered_error(gain: NDArray[np.float64], cluster: NDArray[Any]) -> float:
    """Standard error of the sum of gains [label] when those of one item, or one annotator, hang together."""
    sums = np.bincount(cluster, weights=gain - gain.mean())
    sums = sums[np.bincount(cluster) > 0]
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)))


def _fit(labels: _Labels, n_camps: int, config: CampConfig, seed: int) -> _Mixture:
    """The best of several starts: each climbs a little, the highest goes on to the end."""
    rng = np.random.default_rng([seed, 2, n_camps])
    tries = [
        _climb(labels, _start(labels, n_camps, number, rng), config, SHORT_CLIMB)
        for number in range(1 if n_camps == 1 else config.restarts)
    ]
    best = max(tries, key=lambda fit: fit.objective)
    return _climb(labels, best.memberships, config, config.iterations)


def _start(labels: _Labels, n_camps: int, number: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[annotator, camp] First memberships: by who shares departures from the item's mean, or at random."""
    if n_camps == 1:
        return np.ones((labels.n_annotators, 1))
    if number % 2:
        draws = rng.dirichlet(np.full(n_camps, 0.3), size=labels.n_annotators)
        return np.asarray(draws)
    # k-means on a random projection of departures from the item's mean, which keeps memory to the labels
    width = 64
    totals = np.bincount(labels.item, minlength=labels.n_items)
    points = np.zeros((labels.n_annotators, width))
    for k in range(labels.n_classes):
        is_given = (labels.given == k).astype(np.float64)
        shares = np.bincount(labels.item, weights=is_given, minlength=labels.n_items) / np.maximum(totals, 1)
        departure = is_given - shares[labels.item]
        signs = rng.choice([-1.0, 1.0], size=(labels.n_items, width))
        for column in range(width):
            points[:, column] += np.bincount(
                labels.annotator,
                weights=departure * signs[labels.item, column],
                minlength=labels.n_annotators,
            )
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), LEAST)
    centers = points[rng.choice(labels.n_annotators, size=min(n_camps, labels.n_annotators), replace=False)]
    for _ in range(10):
        nearest = np.argmax(points @ centers.T, axis=1)
        centers = np.stack([points[nearest == c].sum(axis=0) for c in range(len(centers))])
        centers /= np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), LEAST)
    memberships = np.full((labels.n_annotators, n_camps), 0.1 / n_camps)
    memberships[np.arange(labels.n_annotators), nearest] += 0.9
    return memberships


def _climb(
    labels: _Labels, memberships: NDArray[np.float64], config: CampConfig, iterations: int
) -> _Mixture:
    """EM from these memberships, on the likelihood of each label given all others."""
    reliability = np.full(labels.n_annotators, 0.7)
    habit = labels.own[labels.annotator, labels.given]
    objective = -np.inf
    n_camps = memberships.shape[1]
    for _ in range(iterations):
        view = _predict_own_out(labels, memberships, config)
        share = reliability[labels.annotator, None]
        chance = np.maximum(share * view + (1 - share) * habit[:, None], LEAST)
        evidence = _sum_by_annotator(labels, np.log(chance))
        weight = np.log((memberships.sum(axis=0) + 1.0) / (labels.n_annotators + n_camps))
        renewed = special.softmax(evidence + weight, axis=1)
        drawn = _sum_by_annotator(labels, renewed[labels.annotator] * share * view / chance).sum(axis=1)
        total = np.bincount(labels.annotator, minlength=labels.n_annotators)
        reliability = (drawn + 1.4) / (total + 2.0)
        value = float(special.logsumexp(evidence + weight, axis=1).sum())
        change = float(np.abs(renewed - memberships).max())
        memberships = renewed
        if change < 1e-4 and abs(value - objective) < 1e-6 * len(labels.item):
            break
        objective = value
    return _Mixture(memberships, reliability, value)


def _predict_own_out(
    labels: _Labels, memberships: NDArray[np.float64], config: CampConfig
) -> NDArray[np.float64]:
    """[label, camp] What the others of each camp, and all others, say of the class given."""
    cells = labels.item * labels.n_classes + labels.given
    votes = np.bincount(cells, minlength=labels.n_items * labels.n_classes)
    totals = np.bincount(labels.item, minlength=labels.n_items)
    everyone = labels.everyone[labels.given]
    shares = (votes[cells] - 1 + everyone) / totals[labels.item]
    view = np.empty((len(cells), memberships.shape[1]))
    for camp in range(memberships.shape[1]):
        weight = memberships[labels.annotator, camp]
        camp_votes = np.bincount(cells, weights=weight, minlength=len(votes))[cells] - weight
        camp_totals = np.bincount(labels.item, weights=weight, minlength=labels.n_items)[labels.item] - weight
        view[:, camp] = (config.strength * shares + camp_votes) / (config.strength + camp_totals)
    return np.clip(view, LEAST, 1.0)


def _views(labels: _Labels, memberships: NDArray[np.float64], config: CampConfig) -> NDArray[np.float64]:
    """[camp, item, class] Shares of the classes in each camp, with everybody's labels."""
    cells = labels.item * labels.n_classes + labels.given
    shape, size = (labels.n_items, labels.n_classes), labels.n_items * labels.n_classes
    everyone = np.bincount(cells, minlength=size).reshape(shape) + labels.everyone
    everyone /= everyone.sum(axis=1, keepdims=True)
    views = []
    for camp in range(memberships.shape[1]):
        votes = np.bincount(cells, weights=memberships[labels.annotator, camp], minlength=size).reshape(shape)
        views.append(
            (config.strength * everyone + votes) / (config.strength + votes.sum(axis=1, keepdims=True))
        )
    return np.stack(views)


def _score_new(train: _Labels, test: _Labels, mixture: _Mixture, config: CampConfig) -> NDArray[np.float64]:
    """[label] Log-likelihood of labels that were not fitted."""
    view = _views(train, mixture.memberships, config)[:, test.item, test.given].T
    expected = (mixture.memberships[test.annotator] * view).sum(axis=1)
    share = mixture.reliability[test.annotator]
    habit = train.own[test.annotator, test.given]
    return np.asarray(np.log(np.maximum(share * expected + (1 - share) * habit, LEAST)))


def _profile_reliability(
    labels: _Labels, views: NDArray[np.float64], config: CampConfig
) -> list[list[Estimate]]:
    """[annotator][camp] Posterior mean and interval of the reliability: flat prior, on a grid."""
    habit = labels.own[labels.annotator, labels.given]
    counts = np.bincount(labels.annotator, minlength=labels.n_annotators)
    tail = (1 - config.level) / 2
    per_camp = []
    for camp in range(views.shape[1]):
        likelihood = np.stack(
            [
                np.bincount(
                    labels.annotator,
                    weights=np.log(np.maximum(share * views[:, camp] + (1 - share) * habit, LEAST)),
                    minlength=labels.n_annotators,
                )
                for share in RELIABILITIES
            ],
            axis=1,
        )
        posterior = special.softmax(likelihood, axis=1)
        cumulative = np.cumsum(posterior, axis=1)
        low = RELIABILITIES[np.argmax(cumulative >= tail, axis=1)]
        high = RELIABILITIES[np.argmax(cumulative >= 1 - tail, axis=1)]
        per_camp.append((posterior @ RELIABILITIES, low, high))
    return [
        [
            Estimate(float(mean[number]), float(low[number]), float(high[number]), int(counts[number]))
            if counts[number]
            else Estimate(None, None, None, 0, "no label")
            for mean, low, high in per_camp
        ]
        for number in range(labels.n_annotators)
    ]


def _sum_by_annotator(labels: _Labels, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[annotator, camp] Sums of values [label, camp]."""
    return np.stack(
        [
            np.bincount(labels.annotator, weights=values[:, camp], minlength=labels.n_annotators)
            for camp in range(values.shape[1])
        ],
        axis=1,
    )
