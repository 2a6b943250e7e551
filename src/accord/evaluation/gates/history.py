"""Gates release after release: one JSON line for each release, read back as series.

    {"release": "1.2", "day": "2026-11-30", "plan": "default", "plan_hash": "...", "verdict": "pass",
     "gates": [{"id": "G4", "metric": "win_rate", "verdict": "pass", "threshold": 0.5, "estimate": {...}}],
     "levels": [{"metric": "harmful_refusal", "slice": "all", "estimate": {...}}]}

Lines are only added. A release judged again adds a line, and its last line counts: what was said before stays
in the file. Each line also names the held-out data it was judged on, so that data which judged too often are
found. Leaves out judging (`verdict.py`) and drawing.
"""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.domain.files import write_text_atomic
from accord.evaluation.gates.verdict import Release, Verdict, threshold_of
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

HELDOUT = {
    "prompts_digest": "prompts",
    "pairs_digest": "people's pairs",
    "data_sha256": "suite",
    "bench_sha256": "benchmark",
}
"""Facts of a measurement that say on which held-out data it rests, and what to call them."""
MOST_USES = 5
"""Looks at the same held-out data after which what passes them may only fit them (Dwork et al. 2015)."""


@dataclass(frozen=True, kw_only=True)
class HeldoutUse:
    """How often one set of held-out data has judged."""

    name: str
    """What it is and the first digits of its digest."""
    uses: int
    """Lines of the history, releases judged again among them."""
    releases: tuple[str, ...]

    @property
    def is_worn(self) -> bool:
        """True from more than `MOST_USES` uses on: draw fresh data, and keep some that are used once."""
        return self.uses > MOST_USES


@dataclass(frozen=True, kw_only=True)
class GateRecord:
    """One gate of one release."""

    id: str
    metric: str
    slice: str = "all"
    versus: str = "nothing"
    severity: str = "block"
    verdict: str
    threshold: float
    is_floor: bool
    """True where the right side of the threshold is above it."""
    estimate: Estimate | None = None
    """None where it was not measured."""


@dataclass(frozen=True, kw_only=True)
class LevelRecord:
    """The candidate's own level of a number that a gate compares with the incumbent's."""

    metric: str
    slice: str = "all"
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """What was known of one release when it was judged."""

    release: str
    day: datetime.date
    plan: str
    plan_hash: str
    verdict: str
    gates: tuple[GateRecord, ...]
    levels: tuple[LevelRecord, ...] = ()
    heldout: tuple[str, ...] = ()
    """The held-out data its numbers rest on, sorted."""

    def find_level(self, metric: str, slice: str = "all") -> Estimate | None:
        """The candidate's level, of a gate on it or beside one on its difference."""
        for level in self.levels:
            if (level.metric, level.slice) == (metric, slice):
                return level.estimate
        for gate in self.gates:
            if (gate.metric, gate.slice, gate.versus) == (metric, slice, "nothing"):
                return gate.estimate
        return None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One number through the releases."""

    id: str
    """Of the gate."""
    metric: str
    slice: str
    is_level: bool
    """False for differences from the incumbent of that time."""
    is_higher_better: bool
    threshold: float | None
    """Of the gate of the last release; None where the gate is on the difference and the level is shown."""
    releases: tuple[str, ...]
    verdicts: tuple[str, ...]
    values: tuple[Estimate | None, ...]

    @property
    def change(self) -> Estimate | None:
        """The last value less the one measured before it; None without two that have intervals.

        Half-widths add as for independent releases. Releases mostly answer the same prompts, so the interval
        is rather too wide: a paired comparison (`accord evaluate compare`) tells more.
        """
        known = [one for one in self.values if one is not None and one.has_interval]
        if not self.is_level or len(known) < 2 or self.values[-1] is not known[-1]:
            return None
        last, before = known[-1], known[-2]
        value = last.value - before.value
        below = math.hypot(last.value - last.low, before.high - before.value)
        above = math.hypot(last.high - last.value, before.value - before.low)
        count = min(last.n, before.n)
        return Estimate(value=value, low=value - below, high=value + above, n=count, method="independent")

    @property
    def trend(self) -> str:
        """better, worse, or not told apart; empty without two releases."""
        change = self.change
        if change is None:
            return ""
        if change.low <= 0 <= change.high:
            return "not told apart"
        return "better" if (change.value > 0) == self.is_higher_better else "worse"


def record_release(
    name: str, release: Release, measurements: Sequence[Measurement], *, day: datetime.date
) -> ReleaseRecord:
    """A release as its line in the history; levels are kept of whatever a gate compares."""
    if not name.strip():
        raise DataError("the release has no name; a history needs one, such as --release 1.2")
    gates, compared = [], set()
    for one in release.results:
        threshold, is_floor = threshold_of(one.gate)
        estimate = None if one.measurement is None else one.measurement.estimate
        if one.verdict is Verdict.NOT_MEASURED:
            estimate = None
        gates.append(
            GateRecord(
                id=one.gate.id,
                metric=one.gate.metric,
                slice=one.gate.slice,
                versus=one.gate.versus,
                severity=one.gate.severity,
                verdict=one.verdict.value,
                threshold=threshold,
                is_floor=is_floor,
                estimate=estimate,
            )
        )
        if one.gate.versus == "incumbent":
            compared.add((one.gate.metric, one.gate.slice))
    levels = [
        LevelRecord(metric=one.metric, slice=one.slice, estimate=one.estimate)
        for one in measurements
        if one.versus == "nothing" and (one.metric, one.slice) in compared and one.estimate.has_interval
    ]
    return ReleaseRecord(
        release=name.strip(),
        day=day,
        plan=release.plan_name,
        plan_hash=release.plan_hash,
        verdict=release.verdict.value,
        gates=tuple(gates),
        levels=tuple(levels),
        heldout=_heldout(measurements),
    )


def _heldout(measurements: Sequence[Measurement]) -> tuple[str, ...]:
    found = set()
    for one in measurements:
        for fact, name in HELDOUT.items():
            digest = one.facts.get(fact)
            if isinstance(digest, str):
                known = one.facts.get(name)
                found.add(f"{name}{f' {known}' if isinstance(known, str) else ''} {digest[:12]}")
    return tuple(sorted(found))


def heldout_uses(path: Path) -> list[HeldoutUse]:
    """How often each set of held-out data that the last line rests on has judged; the most used first."""
    lines = _read_lines(path)
    uses = [
        HeldoutUse(
            name=name,
            uses=sum(name in one.heldout for one in lines),
            releases=tuple(dict.fromkeys(one.release for one in lines if name in one.heldout)),
        )
        for name in lines[-1].heldout
    ]
    return sorted(uses, key=lambda one: (-one.uses, one.name))


def worn_words(uses: Sequence[HeldoutUse]) -> list[str]:
    """One sentence for each set of data that has judged too often."""
    return [
        f"held-out data {one.name} have judged {one.uses} times, in {len(one.releases)} releases: what "
        "passes them may only fit them; judge the next release on fresh ones"
        for one in uses
        if one.is_worn
    ]


def add_release(path: Path, record: ReleaseRecord) -> list[ReleaseRecord]:
    """Add a line, unless the last one of this release says the same; returns the releases as they count."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = read_history(path) if text.strip() else []
    if record not in known:
        if text and not text.endswith("\n"):
            text += "\n"
        write_text_atomic(path, text + json.dumps(_as_json(record), ensure_ascii=False) + "\n")
        known = read_history(path)
    return known


