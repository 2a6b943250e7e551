"""One row an annotator: a verdict, the reasons as sentences, and every estimate with its interval.

The verdicts rise with the evidence. Disagreement with the crowd alone never removes anybody: for that he must
be badly predicted by every camp AND contradict himself, or leave nothing of worth on gold. Alarms that
could be chance are adjusted for the number of annotators, so that a share of at most `rate` of those raised
on each count is false.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from accord.domain import ConfigError, EvaluationError, LabelColumns, Value
from accord.quality.consensus.annotators import AnnotatorConfusion, annotator_confusions
from accord.quality.labels import LabelTable
from accord.quality.people.camps import CampConfig, CampMember, Camps, find_camps
from accord.quality.people.channels import (
    ChannelAlarm,
    ChannelConfig,
    ChannelResult,
    check_hurry,
    check_pace,
    check_repeats,
    check_runs,
    check_spells,
    join_channels,
)
from accord.quality.people.copying import CopyingConfig, CopyingReport, CopyPair, find_copies
from accord.quality.people.discovery import benjamini_hochberg
from accord.quality.people.drift import DeclineTest, assess_decline
from accord.quality.people.fatigue import FatigueSlope, fit_fatigue, minutes_in_session, split_sessions
from accord.quality.people.gold import GoldConfig, GoldScore, index_gold, score_gold
from accord.quality.people.gold_audit import GoldAuditConfig, GoldDoubt, audit_gold
from accord.quality.people.intervals import Estimate
from accord.quality.people.value import (
    AnnotatorValue,
    ValueConfig,
    expected_confusions,
    probabilities_without_own,
    value_annotators,
    weigh_confusions,
)


class Verdict(StrEnum):
    """What to do with an annotator."""

    KEEP = "keep"
    """Nothing speaks against him."""
    CHECK = "check"
    """Too little or unclear evidence: give gold and repeats."""
    PAUSE = "pause"
    """An alarm: stop, look, qualify again."""
    REMOVE = "remove"
    """His labels are worth nothing, and not because he differs."""

    @property
    def may_work(self) -> bool:
        """True where he goes on labeling."""
        return self in (Verdict.KEEP, Verdict.CHECK)


@dataclass(frozen=True, kw_only=True)
class AssessmentConfig:
    """Limits of the verdicts and the settings of each part."""

    rate: float = 0.05
    """Wanted false discovery rate over annotators, for declines and for channel alarms each."""
    min_labels: int = 20
    """Fewer labels give no verdict on worth."""
    min_gold: int = 12
    """Fewer gold labels give no verdict on gold."""
    min_value: float = 0.05
    """Worth nothing: the upper end of the value lies under this."""
    gold: GoldConfig = field(default_factory=GoldConfig)
    """Gold scores."""
    audit: GoldAuditConfig = field(default_factory=GoldAuditConfig)
    """Doubts about gold; doubtful gold is not held against anybody."""
    value: ValueConfig = field(default_factory=ValueConfig)
    """Annotator value."""
    channels: ChannelConfig = field(default_factory=ChannelConfig)
    """Pace, runs, spells, repeats."""
    copying: CopyingConfig = field(default_factory=CopyingConfig)
    """Shared errors."""
    camps: CampConfig = field(default_factory=CampConfig)
    """Schools of thought."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ConfigError("assessment", [f"rate is {self.rate}; expected between 0 and 1"])


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelEvidence:
    """What is known beside the labels; [label] in the order of the table, each None where unknown."""

    timestamps_ms: NDArray[np.float64] | None = None
    """NaN where missing."""
    durations_ms: NDArray[np.float64] | None = None
    """NaN where missing."""
    n_characters: NDArray[np.float64] | None = None
    """Length of what was to be read."""
    sides: NDArray[np.int64] | None = None
    """0 left, 1 right, -1 where no side was chosen."""
    sessions: NDArray[Any] | None = None
    """Named sessions; split at pauses of the annotator without them."""
    repeats: tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]] | None = None
    """[repeat] Number of the annotator in the table, first and second answer to the same item."""


