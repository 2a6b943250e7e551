"""What moved since the round before and since the first: prompts, answers, what people prefer, who judges.

    covariate        prompts of this round against those of then (maximum mean discrepancy)
    policy_induced   this policy's answers to the held-out prompts against those of then, prompt by prompt
    preference       votes on the anchor pairs now against those of then, of people who did not change
    annotator        how right each is as time goes on, against the others in the same round

The tests are those of `evaluation.drift` and `quality.people`; within one comparison they are corrected
together, and the wanted rate of false alarms is shared by the comparisons of a round. What has too few rows
is said to have. Leaves out what is done about it: each finding names it.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accord.domain import Choice, ConfigError, EvaluationError, Judgment, Prompt
from accord.evaluation.drift import (
    AnchorVotes,
    AnnotatorDrift,
    DriftKind,
    Finding,
    PreferenceDrift,
    TwoSampleTest,
    classify_samples,
    diagnose_drift,
    measure_answer_shift,
    measure_preference_drift,
)
from accord.evaluation.drift.measurements import measure_drift
from accord.evaluation.drift.rows import DriftRows
from accord.evaluation.drift.text_features import TextFeatures, text_features
from accord.evaluation.drift.two_sample import compare_samples
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.staff import Stream
from accord.quality.people import assess_decline, benjamini_hochberg

Key = tuple[str, str, str]
"""Prompt's id and both answers in canonical order."""
TOP = 4
"""Features named where texts moved."""


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """When a round is said to have drifted."""

    false_alarm_rate: float = 0.05
    """Wanted chance that a round in which nothing moved names anything."""
    min_rows: int = 10
    """Fewer prompts on a side, or anchor pairs voted on both times, give "too few" instead of a verdict."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.false_alarm_rate < 1:
            problems.append(f"false_alarm_rate is {self.false_alarm_rate}; expected between 0 and 1")
        if self.min_rows < 10:
            problems.append(f"min_rows is {self.min_rows}; expected at least 10, which the tests need")
        if problems:
            raise ConfigError("monitors", problems)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one round saw."""

    name: str
    """Such as "round 1"."""
    prompts: Sequence[Prompt] = ()
    """That were asked about."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Held-out prompt's id -> what the round's policy answered."""
    anchors: Mapping[Key, Sequence[Judgment]] = field(default_factory=dict)
    """Judgments of the anchor pairs that were given in this round."""
    votes: Mapping[Key, Sequence[Judgment]] = field(default_factory=dict)
    """Judgments of the round's own pairs."""
    is_start: bool = False
    """True of what was before the first round: answers alone."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the monitors of a round found."""

    rows: tuple[Mapping[str, Any], ...]
    """One a kind and comparison, as JSON: against, kind, state (moved, steady, too few), evidence, action."""
    measurements: tuple[Measurement, ...]
    """For gates, of the comparison with the round before."""

    @property
    def lines(self) -> list[str]:
        """What a person should read: what moved and what to do, else that nothing did."""
        moved = [row for row in self.rows if row["state"] == "moved"]
        told = [f"{row['kind']} since {row['against']}: {row['evidence']}; {row['action']}" for row in moved]
        few = sum(row["state"] == "too few" for row in self.rows)
        return told or [
            f"nothing moved in {len(self.rows) - few} tests" + (f", {few} too few" if few else "")
        ]


def watch_round(
    now: Seen, then: Sequence[Seen], streams: Sequence[Stream], config: MonitorConfig, *, seed: int = 0
) -> Watched:
    """Hold a round against earlier ones, the round before first; `streams` are of all rounds so far."""
    rows: list[Mapping[str, Any]] = []
    measured: list[Measurement] = []
    people = _declines(streams, config)
    alpha = config.false_alarm_rate / max(len(then), 1)
    for place, other in enumerate(then):
        compared = _Compared(now, other, people, config, seed)
        findings = compared.findings(alpha, has_people=place == 0)
        rows += [
            _row(one, other.name, compared.missing, compared.told)
            for one in findings
            if place == 0 or one.kind is not DriftKind.ANNOTATOR
        ]
        if place == 0:
            measured = compared.measured(findings)
    return Watched(rows=tuple(rows), measurements=tuple(measured))


