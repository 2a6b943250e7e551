"""How many labels for which interval? Width and power of a collection before it is made, and the inverse.

    plan = plan_power(WinRateDesign(share=0.55), width=0.04)              # how many items at 1, 2, ... labels
    plan = plan_power(AlphaDesign(), labels_an_item=5, width=0.1)         # how many items
    plan = plan_power(AccuracyDesign(), n_items=200, labels_an_item=5)    # what that gives
    rows = tabulate_power(WinRateDesign(), n_items=(100, 200), labels_an_item=(1, 3), difference=0.05)

What is to be measured is a design of `accord.quality.deciding.designs`. Leaves out sequential
collection, which needs fewer labels (`accord.quality.deciding.stopping`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from accord.domain import ConfigError
from accord.quality.deciding.designs import Design, Precision, PrecisionAt

MAX_ITEMS = 10**8
"""More items are not looked for."""
MOST_LABELS = 20
"""Labels an item that are looked at."""


@dataclass(frozen=True, kw_only=True)
class PowerPlan:
    """One size of a collection and what it gives. What does not exist is None, with the reason."""

    quantity: str
    """What is measured: `win_rate`, `alpha` or `accuracy`."""
    n_items: int | None
    """None where no number of items gives what is wanted; each arm has so many."""
    labels_an_item: int | None
    n_labels: int | None
    """Of one arm."""
    value: float | None
    """Expected estimate."""
    width: float | None
    """Expected width of the interval; with two arms, of that of their difference."""
    power: float | None
    """Probability that the interval excludes what it is tested against; None without a difference."""
    difference: float | None
    """Of the value from what it is tested against: a fixed number, or the other arm."""
    arms: int
    confidence: float
    design_effect: float | None
    """For shares: labels needed for the worth of one independent label."""
    method: str
    reason: str | None = None
    """Why something is missing, or what was wanted is not reached."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What a size must give; None asks nothing."""

    width: float | None
    power: float | None
    value: float | None
    difference: float | None
    arms: int
    confidence: float

    def shortfall(self, plan: PowerPlan) -> str | None:
        """What a plan lacks, in words; None when it will do."""
        for name, wanted, sign in (
            ("width", self.width, -1),
            ("power", self.power, 1),
            ("value", self.value, 1),
        ):
            got = getattr(plan, name)
            if wanted is not None and got is None:
                return plan.reason or f"no {name}"
            if wanted is not None and sign * (got - wanted) < 0:
                return f"{name} is {got:.4g}, wanted {'at least' if sign > 0 else 'at most'} {wanted:g}"
        return None