@dataclass(frozen=True)
class AnnotatorAssessment:
    """One annotator."""

    annotator: Any
    n_labels: int
    verdict: Verdict
    reasons: tuple[str, ...]
    """Sentences; empty where nothing is to be said."""
    agreement: Estimate
    """Expected share of his labels that are right, if the consensus is as sure as it should be."""
    value: AnnotatorValue
    gold: GoldScore | None
    decline: DeclineTest | None
    """None without timestamps or with too few labels."""
    channels: ChannelAlarm
    camp: CampMember
    copies: tuple[CopyPair, ...]
    fatigue: Estimate | None
    """His own slope of correctness, an hour."""
    has_declined: bool = False
    """The decline holds after adjustment for all annotators."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """All annotators, and what was found about all of them together."""

    rows: tuple[AnnotatorAssessment, ...]
    """In the order of the table."""
    camps: Camps
    copying: tuple[CopyingReport, ...]
    """One for each camp."""
    gold_doubts: tuple[GoldDoubt, ...]
    fatigue: FatigueSlope | None
    warnings: tuple[str, ...]
    """Sentences about the crowd and the gold."""


def gather_evidence(table: LabelTable, columns: LabelColumns) -> LabelEvidence:
    """Timestamps, durations and sessions of the columns the table was made of, and its repeats.

    A repeat is an (item, annotator) pair with more than one row: the first row against the second.
    """

    def take(column: Any) -> NDArray[np.float64] | None:
        if column is None:
            return None
        values = [np.nan if value is None else float(value) for value in column]
        return np.asarray(values, dtype=np.float64)[table.rows]

    sessions = None if columns.sessions is None else np.asarray(columns.sessions)[table.rows]
    number_of = {str(name): number for number, name in enumerate(table.annotators.tolist())}
    first: dict[tuple[str, str], Any] = {}
    people, before, after = [], [], []
    done: set[tuple[str, str]] = set()
    if table.n_repeats:
        for item, annotator, value in zip(columns.items, columns.annotators, columns.values, strict=True):
            key = (str(item), str(annotator))
            if key not in first:
                first[key] = value
            elif key not in done:
                done.add(key)
                people.append(number_of[key[1]])
                before.append(str(first[key]))
                after.append(str(value))
    repeats = (np.asarray(people, dtype=np.int64), np.asarray(before), np.asarray(after)) if people else None
    return LabelEvidence(
        timestamps_ms=take(columns.timestamps_ms),
        durations_ms=take(columns.durations_ms),
        sessions=sessions,
        repeats=repeats,
    )


def assess_annotators(
    table: LabelTable,
    probabilities: ArrayLike,
    *,
    gold: Mapping[Any, Value] | None = None,
    evidence: LabelEvidence | None = None,
    config: AssessmentConfig | None = None,
    seed: int = 0,
) -> Assessment:
    """A word on every annotator of the table.

    `probabilities` [item, class] are a consensus fitted WITHOUT gold, since gold is audited against it.
    Without timestamps nothing is said of decline, spells, hurry and fatigue.
    """
    config = config or AssessmentConfig()
    evidence = evidence or LabelEvidence()
    _check_lengths(table, evidence)
    posterior = np.asarray(probabilities, dtype=np.float64)
    doubts = audit_gold(table, posterior, gold, config=config.audit) if gold else []
    doubted = {str(doubt.item) for doubt in doubts if doubt.is_flagged}
    sound = {item: value for item, value in (gold or {}).items() if str(item) not in doubted}
    camps = find_camps(table, repeats=evidence.repeats, config=config.camps, seed=seed)
    copying = _copies_within_camps(table, posterior, camps, config)
    correct = probabilities_without_own(table, posterior)[np.arange(table.n_labels), table.class_index]
    fatigue = _fatigue(table, correct, evidence)
    rows = _rows(table, posterior, correct, sound, evidence, camps, copying, fatigue, config, seed)
    warnings = _warn(table, doubts, sound, camps, fatigue)
    return Assessment(rows, camps, copying, tuple(doubts), fatigue, warnings)


def _rows(
    table: LabelTable,
    posterior: NDArray[np.float64],
    correct: NDArray[np.float64],
    gold: Mapping[Any, Value],
    evidence: LabelEvidence,
    camps: Camps,
    copying: tuple[CopyingReport, ...],
    fatigue: FatigueSlope | None,
    config: AssessmentConfig,
    seed: int,
) -> tuple[AnnotatorAssessment, ...]:
    prior = posterior.mean(axis=0)
    counts = expected_confusions(table, posterior)
    told = weigh_confusions(table, posterior, counts)
    values = value_annotators(
        told.counts, prior, correlation=told.correlation, config=config.value, seed=seed
    )
    people = annotator_confusions(table, posterior)
    gold_values = _value_on_gold(table, gold, prior, config, seed) if gold else None
    scores = score_gold(table, gold, config=config.gold) if gold else None
    streams = _streams(table, evidence)
    alarms = _Alarms.raise_for(table, correct, streams, evidence, config, seed)
    slopes = {} if fatigue is None else dict(zip(fatigue.annotators, fatigue.per_annotator, strict=True))
    pairs_of: dict[Any, list[CopyPair]] = {}
    for pair in (pair for report in copying for pair in report.pairs):
        pairs_of.setdefault(pair.first, []).append(pair)
        pairs_of.setdefault(pair.second, []).append(pair)
    rows = []
    for number, name in enumerate(table.annotators.tolist()):
        copies = tuple(pairs_of.get(name, ()))
        found = _Findings(
            n_labels=len(streams[number]),
            value=values[number],
            gold_value=None if gold_values is None else gold_values[number],
            decline=alarms.declines[number],
            decline_q=float(alarms.decline_q[number]),
            channels=alarms.channels[number],
            channel_q=float(alarms.channel_q[number]),
            camp=camps.members[number],
            n_camps=camps.n_camps,
            others=tuple(pair.second if pair.first == name else pair.first for pair in copies),
        )
        verdict, reasons = _judge(found, config)
        rows.append(
            AnnotatorAssessment(
                annotator=name,
                n_labels=found.n_labels,
                verdict=verdict,
                reasons=reasons,
                agreement=_agreement(people[number]),
                value=found.value,
                gold=None if scores is None else scores[number],
                decline=found.decline,
                channels=found.channels,
                camp=found.camp,
                copies=copies,
                fatigue=slopes.get(name),
                has_declined=found.has_declined(config.rate),
            )
        )
    return tuple(rows)


def _agreement(one: AnnotatorConfusion) -> Estimate:
    return Estimate(one.accuracy, one.accuracy_low, one.accuracy_high, one.n_labels)


@dataclass(frozen=True, eq=False)
class _Alarms:
    """Alarms in time, [annotator], with p-values adjusted over annotators."""

    declines: list[DeclineTest | None]
    decline_q: NDArray[np.float64]
    channels: list[ChannelAlarm]
    channel_q: NDArray[np.float64]

    @classmethod
    def raise_for(
        cls,
        table: LabelTable,
        correct: NDArray[np.float64],
        streams: list[NDArray[np.int64]],
        evidence: LabelEvidence,
        config: AssessmentConfig,
        seed: int,
    ) -> "_Alarms":
        is_timed = evidence.timestamps_ms is not None
        declines = [assess_decline(correct[rows], seed=seed) if is_timed else None for rows in streams]
        channels = [
            _join_channels_of(number, rows, table, evidence, config, seed)
            for number, rows in enumerate(streams)
        ]
        return cls(
            declines=declines,
            decline_q=benjamini_hochberg([np.nan if one is None else one.p_value for one in declines]),
            channels=channels,
            channel_q=benjamini_hochberg(
                [np.nan if one.p_value is None else one.p_value for one in channels]
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Findings:
    n_labels: int
    value: AnnotatorValue
    gold_value: AnnotatorValue | None
    decline: DeclineTest | None
    decline_q: float
    channels: ChannelAlarm
    channel_q: float
    camp: CampMember
    n_camps: int
    others: tuple[Any, ...]

    def has_declined(self, rate: float) -> bool:
        return self.decline is not None and self.decline_q <= rate


def _judge(found: _Findings, config: AssessmentConfig) -> tuple[Verdict, tuple[str, ...]]:
    """The gravest verdict any finding asks for, and all the reasons, gravest first."""
    reasons = [
        *_judge_consistency(found, config),
        *_judge_worth(found, config),
        *_judge_alarms(found, config),
    ]
    grades = list(Verdict)
    reasons.sort(key=lambda one: -grades.index(one[0]))
    verdict = reasons[0][0] if reasons else Verdict.KEEP
    return verdict, tuple(sentence for _, sentence in reasons)


def _judge_consistency(found: _Findings, config: AssessmentConfig) -> list[tuple[Verdict, str]]:
    """What the camps and his own repeats say."""
    own, camp = found.camp.self_agreement, found.camp
    if camp.is_bad:
        said = f"{own.value:.2f} [{own.low:.2f}, {own.high:.2f}]"
        return [
            (Verdict.REMOVE, f"No camp predicts his labels, and his repeats agree beyond chance by {said}.")
        ]
    if camp.is_inconsistent:
        return [(Verdict.CHECK, f"His repeats agree beyond chance by {own.value:.2f} only.")]
    if camp.is_badly_predicted and found.n_labels >= config.min_labels:
        if own.low is not None and own.low > 0:
            return [(Verdict.KEEP, "No camp predicts his labels, yet he agrees with himself.")]
        worth = found.value.value
        if worth.low is not None and worth.low > config.min_value:
            said = f"{worth.value:.2f} [{worth.low:.2f}, {worth.high:.2f}]"
            sentence = (
                f"No camp predicts his labels as they are; read through his habits they are worth {said}."
            )
            return [(Verdict.KEEP, sentence)]
        return [(Verdict.CHECK, "No camp predicts his labels; give repeats and gold before judging.")]
    if found.n_camps > 1 and camp.camp > 0:
        return [(Verdict.KEEP, f"Belongs to camp {camp.camp + 1} of {found.n_camps}: differs with a system.")]
    return []


def _judge_worth(found: _Findings, config: AssessmentConfig) -> list[tuple[Verdict, str]]:
    """What his labels are worth, on gold and by the consensus; the latter is no measure for another camp."""
    reasons = []
    worth = None if found.gold_value is None else found.gold_value.value
    if worth is not None and worth.n >= config.min_gold and _is_under(worth, config.min_value):
        said = f"{worth.value:.2f} [{worth.low:.2f}, {worth.high:.2f}]"
        sentence = f"On {worth.n:.0f} gold items his labels are worth {said} of a sure answer."
        reasons.append((Verdict.REMOVE, sentence))
    worth = found.value.value
    if found.n_labels < config.min_labels:
        reasons.append((Verdict.CHECK, f"{found.n_labels} labels; a verdict needs {config.min_labels}."))
    elif found.camp.camp == 0 and _is_under(worth, config.min_value):
        sentence = f"By the consensus his labels are worth {worth.value:.2f} of a sure answer."
        reasons.append((Verdict.CHECK, sentence))
    return reasons


def _judge_alarms(found: _Findings, config: AssessmentConfig) -> list[tuple[Verdict, str]]:
    reasons = []
    if found.others:
        names = ", ".join(str(name) for name in found.others)
        sentence = f"Shares more errors with {names} than skill and hard items explain."
        reasons.append((Verdict.PAUSE, sentence))
    if found.decline is not None and found.has_declined(config.rate):
        sentence = (
            f"Expected correctness fell from {found.decline.before:.2f} to {found.decline.after:.2f} "
            f"from label {found.decline.since + 1} on (q = {found.decline_q:.3g})."
        )
        reasons.append((Verdict.PAUSE, sentence))
    if found.channel_q <= config.rate:
        seen = [one for one in found.channels.results if one.p_value is not None]
        first = min(seen, key=lambda one: one.p_value or 0.0)
        sentence = f"{first.channel.capitalize()}: {first.reason} (q = {found.channel_q:.3g})."
        reasons.append((Verdict.PAUSE, sentence))
    return reasons


def _is_under(estimate: Estimate, limit: float) -> bool:
    return estimate.high is not None and estimate.high < limit


def _value_on_gold(
    table: LabelTable,
    gold: Mapping[Any, Value],
    prior: NDArray[np.float64],
    config: AssessmentConfig,
    seed: int,
) -> list[AnnotatorValue]:
    """Worth from gold labels only."""
    true = index_gold(table.items, table.classes, gold)[table.item_index]
    known = true >= 0
    shape = (table.n_annotators, table.n_classes, table.n_classes)
    cells = (table.annotator_index[known].astype(np.int64) * shape[1] + true[known]) * shape[2]
    counts = np.bincount(cells + table.class_index[known], minlength=int(np.prod(shape))).reshape(shape)
    return value_annotators(counts, prior, config=config.value, seed=seed)


def _copies_within_camps(
    table: LabelTable, posterior: NDArray[np.float64], camps: Camps, config: AssessmentConfig
) -> tuple[CopyingReport, ...]:
    """Shared errors by the camp's own consensus, so that a conviction is no error."""
    if camps.n_camps == 1:
        return (find_copies(table, posterior, config=config.copying),)
    camp_of = np.array([member.camp for member in camps.members])
    reports = []
    for camp in range(camps.n_camps):
        keep = camp_of[table.annotator_index] == camp
        if keep.any():
            items = np.unique(table.item_index[keep])
            reports.append(find_copies(table.select(keep), camps.shares[camp][items], config=config.copying))
    return tuple(reports)