@dataclass(frozen=True, eq=False)
class _People:
    drift: AnnotatorDrift | None
    """None where nobody has enough judgments."""
    changed: frozenset[str]


class _Compared:
    """One round against another."""

    def __init__(self, now: Seen, then: Seen, people: _People, config: MonitorConfig, seed: int):
        self.now, self.then, self.people, self.config, self.seed = now, then, people, config, seed
        self.missing: dict[DriftKind, str] = {}
        self.told: dict[DriftKind, Callable[[], str]] = {}
        self.tests: dict[str, Any] = {}

    def findings(self, alpha: float, *, has_people: bool) -> tuple[Finding, ...]:
        prompts = self._tried(DriftKind.COVARIATE, self._prompts)
        preferences = self._tried(DriftKind.PREFERENCE, self._preferences)
        answers = self._tried(DriftKind.POLICY_INDUCED, self._answers)
        people = self.people.drift if has_people else None
        if people is None:
            self.missing[DriftKind.ANNOTATOR] = "nobody has 20 decided comparisons yet"
        self.tests = {"prompts": prompts, "answers": answers, "anchors": preferences}
        return diagnose_drift(
            prompts=prompts, preferences=preferences, answers=answers, annotators=people, alpha=alpha
        )

    def measured(self, findings: Sequence[Finding]) -> list[Measurement]:
        facts = {"against": self.then.name, "seed": self.seed}
        made = [
            Measurement(
                metric="drift_mmd",
                slice=what,
                estimate=Estimate(
                    value=test.statistic,
                    n=test.n_reference + test.n_current,
                    method=f"permutation of {test.unit}",
                ),
                facts={**facts, "p_value": test.p_value},
            )
            for what in ("prompts", "answers")
            if isinstance(test := self.tests[what], TwoSampleTest)
        ]
        if isinstance(found := self.tests["anchors"], PreferenceDrift):
            made.append(
                Measurement(
                    metric="drift_preference_change",
                    slice="anchors",
                    estimate=found.change,
                    facts={**facts, "p_value": found.p_value, "flipped": _known(found.flipped)},
                )
            )
        tested = [one for one in findings if math.isfinite(one.p_value)]
        counts = {one.kind.value: float(one.is_found) for one in tested}
        if counts:
            counts["all"] = sum(counts.values())
        made += [
            Measurement(
                metric="drift_named",
                slice=name,
                estimate=Estimate(
                    value=count, low=count, high=count, n=len(tested), method="Holm over kinds"
                ),
                facts=facts,
            )
            for name, count in counts.items()
        ]
        return made + self._agreement()

    def _tried(self, kind: DriftKind, test: Callable[[], Any]) -> Any:
        try:
            return test()
        except EvaluationError as error:
            self.missing[kind] = str(error)
            return None

    def _prompts(self) -> TwoSampleTest:
        old, new = ({one.id: one.text for one in side.prompts} for side in (self.then, self.now))
        self._enough(len(old), len(new), "prompts")
        features = text_features(list(old.values()), list(new.values()))
        ids = (list(old), list(new))
        self.told[DriftKind.COVARIATE] = lambda: _told_by(features, *ids, self.seed)
        return compare_samples(
            features.reference, features.current, reference_ids=ids[0], current_ids=ids[1], seed=self.seed
        )

    def _answers(self) -> TwoSampleTest:
        shared = sorted(set(self.then.answers) & set(self.now.answers))
        self._enough(len(shared), len(shared), "held-out prompts answered both times")
        old, new = ([side.answers[one] for one in shared] for side in (self.then, self.now))
        features = text_features(old, new)
        self.told[DriftKind.POLICY_INDUCED] = lambda: _told_by(features, shared, shared, self.seed)
        return measure_answer_shift(features.reference, features.current, shared, shared, seed=self.seed)

    def _preferences(self) -> PreferenceDrift:
        sides = [_counts(side.anchors, self.people.changed) for side in (self.then, self.now)]
        shared = sorted(set(sides[0]) & set(sides[1]))
        self._enough(len(shared), len(shared), "anchor pairs decided both times")
        rows = [
            AnchorVotes(
                pair=one,
                old_left=sides[0][one][0],
                old_right=sides[0][one][1],
                new_left=sides[1][one][0],
                new_right=sides[1][one][1],
            )
            for one in shared
        ]
        return measure_preference_drift(rows, seed=self.seed)

    def _enough(self, old: int, new: int, what: str) -> None:
        if self.then.is_start and not old:
            raise EvaluationError("nothing before the first round to hold it against")
        if min(old, new) < self.config.min_rows:
            there = str(new) if old == new else f"{old} and {new}"
            raise EvaluationError(f"{there} {what}, {self.config.min_rows} are the fewest that tell anything")

    def _agreement(self) -> list[Measurement]:
        """Chance that two of a pair's annotators agree, in both rounds and the difference."""
        sides = [_drift_rows(side.votes) for side in (self.then, self.now)]
        if any(len(side.prompt_ids) < self.config.min_rows for side in sides):
            return []
        found = measure_drift(sides[0], sides[1], seed=self.seed).measurements
        return [one for one in found if one.metric == "annotator_agreement"]


