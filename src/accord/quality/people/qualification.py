"""Entry test that stops as soon as it knows: Wald's sequential probability ratio test, cut off by Bayes.

    Lambda += right * log(p1 / p0) + (1 - right) * log((1 - p1) / (1 - p0))
    pass at log((1 - false_fail) / false_pass), fail at log(false_fail / (1 - false_pass))

Wald 1945. Departs from it in two ways. At `max_items` the more likely of the two hypotheses wins, weighed
by `prior_qualified` and `false_pass_cost`, so that a test ends. And an item may have a difficulty: both
accuracies are then moved down by it on the logit scale, so that a miss on a hard item weighs less.
The operating characteristic is computed, not simulated: the distribution of Lambda is carried from item
to item. Wald's limits overshoot a little, so the true error rates lie at or under the wanted ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from accord.domain import ConfigError, DataError

MAX_STATES = 4096
"""Distinct values of Lambda carried; more are laid on a grid of as many points, keeping mass and mean."""
ROUNDING = 10
"""Decimals at which two values of Lambda are one: the same answers in another order sum up differently."""


class QualificationDecision(StrEnum):
    """Where an entry test stands."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"

    @property
    def is_final(self) -> bool:
        """True where no further item is needed."""
        return self is not QualificationDecision.OPEN