def _check_lengths(table: LabelTable, evidence: LabelEvidence) -> None:
    for name in ("timestamps_ms", "durations_ms", "n_characters", "sides", "sessions"):
        column = getattr(evidence, name)
        if column is not None and len(column) != table.n_labels:
            raise EvaluationError(
                f"{name} has {len(column)} entries and the table {table.n_labels} labels; "
                f"expected one a label"
            )


def _streams(table: LabelTable, evidence: LabelEvidence) -> list[NDArray[np.int64]]:
    """Labels of each annotator in the order of time; in the order of the input without it."""
    when = table.rows if evidence.timestamps_ms is None else evidence.timestamps_ms
    order = np.lexsort((when, table.annotator_index))
    ends = np.cumsum(np.bincount(table.annotator_index, minlength=table.n_annotators))[:-1]
    return list(np.split(order, ends))


def _join_channels_of(
    number: int,
    rows: NDArray[np.int64],
    table: LabelTable,
    evidence: LabelEvidence,
    config: AssessmentConfig,
    seed: int,
) -> ChannelAlarm:
    settings = config.channels
    results: list[ChannelResult] = []
    lengths = None if evidence.n_characters is None else evidence.n_characters[rows]
    if evidence.durations_ms is not None:
        results.append(check_pace(evidence.durations_ms[rows], n_characters=lengths, config=settings))
    if evidence.timestamps_ms is not None:
        results.append(check_spells(table.class_index[rows], config=settings, seed=seed))
        if evidence.durations_ms is not None:
            results.append(
                check_hurry(evidence.durations_ms[rows], n_characters=lengths, config=settings, seed=seed)
            )
    if evidence.sides is not None and evidence.timestamps_ms is not None:
        sides = evidence.sides[rows]
        results.append(check_runs(sides[sides >= 0], config=settings))
    if evidence.repeats is not None:
        people, first, second = evidence.repeats
        mine = people == number
        results.append(
            check_repeats(int((first[mine] == second[mine]).sum()), int(mine.sum()), config=settings)
        )
    return join_channels(results, config=settings)


