"""Verdicts: pass, fail, undecided with how many rows are missing, or not measured; never a bare boolean.

A number passes where its whole interval lies on the right side of its threshold, fails where all of it lies
on the wrong side, and is undecided between:

    superiority      right side: above margin (below -margin where lower is better)
    noninferiority   right side: above -margin (below margin where lower is better)
    absolute         right side: at least margin (at most margin where lower is better)
    budget           right side: at most margin, whatever is better
    equivalence      right side: between -margin and margin, whatever is better; wrong: all beyond one of them

A release passes where every blocking gate passes: each is held at its own alpha without correction, for all
must pass (intersection-union test). Leaves out how numbers are measured.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.gates.plan import Gate, GatePlan, Waiver
from accord.evaluation.gates.producers import producer_of
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

POWER = 0.8
"""At which a margin counts as one that could have been decided."""
ROUNDING = 1e-9


class Verdict(StrEnum):
    """What is known of a gate."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """A gate and what came of it."""

    gate: Gate
    verdict: Verdict
    reason: str
    """One sentence with the numbers."""
    measurement: Measurement | None = None
    more_needed: int | None = None
    """Rows beyond those there; None where that does not help or cannot be said."""
    waiver: Waiver | None = None
    """Who answers for it; only for what was not measured, and not after its day."""

    @property
    def is_held(self) -> bool:
        """True where it does not stand in the way of a release."""
        is_waived = self.verdict is Verdict.NOT_MEASURED and self.waiver is not None
        return self.verdict is Verdict.PASS or self.gate.severity != "block" or is_waived


@dataclass(frozen=True, kw_only=True)
class Release:
    """The verdict on a release, with every gate's."""

    plan_name: str
    plan_hash: str
    results: tuple[GateResult, ...]
    """In the order of the plan."""

    @property
    def verdict(self) -> Verdict:
        """Fail where a blocking gate fails; else undecided where one is not passed; else pass."""
        standing = [result.verdict for result in self.results if not result.is_held]
        if Verdict.FAIL in standing:
            return Verdict.FAIL
        return Verdict.UNDECIDED if standing else Verdict.PASS

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 undecided or not measured."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1}.get(self.verdict, 2)


def judge_release(
    plan: GatePlan,
    measurements: Sequence[Measurement],
    *,
    today: datetime.date,
    reasons: Mapping[str, str] | None = None,
) -> Release:
    """Hold measurements against a plan; their order does not matter.

    Two measurements of one metric, slice and versus raise: which one counts must be said before. `reasons`
    are those of the measuring commands for a metric ("m"), or a metric on a slice ("m, s"), without a number.
    """
    found: dict[tuple[str, str, str], Measurement] = {}
    for one in measurements:
        key = (one.metric, one.slice, one.versus)
        if key in found:
            raise EvaluationError(
                f"{one.metric!r} on slice {one.slice!r} versus {one.versus} is there twice; keep one of them"
            )
        found[key] = one
    waivers = {one.gate: one for one in plan.waivers if one.expires >= today}
    late = {one.gate: one for one in plan.waivers if one.expires < today}
    results = []
    for gate in plan.gates:
        result = judge_gate(
            gate,
            found.get((gate.metric, gate.slice, gate.versus)),
            waivers.get(gate.id),
            why_missing=_said_of(gate, reasons or {}),
        )
        if gate.id in late and result.waiver is None and result.verdict is Verdict.NOT_MEASURED:
            over = f"{result.reason}; the waiver of {late[gate.id].name} ended on {late[gate.id].expires}"
            result = GateResult(gate=gate, verdict=result.verdict, reason=over)
        results.append(result)
    return Release(plan_name=plan.name, plan_hash=plan.hash, results=tuple(results))


def judge_gate(
    gate: Gate, measurement: Measurement | None, waiver: Waiver | None = None, *, why_missing: str = ""
) -> GateResult:
    """One gate's verdict; `why_missing` is what the measuring command said of a number that is not there."""
    unmeasured = _why_unmeasured(gate, measurement, why_missing)
    if measurement is None or (unmeasured and not _is_short(gate, measurement.estimate)):
        said = (
            unmeasured if waiver is None else f"{unmeasured}; {waiver.name} answers for it: {waiver.reason}"
        )
        return GateResult(
            gate=gate, verdict=Verdict.NOT_MEASURED, reason=said, measurement=measurement, waiver=waiver
        )
    estimate = measurement.estimate
    threshold, is_floor = threshold_of(gate)
    right, wrong = _sides(gate, estimate)
    # A threshold that may be met is on the right side: "at least", "at most".
    may_meet = gate.comparator in ("absolute", "budget")
    slack = ROUNDING * (1 + abs(threshold))
    passes = right >= -slack if may_meet else right > slack
    fails = wrong < -slack if may_meet else wrong <= slack
    shown = _shown(estimate)
    asked = f"{'above' if is_floor else 'below'} {threshold:g}" if not may_meet else (
        f"at {'least' if is_floor else 'most'} {threshold:g}"
    )  # fmt: skip
    if gate.comparator == "equivalence":
        asked = f"between {-gate.margin:g} and {gate.margin:g}"
        threshold = math.copysign(gate.margin, estimate.value)
    missing = max(gate.min_n - estimate.n, 0)
    wanted = _too_fine(gate, estimate)
    if missing:
        verdict, more = Verdict.UNDECIDED, missing
        reason = f"{shown}: {estimate.n} rows, the gate asks for {gate.min_n}"
    elif wanted and not fails and not (passes and _is_better(gate, estimate)):
        verdict, more = Verdict.UNDECIDED, wanted - estimate.n
        reason = f"{shown}: a margin of {gate.margin:g} is less than half of what so few rows can show"
    elif passes or fails:
        verdict, more = (Verdict.PASS if passes else Verdict.FAIL), None
        reason = f"{shown}, {'' if passes else 'not '}{asked}"
    else:
        verdict, more = Verdict.UNDECIDED, _more_needed(estimate, threshold)
        reason = f"{shown} holds {threshold:g} within; it must lie {asked}"
    return GateResult(gate=gate, verdict=verdict, reason=reason, measurement=measurement, more_needed=more)


