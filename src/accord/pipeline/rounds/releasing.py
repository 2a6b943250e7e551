"""Gates of a round, the ledger of releases, and when no further round begins."""

import datetime
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.domain.files import write_text_atomic
from accord.evaluation.gates.plan import GatePlan, parse_plan, read_plan
from accord.evaluation.gates.verdict import Release, Verdict, judge_release
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

if TYPE_CHECKING:
    from accord.pipeline.rounds.plan import StopConfig

STAGES = ("sample", "choose", "judge", "agree", "reward", "policy", "answer", "examine", "drift", "decide")
"""Of every round, in order; after `reward` one under a written policy also has `grades`, and a guarded one
`evidence`."""
LEDGER = "rounds.json"
OWN_PLAN = "loop"
SKILL_METRIC = "skill_rank_correlation"
"""Of a simulated panel: its true skill with what a round says of it."""


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """What came of one round: the row of the ledger."""

    number: int
    model: str
    """Folder of the policy, below the run's."""
    version: str
    """Hash of its weights."""
    began_from: str
    """Version of the policy it began with."""
    incumbent: str
    """Version of what it was held against."""
    snapshot: str
    """Hash of the preferences its reward model learned from."""
    reward_model: str
    """Folder of that reward model, below the run's."""
    reward_version: str
    verdict: str
    is_released: bool
    plan_hash: str
    gates: tuple[Mapping[str, Any], ...]
    """Id, verdict and reason of each."""
    numbers: Mapping[str, Mapping[str, Any]]
    """Metric, or metric and slice or versus, to its estimate."""
    judgments: int
    """Of all rounds so far."""
    seconds: float
    """Time in stages of all rounds so far."""
    facts: Mapping[str, Any]
    """Annotators, guard, what was asked."""

    def number_of(self, name: str) -> float | None:
        """The value of a number, or None."""
        found = self.numbers.get(name)
        return None if found is None else found["value"]


def plan_of(name: str) -> GatePlan:
    """The plan a loop names: `loop`, `default` or a file."""
    if name != OWN_PLAN:
        return read_plan(name)
    text = files("accord.pipeline.rounds").joinpath("gates.toml").read_text(encoding="utf-8")
    return parse_plan(tomllib.loads(text), "loop")


def decide(plan: GatePlan, measurements: Sequence[Measurement], *, today: datetime.date) -> Release:
    """The verdict on a round's candidate."""
    return judge_release(plan, measurements, today=today)


def gate_rows(release: Release) -> tuple[dict[str, Any], ...]:
    """Each gate's verdict as JSON."""
    return tuple(
        {
            "id": one.gate.id,
            "metric": one.gate.metric,
            "slice": one.gate.slice,
            "verdict": one.verdict.value,
            "severity": one.gate.severity,
            "reason": one.reason,
            "more_needed": one.more_needed,
            "about": one.gate.about,
        }
        for one in release.results
    )


def number_rows(measurements: Sequence[Measurement]) -> dict[str, dict[str, Any]]:
    """Estimates by name; slices and differences say so in the name."""
    rows = {}
    for one in measurements:
        name = one.metric + ("" if one.slice == "all" else f" [{one.slice}]")
        name += "" if one.versus == "nothing" else " (difference)"
        estimate = one.estimate
        rows[name] = {
            "value": _number(estimate.value),
            "low": _number(estimate.low),
            "high": _number(estimate.high),
            "n": estimate.n,
            "method": estimate.method,
        }
    return rows


def estimate_of(record: RoundRecord, name: str) -> Estimate | None:
    """A number of a round with its interval, or None."""
    row = record.numbers.get(name)
    if row is None or row["value"] is None:
        return None
    return bounded(row["value"], row["low"], row["high"], row["n"], row["method"])


def bounded(value: Any, low: Any, high: Any, n: int, method: str = "") -> Estimate:
    """An estimate from JSON; what is null there is no number."""
    bounds = [math.nan if one is None else float(one) for one in (value, low, high)]
    return Estimate(value=bounds[0], low=bounds[1], high=bounds[2], n=n, method=method)


def write_ledger(folder: Path, records: Sequence[RoundRecord], *, state: Mapping[str, Any]) -> None:
    """`rounds.json`: every finished round, and where the loop stands."""
    body = {"rounds": [asdict(one) for one in records], **state}
    write_text_atomic(folder / LEDGER, json.dumps(body, indent=1, ensure_ascii=False, default=str))


def read_ledger(folder: Path) -> tuple[list[RoundRecord], dict[str, Any]]:
    """What `write_ledger` wrote: finished rounds, and the state; nothing where there is no ledger yet."""
    path = folder / LEDGER
    if not path.exists():
        return [], {}
    body = json.loads(path.read_text(encoding="utf-8"))
    rounds = [RoundRecord(**{**row, "gates": tuple(row["gates"])}) for row in body.pop("rounds")]
    return rounds, body


def why_stop(stop: "StopConfig", records: Sequence[RoundRecord]) -> str:
    """Why no further round begins after these; empty where one may."""
    if not records:
        return ""
    last = records[-1]
    kl = last.number_of("kl_from_tuned")
    if stop.on_fail and last.verdict == Verdict.FAIL.value:
        failed = [row["id"] for row in last.gates if row["verdict"] == "fail" and row["severity"] == "block"]
        return f"gate {', '.join(failed)} failed in round {last.number}"
    if stop.max_judgments is not None and last.judgments >= stop.max_judgments:
        return f"{last.judgments} judgments were given, the budget is {stop.max_judgments}"
    if stop.max_hours is not None and last.seconds >= 3600 * stop.max_hours:
        return f"{last.seconds / 3600:.1f} hours were used, the budget is {stop.max_hours:g}"
    if stop.max_kl is not None and kl is not None and kl > stop.max_kl:
        return f"the policy is {kl:.1f} nats from the fine-tuned model, the budget is {stop.max_kl:g}"
    if stop.patience is not None:
        latest = records[-int(stop.patience) :]
        if len(latest) == stop.patience and not any(one.is_released for one in latest):
            return f"{stop.patience} rounds in a row released nothing"
    return ""


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