def plan_power(
    design: Design,
    *,
    n_items: int | None = None,
    labels_an_item: int | None = None,
    width: float | None = None,
    power: float | None = None,
    least_value: float | None = None,
    difference: float | None = None,
    arms: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> PowerPlan:
    """What a size gives or, where a number is left open, the smallest one that gives what is wanted.

    Both numbers given: their width and power, with a reason where they miss what is wanted. One given: the
    smallest other with an interval no wider than `width`, `power` to detect `difference` and an expected
    value of `least_value`, whichever of them are asked for. None given: the two with the fewest
    labels in all, the fewer an item where equal. The search takes more items for never worse and ends
    at `MAX_ITEMS` items and `MOST_LABELS` labels an item.

    `difference` is the expected value less a fixed number it is tested against (`arms` 1, such as 0.05 for a
    win rate of 0.55 against even) or less the value of a second collection of the same size (`arms` 2).
    Intervals are Wilson's (1927) at the effective number of labels for shares, and Student's t for alpha;
    power is that of the test which rejects what lies outside, with the noncentral t where the standard error
    is estimated. What is simulated is drawn from `seed`.
    """
    wanted = _Wanted(
        width=width,
        power=power,
        value=least_value,
        difference=difference,
        arms=arms,
        confidence=confidence,
    )
    _check(design, wanted, n_items, labels_an_item)
    if labels_an_item is not None:
        return _plan_items(design, wanted, n_items, labels_an_item, seed)
    most = MOST_LABELS if design.most_labels is None else min(MOST_LABELS, design.most_labels)
    best: PowerPlan | None = None
    missed: PowerPlan | None = None
    for labels in range(1, most + 1):
        plan = _plan_items(design, wanted, n_items, labels, seed)
        if plan.n_items is None or wanted.shortfall(plan) is not None:
            missed = plan
        elif n_items is not None:
            return plan
        elif best is None or (plan.n_labels or 0) < (best.n_labels or 0):
            best = plan
    if best is not None:
        return best
    assert missed is not None, "at least one number of labels was tried"
    reason = f"not with up to {most} labels an item; with {most}: {missed.reason}"
    return replace(missed, labels_an_item=None, n_labels=None, reason=reason)


def tabulate_power(
    design: Design,
    *,
    n_items: Sequence[int],
    labels_an_item: Sequence[int],
    difference: float | None = None,
    arms: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[PowerPlan, ...]:
    """What every combination gives: for each number of labels an item, in the order given, each of items."""
    wanted = _Wanted(
        width=None, power=None, value=None, difference=difference, arms=arms, confidence=confidence
    )
    rows = []
    for labels in labels_an_item:
        for items in n_items:
            _check(design, wanted, items, labels)
        precision = design.prepare(labels, seed=seed)
        rows += [_measure(design, wanted, precision, items, labels) for items in n_items]
    return tuple(rows)


def _check(design: Design, wanted: _Wanted, n_items: int | None, labels_an_item: int | None) -> None:
    problems = []
    for name, number in (("n_items", n_items), ("labels_an_item", labels_an_item)):
        if number is not None and number < 1:
            problems.append(f"{name} is {number}, expected 1 or more")
    most = design.most_labels
    if labels_an_item is not None and most is not None and labels_an_item > most:
        problems.append(f"labels_an_item is {labels_an_item}, but there are {most} annotators")
    for name in ("width", "power", "confidence"):
        share = getattr(wanted, name)
        if share is not None and not 0 < share < 1:
            problems.append(f"{name} is {share}, expected between 0 and 1")
    if wanted.arms not in (1, 2):
        problems.append(f"arms is {wanted.arms}, expected 1 or 2")
    if wanted.difference == 0:
        problems.append("difference is 0, which no number of labels detects")
    if wanted.power is not None and wanted.difference is None:
        problems.append("power needs the difference that is to be detected")
    if n_items is None and wanted.width is None and wanted.power is None:
        problems.append("n_items is open and nothing is wanted of it; give n_items, width or power")
    if labels_an_item is None and (wanted.width, wanted.power, wanted.value) == (None, None, None):
        problems.append(
            "labels_an_item is open and nothing is wanted; give it, or width, power or least_value"
        )
    if problems:
        raise ConfigError("power", problems)


def _plan_items(
    design: Design, wanted: _Wanted, n_items: int | None, labels_an_item: int, seed: int
) -> PowerPlan:
    """The plan at `n_items`, or at the smallest number of items that will do."""
    precision = design.prepare(labels_an_item, seed=seed)

    def plan_at(number: int) -> PowerPlan:
        return _measure(design, wanted, precision, number, labels_an_item)

    if n_items is not None:
        plan = plan_at(n_items)
        return replace(plan, reason=plan.reason or wanted.shortfall(plan))
    enough = 2
    while enough < MAX_ITEMS and wanted.shortfall(plan_at(enough)) is not None:
        enough = min(2 * enough, MAX_ITEMS)
    plan = plan_at(enough)
    lacking = wanted.shortfall(plan)
    if lacking is not None:
        return replace(
            plan, n_items=None, n_labels=None, reason=f"even {enough:,} items do not do: {lacking}"
        )
    short = 1
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (middle, enough) if wanted.shortfall(plan_at(middle)) else (short, middle)
    return plan_at(enough)


def _measure(
    design: Design, wanted: _Wanted, precision_at: PrecisionAt, n_items: int, labels_an_item: int
) -> PowerPlan:
    precision = precision_at(n_items)
    has_power = wanted.difference is not None and precision.value is not None
    return PowerPlan(
        quantity=design.type,
        n_items=n_items,
        labels_an_item=labels_an_item,
        n_labels=n_items * labels_an_item,
        value=precision.value,
        width=None if precision.value is None else _width(precision, wanted),
        power=_power(precision, wanted) if has_power else None,
        difference=wanted.difference,
        arms=wanted.arms,
        confidence=wanted.confidence,
        design_effect=precision.design_effect,
        method=precision.method,
        reason=precision.reason,
    )


def _reach(freedom: float, confidence: float) -> float:
    """Standard errors from the middle of an interval to its ends."""
    tail = (1 - confidence) / 2
    return -float(ndtri(tail) if math.isinf(freedom) else stdtrit(freedom, tail))


def _width(precision: Precision, wanted: _Wanted) -> float:
    share, size = precision.value or 0.0, precision.n_effective
    reach = _reach(precision.freedom * wanted.arms, wanted.confidence)
    if wanted.arms == 2:
        other = share if wanted.difference is None else share - wanted.difference
        return 2 * reach * _errors(precision, share, other, 2)[1]
    if size is None:
        return 2 * reach * precision.error
    spread = math.sqrt(share * (1 - share) / size + (reach / (2 * size)) ** 2)
    return 2 * reach * spread / (1 + reach**2 / size)


def _power(precision: Precision, wanted: _Wanted) -> float:
    """P(|estimate - tested value| > reach * its error if that were true)."""
    difference, share = wanted.difference or 0.0, precision.value or 0.0
    null_error, error = _errors(precision, share, share - difference, wanted.arms)
    freedom = precision.freedom * wanted.arms
    reach = _reach(freedom, wanted.confidence) * null_error
    if error == 0:
        return float(abs(difference) > reach)
    limit, center = reach / error, difference / error
    if math.isinf(freedom):
        return float(ndtr(center - limit) + ndtr(-center - limit))
    return float(1 - nctdtr(freedom, center, limit) + nctdtr(freedom, center, -limit))


def _errors(precision: Precision, share: float, other: float, arms: int) -> tuple[float, float]:
    """Standard errors of what is tested: if there were no difference, and as things are expected to be."""
    size = precision.n_effective
    if size is None:
        return precision.error * math.sqrt(arms), precision.error * math.sqrt(arms)
    if not 0 <= other <= 1:
        raise ConfigError("power", [f"the share tested against is {other:g}, expected 0 to 1"])
    if arms == 1:
        return math.sqrt(other * (1 - other) / size), math.sqrt(share * (1 - share) / size)
    pooled = (share + other) / 2
    apart = share * (1 - share) + other * (1 - other)
    return math.sqrt(2 * pooled * (1 - pooled) / size), math.sqrt(apart / size)