def read_history(path: Path) -> list[ReleaseRecord]:
    """Releases in the order in which they first came, each by its last line; raises `DataError`."""
    return list({one.release: one for one in _read_lines(path)}.values())


def _read_lines(path: Path) -> list[ReleaseRecord]:
    """Every line, in the order of the file; raises `DataError`."""
    where = str(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", path=where) from error
    found: list[ReleaseRecord] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"is no release of a history ({type(error).__name__}: {error}); expected a line that "
                "`accord gate --history` wrote",
                path=where,
                line=number,
            ) from error
        found.append(record)
    if not found:
        raise DataError("holds no release; `accord gate --history FILE --release NAME` adds one", path=where)
    return found


def history_series(records: Sequence[ReleaseRecord]) -> list[Series]:
    """A series for each gate of the last release; of its level where the history has one, else its number."""
    made = []
    names = tuple(one.release for one in records)
    for gate in records[-1].gates:
        same = [next((one for one in record.gates if one.id == gate.id), None) for record in records]
        levels = [record.find_level(gate.metric, gate.slice) for record in records]
        is_level = gate.versus == "nothing" or any(one is not None for one in levels)
        own = [None if one is None else one.estimate for one in same]
        made.append(
            Series(
                id=gate.id,
                metric=gate.metric,
                slice=gate.slice,
                is_level=is_level,
                is_higher_better=gate.is_floor,
                threshold=None if is_level and gate.versus == "incumbent" else gate.threshold,
                releases=names,
                verdicts=tuple(Verdict.NOT_MEASURED.value if one is None else one.verdict for one in same),
                values=tuple(levels if is_level else own),
            )
        )
    return made


def _as_json(record: ReleaseRecord) -> dict[str, Any]:
    def estimate(one: Estimate | None) -> dict[str, Any] | None:
        if one is None:
            return None
        numbers = {name: getattr(one, name) for name in ("value", "low", "high")}
        plain = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        return {**plain, "n": one.n, "method": one.method, "confidence": one.confidence}

    return {
        "release": record.release,
        "day": record.day.isoformat(),
        "plan": record.plan,
        "plan_hash": record.plan_hash,
        "verdict": record.verdict,
        "gates": [{**vars(one), "estimate": estimate(one.estimate)} for one in record.gates],
        "levels": [{**vars(one), "estimate": estimate(one.estimate)} for one in record.levels],
        "heldout": list(record.heldout),
    }


def _from_json(row: Mapping[str, Any]) -> ReleaseRecord:
    def estimate(one: Mapping[str, Any] | None) -> Estimate | None:
        if one is None:
            return None
        numbers = {name: _number(one[name]) for name in ("value", "low", "high")}
        return Estimate(
            **numbers, n=int(one["n"]), method=str(one["method"]), confidence=float(one["confidence"])
        )

    levels = []
    for one in row["levels"]:
        found = estimate(one["estimate"])
        if found is not None:
            levels.append(LevelRecord(**{**one, "estimate": found}))
    gates = [
        {**one, "verdict": Verdict(one["verdict"]).value, "estimate": estimate(one["estimate"])}
        for one in row["gates"]
    ]
    return ReleaseRecord(
        release=str(row["release"]),
        day=datetime.date.fromisoformat(row["day"]),
        plan=str(row["plan"]),
        plan_hash=str(row["plan_hash"]),
        verdict=Verdict(row["verdict"]).value,
        gates=tuple(GateRecord(**one) for one in gates),
        levels=tuple(levels),
        heldout=tuple(str(one) for one in row.get("heldout", ())),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