def _declines(streams: Sequence[Stream], config: MonitorConfig) -> _People:
    found = [assess_decline(one.correctness, seed=i) for i, one in enumerate(streams)]
    kept = [(one, test) for one, test in zip(streams, found, strict=True) if test is not None]
    if not kept:
        return _People(None, frozenset())
    adjusted = benjamini_hochberg([test.p_value for _, test in kept])
    changed = [
        (stream, test)
        for (stream, test), value in zip(kept, adjusted.tolist(), strict=True)
        if value <= config.false_alarm_rate
    ]
    said = tuple(
        f"{stream.annotator_id} {test.after - test.before:+.2f} right since judgment {test.since + 1} of "
        f"{len(stream.lots)} (round {stream.lots[test.since]})"
        for stream, test in changed
    )
    drift = AnnotatorDrift(p_value=float(np.min(adjusted)), who=said, n_annotators=len(kept))
    return _People(drift, frozenset(stream.annotator_id for stream, _ in changed))


def _counts(
    votes: Mapping[Key, Sequence[Judgment]], without: frozenset[str] = frozenset()
) -> dict[Key, tuple[int, int]]:
    """Pair -> votes for its canonically first and second answer; pairs nobody decided are left out."""
    made = {}
    for key, given in votes.items():
        sides = Counter(
            (one.comparison.left if one.choice is Choice.LEFT else one.comparison.right) == key[1]
            for one in given
            if one.choice.is_decided and one.annotator_id not in without
        )
        if sides:
            made[key] = (sides[True], sides[False])
    return made


def _drift_rows(votes: Mapping[Key, Sequence[Judgment]]) -> DriftRows:
    counts = _counts(votes)
    return DriftRows(prompt_ids=tuple(key[0] for key in counts), votes=tuple(counts.values()))


def _told_by(features: TextFeatures, old_ids: Sequence[str], new_ids: Sequence[str], seed: int) -> str:
    """Which plain features tell the sides apart."""
    told = classify_samples(
        features.reference,
        features.current,
        features.names,
        reference_ids=old_ids,
        current_ids=new_ids,
        permutations=1,
        top=TOP,
        seed=seed,
    )
    parts = [f"{'more' if one.coefficient > 0 else 'less'} {one.name!r}" for one in told.top_features]
    return ", ".join(parts)


def _row(
    finding: Finding,
    against: str,
    missing: Mapping[DriftKind, str],
    told: Mapping[DriftKind, Callable[[], str]],
) -> dict[str, Any]:
    state = "moved" if finding.is_found else "steady" if math.isfinite(finding.p_value) else "too few"
    evidence = missing.get(finding.kind, finding.evidence) if state == "too few" else finding.evidence
    if finding.is_found and finding.kind in told:
        evidence += f" ({told[finding.kind]()})"
    return {
        "against": against,
        "kind": finding.kind.value,
        "state": state,
        "p_value": _known(finding.p_value),
        "adjusted_p": _known(finding.adjusted_p),
        "evidence": evidence,
        "action": finding.action,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