def _said_of(gate: Gate, reasons: Mapping[str, str]) -> str:
    """Why there is no number: of its slice, else of its metric where the same command measures both."""
    own = reasons.get(f"{gate.metric}, {gate.slice}")
    if own is None and producer_of(gate.metric, gate.slice) == producer_of(gate.metric):
        own = reasons.get(gate.metric)
    return own or ""


def _why_unmeasured(gate: Gate, measurement: Measurement | None, why_missing: str = "") -> str:
    if measurement is None:
        where = "" if gate.slice == "all" else f" on {gate.slice}"
        against = " against the incumbent" if gate.versus == "incumbent" else ""
        missing = f"there is no {gate.metric}{where}{against}"
        source = producer_of(gate.metric, gate.slice)
        said = f": {why_missing}" if why_missing else f"; `{source}` measures it" if source else ""
        return missing + said
    estimate = measurement.estimate
    if not math.isfinite(estimate.value):
        return f"{gate.metric} is not a number"
    if not estimate.has_interval:
        return f"{gate.metric} is {estimate.value:g} without an interval"
    if estimate.confidence < 1 - gate.alpha - ROUNDING:
        return f"the interval holds at {estimate.confidence:g}; the gate asks for {1 - gate.alpha:g}"
    return ""


def _is_short(gate: Gate, estimate: Estimate) -> bool:
    """Whether all that is wrong with an interval is that there are too few rows for it."""
    return estimate.has_interval and math.isfinite(estimate.value) and estimate.n < gate.min_n


def _sides(gate: Gate, estimate: Estimate) -> tuple[float, float]:
    """How far the interval's worse end lies on the right side, and how far its better end does."""
    threshold, is_floor = threshold_of(gate)
    if gate.comparator == "equivalence":
        above, below = threshold - estimate.low, estimate.high + threshold
        return min(threshold - estimate.high, estimate.low + threshold), min(above, below)
    low, high = estimate.low - threshold, estimate.high - threshold
    return (low, high) if is_floor else (-high, -low)


def lower_end_of(gate: Gate) -> float | None:
    """The other threshold of a gate that asks for a band; None for all others."""
    return -gate.margin if gate.comparator == "equivalence" else None


def threshold_of(gate: Gate) -> tuple[float, bool]:
    """The threshold, and whether the right side is above it; the upper one of a band (`lower_end_of`)."""
    is_higher = gate.better == "higher"
    if gate.comparator in ("budget", "equivalence"):
        return gate.margin, False
    if gate.comparator == "absolute":
        return gate.margin, is_higher
    if gate.comparator == "superiority":
        return (gate.margin, True) if is_higher else (-gate.margin, False)
    return (-gate.margin, True) if is_higher else (gate.margin, False)


def _is_better(gate: Gate, estimate: Estimate) -> bool:
    """Whether the whole interval of a difference lies on the good side of 0, which needs no margin."""
    if gate.comparator == "equivalence":
        return False
    return estimate.low > 0 if gate.better == "higher" else estimate.high < 0


def _too_fine(gate: Gate, estimate: Estimate) -> int:
    """Rows at which a margin around 0 is half the detectable effect; 0 where there are enough."""
    if gate.comparator not in ("noninferiority", "equivalence") or estimate.n < 1:
        return 0
    z_value = float(ndtri(0.5 + estimate.confidence / 2))
    detectable = (estimate.high - estimate.low) / 2 / z_value * (z_value + float(ndtri(POWER)))
    if gate.margin >= detectable / 2:
        return 0
    if gate.margin <= 0:
        return estimate.n + 1
    return math.ceil(estimate.n * (detectable / 2 / gate.margin) ** 2)


def _more_needed(estimate: Estimate, threshold: float) -> int | None:
    """Rows until the interval leaves the threshold, if the value stays and its width falls as 1 / sqrt(n)."""
    distance = abs(estimate.value - threshold)
    half = (estimate.high - threshold) if estimate.value < threshold else (threshold - estimate.low)
    half += distance
    if distance <= ROUNDING or estimate.n < 1:
        return None
    return max(1, math.ceil(estimate.n * (half / distance) ** 2) - estimate.n)


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}] over {estimate.n}"