def _fatigue(table: LabelTable, correct: NDArray[np.float64], evidence: LabelEvidence) -> FatigueSlope | None:
    if evidence.timestamps_ms is None:
        return None
    known = np.isfinite(evidence.timestamps_ms)
    if not known.any():
        return None
    times = evidence.timestamps_ms[known]
    people = table.annotators[table.annotator_index[known]]
    if evidence.sessions is None:
        sessions = split_sessions(people, times)
    else:
        named = np.array(
            [f"{name} {who}" for name, who in zip(evidence.sessions[known], people, strict=True)]
        )
        sessions = np.unique(named, return_inverse=True)[1]
    return fit_fatigue(
        correct[known],
        minutes_in_session(sessions, times),
        annotators=people,
        sessions=sessions,
        items=table.item_index[known],
    )


def _warn(
    table: LabelTable,
    doubts: list[GoldDoubt],
    gold: Mapping[Any, Value],
    camps: Camps,
    fatigue: FatigueSlope | None,
) -> tuple[str, ...]:
    warnings = []
    flagged = [doubt for doubt in doubts if doubt.is_flagged]
    if flagged:
        warnings.append(
            f"{len(flagged)} of {len(doubts)} gold items are doubtful, first {flagged[0].item}: gold "
            f"{flagged[0].gold}, {flagged[0].n_against} of {flagged[0].n_labels} labels against it. "
            f"They are not held against anybody."
        )
    true = index_gold(table.items, table.classes, gold)
    known = true >= 0
    right = np.stack([view.argmax(axis=1)[known] == true[known] for view in camps.shares])
    for camp in range(1, camps.n_camps):
        wins, losses = int((right[camp] & ~right[0]).sum()), int((right[0] & ~right[camp]).sum())
        if wins and stats.binomtest(wins, wins + losses).pvalue < 0.05 and wins > losses:
            warnings.append(
                f"Camp {camp + 1} is right on {right[camp].mean():.2f} of {int(known.sum())} gold items "
                f"and the largest camp on {right[0].mean():.2f}: the consensus may be wrong."
            )
    if fatigue is not None and fatigue.per_hour.high is not None and fatigue.per_hour.high < 0:
        slope = fatigue.per_hour
        warnings.append(
            f"Correctness changes by {slope.value:.3f} [{slope.low:.3f}, {slope.high:.3f}] in an hour "
            f"of a session."
        )
    return tuple(warnings)