@dataclass(frozen=True, kw_only=True)
class QualificationConfig:
    """What separates a qualified annotator from one who is not, and the errors allowed."""

    unqualified: float = 0.6
    """Accuracy on an item of difficulty 0 that must not pass."""
    qualified: float = 0.8
    """Accuracy on an item of difficulty 0 that must pass."""
    false_pass: float = 0.05
    """Wanted chance that an unqualified annotator passes."""
    false_fail: float = 0.05
    """Wanted chance that a qualified annotator fails."""
    max_items: int = 40
    """The test ends here by the Bayes rule."""
    prior_qualified: float = 0.5
    """Share of applicants that are qualified; used by the Bayes rule only."""
    false_pass_cost: float = 1.0
    """Cost of passing an unqualified annotator, in units of failing a qualified one."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.unqualified < self.qualified < 1:
            problems.append(
                f"unqualified is {self.unqualified} and qualified {self.qualified}; "
                f"expected 0 < first < second < 1"
            )
        if min(self.false_pass, self.false_fail) <= 0 or self.false_pass + self.false_fail >= 1:
            problems.append(
                f"false_pass is {self.false_pass} and false_fail {self.false_fail}; "
                f"expected both above 0, sum below 1"
            )
        if self.max_items < 1:
            problems.append(f"max_items is {self.max_items}; expected 1 or more")
        if not (0 < self.prior_qualified < 1 and self.false_pass_cost > 0):
            problems.append("prior_qualified must lie between 0 and 1 and false_pass_cost above 0")
        if problems:
            raise ConfigError("qualification", problems)

    @property
    def pass_at(self) -> float:
        """Lambda at which the test is passed."""
        return float(np.log((1 - self.false_fail) / self.false_pass))

    @property
    def fail_at(self) -> float:
        """Lambda at which the test is failed."""
        return float(np.log(self.false_fail / (1 - self.false_pass)))

    @property
    def pass_when_cut(self) -> float:
        """Lambda from which the Bayes rule passes at `max_items`."""
        return float(np.log(self.false_pass_cost) - special.logit(self.prior_qualified))


@dataclass(frozen=True)
class QualificationResult:
    """An entry test so far."""

    decision: QualificationDecision
    n_items: int
    """Items that counted; what came after the decision does not."""
    log_likelihood_ratio: float
    is_cut: bool
    """True where the Bayes rule decided at the last item."""
    p_qualified: float
    """Posterior probability of the qualified accuracy against the unqualified one."""


@dataclass(frozen=True)
class OperatingCharacteristic:
    """What the test does to annotators of one accuracy."""

    accuracy: float
    """On an item of difficulty 0."""
    p_pass: float
    expected_items: float
    p_cut: float
    """Chance that the Bayes rule has to decide."""


def run_qualification(
    right: Sequence[bool] | NDArray[np.bool_],
    *,
    difficulties: ArrayLike | None = None,
    config: QualificationConfig | None = None,
) -> QualificationResult:
    """Judge the answers [item] in the order given; `difficulties` [item] are logits, 0 without them.

    No answer gives an open test. Answers after the decision are ignored.
    """
    config = config or QualificationConfig()
    answers = np.asarray(right, dtype=bool)[: config.max_items]
    steps = _steps(len(answers), difficulties, config)
    path = np.round(np.cumsum(np.where(answers, steps[:, 0], steps[:, 1])), ROUNDING)
    over = np.flatnonzero((path >= config.pass_at) | (path <= config.fail_at))
    n_items = int(over[0]) + 1 if len(over) else len(answers)
    ratio = float(path[n_items - 1]) if n_items else 0.0
    is_cut = not len(over) and n_items == config.max_items
    decision = QualificationDecision.OPEN
    if len(over) or is_cut:
        limit = config.pass_when_cut if is_cut else 0.0
        decision = QualificationDecision.PASSED if ratio >= limit else QualificationDecision.FAILED
    p_qualified = float(special.expit(ratio + special.logit(config.prior_qualified)))
    return QualificationResult(decision, n_items, ratio, is_cut, p_qualified)


def operating_characteristic(
    accuracy: float,
    *,
    difficulties: ArrayLike | None = None,
    config: QualificationConfig | None = None,
) -> OperatingCharacteristic:
    """Chance to pass and expected items of an annotator of this accuracy, by recursion over the items.

    Exact while Lambda has at most `MAX_STATES` values, as with equal difficulties (n + 1 values at item
    n) or a few levels of it. `difficulties` [item] need an entry for each of `max_items`.
    """
    config = config or QualificationConfig()
    if not 0 <= accuracy <= 1:
        raise DataError(f"the accuracy is {accuracy}; expected a number between 0 and 1")
    steps = _steps(config.max_items, difficulties, config)
    shifts = (
        np.zeros(config.max_items) if difficulties is None else np.asarray(difficulties, dtype=np.float64)
    )
    with np.errstate(divide="ignore"):
        chances = special.expit(special.logit(accuracy) - shifts[: config.max_items])
    states, masses = np.zeros(1), np.ones(1)
    p_pass = expected = 0.0
    for (up, down), chance in zip(steps, chances, strict=True):
        expected += float(masses.sum())
        states, masses = _merge(
            np.concatenate([states + up, states + down]),
            np.concatenate([masses * chance, masses * (1 - chance)]),
            config,
        )
        is_over = states >= config.pass_at
        p_pass += float(masses[is_over].sum())
        is_open = ~is_over & (states > config.fail_at)
        states, masses = states[is_open], masses[is_open]
        if not len(states):
            break
    p_cut = float(masses.sum())
    p_pass += float(masses[states >= config.pass_when_cut].sum())
    return OperatingCharacteristic(accuracy, min(p_pass, 1.0), expected, p_cut)


def _steps(n_items: int, difficulties: ArrayLike | None, config: QualificationConfig) -> NDArray[np.float64]:
    """[item, 2] What a right and a wrong answer add to Lambda."""
    shifts = np.zeros(n_items) if difficulties is None else np.asarray(difficulties, dtype=np.float64)
    if len(shifts) < n_items:
        raise DataError(f"{len(shifts)} difficulties; expected one for each of {n_items} items")
    if not np.isfinite(shifts).all():
        raise DataError("a difficulty is not finite; expected logits, 0 for an ordinary item")
    low = special.logit(config.unqualified) - shifts[:n_items]
    high = special.logit(config.qualified) - shifts[:n_items]
    right = special.log_expit(high) - special.log_expit(low)
    wrong = special.log_expit(-high) - special.log_expit(-low)
    return np.stack([right, wrong], axis=1)


def _merge(
    states: NDArray[np.float64], masses: NDArray[np.float64], config: QualificationConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Equal values of Lambda as one; too many open ones on a grid, each between its two neighbors."""
    values, index = np.unique(np.round(states, ROUNDING), return_inverse=True)
    summed = np.bincount(index, weights=masses, minlength=len(values)).astype(np.float64)
    is_open = (values < config.pass_at) & (values > config.fail_at)
    if is_open.sum() <= MAX_STATES:
        return values, summed
    grid = np.linspace(values[is_open][0], values[is_open][-1], MAX_STATES)
    place = (values[is_open] - grid[0]) / (grid[1] - grid[0])
    below = np.minimum(place.astype(np.int64), MAX_STATES - 2)
    share = place - below
    laid = np.bincount(below, weights=summed[is_open] * (1 - share), minlength=MAX_STATES)
    laid += np.bincount(below + 1, weights=summed[is_open] * share, minlength=MAX_STATES)
    return np.concatenate([values[~is_open], grid]), np.concatenate([summed[~is_open], laid])
