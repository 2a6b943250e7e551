"""The quality report of label files: every part that the data allows, and a note on each it does not.

Joins what `accord.quality` measures into the records of `quality_contents.py`; no statistics of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain import DataError, Value
from accord.evaluation import Card, Estimate
from accord.evaluation.report.contents import Lineage
from accord.pipeline.quality_agreement import agreement_of, coefficient
from accord.pipeline.quality_consensus import ConsensusOutcome, consensus_of
from accord.pipeline.quality_contents import (
    AnnotatorFacts,
    BiasRow,
    Confusion,
    CostPoint,
    DriftChart,
    GroupRow,
    QualityReport,
    Reliability,
)
from accord.pipeline.quality_labels import LabelSet, is_comparison
from accord.quality.bias import compare_groups, fit_effects
from accord.quality.consensus import annotator_confusions
from accord.quality.deciding import CurvePoint, ReplayConfig, replay_curve
from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.people import (
    AnnotatorAssessment,
    Assessment,
    assess_annotators,
    cusum,
    drift_steps,
    gather_evidence,
    probabilities_without_own,
)
from accord.quality.people import Estimate as PeopleEstimate
from accord.store import hash_file, hash_folder

SHOWN_CONFUSIONS = 11
"""Annotators whose matrix is drawn beside that of all: those with most labels."""
MOST_CLASSES = 12
"""More classes make no readable matrix."""
SHOWN_DRIFTS = 6
"""Streams that are charted: those most likely to have declined."""
DECLINE = 0.2
"""Drop of correctness that the chart is drawn for."""
DRIFT_THRESHOLD = 5.0
"""Of the chart: an average run of about 2,000 judgments to a false alarm."""
MOST_REPLAYED = 20_000
"""Labels up to which the collection is replayed for the cost curve."""
REPLAY_ORDERS = 2
ANSWERS = {"left": LEFT, "right": RIGHT, "tie": TIE, "both_bad": TIE}
"""Outcomes of comparisons as answers on screen."""


def build_quality_report(
    labels: LabelSet,
    *,
    gold_fit: int = 0,
    group_columns: tuple[str, ...] = (),
    seed: int = 0,
    command: str = "",
    sources: Sequence[str | Path] = (),
) -> QualityReport:
    """Everything that can be said of the labels; `group_columns` name attributes of annotators.

    `sources` are the files and folders the labels and the gold came from, for the provenance.
    """
    outcome = consensus_of(labels, gold_fit=gold_fit, seed=seed)
    table = labels.table
    evidence = gather_evidence(table, labels.columns)
    assessment = assess_annotators(
        table, outcome.fit.posterior, gold=labels.gold, evidence=evidence, seed=seed
    )
    notes = [*outcome.alarms, *assessment.warnings]
    agreement = agreement_of(labels, seed=seed)
    facts = labels.facts
    return QualityReport(
        title="What these judgments are worth",
        subtitle=f"{facts['n_labels']:,} labels of {facts['n_items']:,} items by {facts['n_annotators']:,} "
        f"annotators",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        facts={
            "source": str(facts["source"]).rpartition("/")[2],
            "classes": str(facts["n_classes"]),
            "repeats": f"{facts['n_repeats']:,}, {facts['repeats']} counts",
            "method": outcome.consensus.method,
        },
        cards=tuple(_cards(outcome, [coefficient(row) for row in agreement.coefficients], assessment)),
        method=outcome.consensus.method,
        method_reason=outcome.fit.consensus.reason,
        is_calibrated=outcome.consensus.is_calibrated,
        classes=tuple(map(str, table.classes)),
        agreement=tuple(coefficient(row) for row in agreement.coefficients),
        reliability=_reliability(outcome, notes),
        confusions=_confusions(labels, outcome, assessment, notes),
        annotators=tuple(_facts_of(row, labels) for row in assessment.rows),
        drift=_drift(labels, assessment, outcome, notes),
        costs=_costs(labels, seed, notes),
        biases=_biases(labels, notes),
        groups=_groups(labels, assessment, group_columns, notes),
        notes=tuple(notes),
        lineage=Lineage(command=command, seed=seed, data={str(path): _hash(path) for path in sources}),
    )


def _hash(path: str | Path) -> str:
    return hash_folder(path) if Path(path).is_dir() else hash_file(path)


def _cards(outcome: ConsensusOutcome, rows: list[Any], assessment: Assessment) -> list[Card]:
    cards = []
    alpha = next((row for row in rows if "alpha" in row.name.lower() and row.estimate is not None), None)
    if alpha is not None:
        cards.append(
            Card(
                label=alpha.name,
                estimate=alpha.estimate,
                axis=(-0.2, 1.0),
                note="1 is agreement, 0 is chance",
            )
        )
    if outcome.score is not None:
        score = outcome.score
        cards.append(
            Card(label="Consensus, right on gold", estimate=score.accuracy, style="percent",
                 note=f"{score.accuracy.n} known answers that no fit has seen")
        )  # fmt: skip
        blind = f"{np.log(outcome.labels.table.n_classes):.2f} is knowing nothing"
        cards.append(Card(label="Log-loss on gold, nats", estimate=score.log_loss, note=blind))
    worth = [row.value.value.value for row in assessment.rows if row.value.value.value is not None]
    if worth:
        low, middle, high = np.quantile(worth, [0.1, 0.5, 0.9]).tolist()
        middle_worth = Estimate(value=middle, n=len(worth))
        note = f"of a sure answer; 8 of 10 annotators lie between {low:.2f} and {high:.2f}"
        cards.append(Card(label="Worth of a label, median annotator", estimate=middle_worth, note=note))
    return cards


def _reliability(outcome: ConsensusOutcome, notes: list[str]) -> Reliability | None:
    if outcome.score is None:
        notes.append("No known answers were given: how far the probabilities can be trusted is not known.")
        return None
    baseline = None if outcome.baseline is None else outcome.baseline.log_loss
    return Reliability(
        points=outcome.score.points,
        accuracy=outcome.score.accuracy,
        log_loss=outcome.score.log_loss,
        baseline_log_loss=baseline,
        fitted_on=outcome.fitted_gold,
        alarms=tuple(outcome.alarms),
    )


def _confusions(
    labels: LabelSet, outcome: ConsensusOutcome, assessment: Assessment, notes: list[str]
) -> tuple[Confusion, ...]:
    """All together, then those who stand out, then those with most labels."""
    if labels.table.n_classes > MOST_CLASSES:
        notes.append(f"{labels.table.n_classes} classes are too many for confusion matrices.")
        return ()
    is_calibrated = outcome.stack is not None
    posterior = outcome.consensus.probabilities if is_calibrated else outcome.fit.posterior
    people = annotator_confusions(labels.table, posterior)
    weights = np.array([one.n_labels for one in people], dtype=float)
    joint = np.einsum("w,wjk->jk", weights / weights.sum(), np.stack([one.rates for one in people]))
    plain = {row.annotator for row in assessment.rows if str(row.verdict) == "keep"}
    order = sorted(people, key=lambda one: (one.annotator in plain, -one.n_labels, str(one.annotator)))
    shown = order[:SHOWN_CONFUSIONS]
    everybody = Confusion(name="all together", labels=int(weights.sum()), shares=_rows(joint))
    return everybody, *(
        Confusion(name=str(one.annotator), labels=one.n_labels, shares=_rows(one.rates)) for one in shown
    )


def _facts_of(row: AnnotatorAssessment, labels: LabelSet) -> AnnotatorFacts:
    is_own = np.array([name == row.annotator for name in labels.table.annotators.tolist()])
    durations = labels.columns.durations_ms
    median = None
    if durations is not None:
        mine = labels.table.rows[is_own[labels.table.annotator_index]]
        known = [float(durations[i]) for i in mine.tolist() if durations[i] is not None]
        median = float(np.median(known)) / 1000 if known else None
    by_gold = row.gold is not None and row.gold.accuracy.value is not None
    accuracy = row.gold.accuracy if row.gold is not None and by_gold else row.agreement
    verdict = () if str(row.verdict) == "keep" else (str(row.verdict),)
    return AnnotatorFacts(
        name=str(row.annotator),
        judgments=row.n_labels,
        accuracy=_estimate(accuracy),
        gold_seen=int(accuracy.n) if by_gold else 0,
        value=row.value.value.value,
        median_seconds=median,
        flags=(*verdict, *row.reasons),
    )


def _drift(
    labels: LabelSet, assessment: Assessment, outcome: ConsensusOutcome, notes: list[str]
) -> tuple[DriftChart, ...]:
    """CUSUM of the expected correctness of those most likely to have declined."""
    times = labels.columns.timestamps_ms
    if times is None:
        notes.append("The labels have no times: drift and fatigue were not looked for.")
        return ()
    table = labels.table
    correct = probabilities_without_own(table, outcome.fit.posterior)
    right = correct[np.arange(table.n_labels), table.class_index]
    when = np.array([np.nan if times[i] is None else float(times[i]) for i in table.rows.tolist()])
    number = {name: k for k, name in enumerate(table.annotators.tolist())}
    rows = [row for row in assessment.rows if row.decline is not None]
    charts = []
    for row in sorted(rows, key=lambda one: one.decline.p_value if one.decline else 1.0)[:SHOWN_DRIFTS]:
        own = np.flatnonzero((table.annotator_index == number[row.annotator]) & np.isfinite(when))
        stream = right[own[np.argsort(when[own], kind="stable")]]
        normal = float(np.clip(stream.mean(), DECLINE + 0.05, 0.95))
        path = cusum(drift_steps(np.clip(stream, 0.0, 1.0), normal=normal, declined=normal - DECLINE))
        above = np.flatnonzero(path > DRIFT_THRESHOLD)
        charts.append(
            DriftChart(
                annotator=str(row.annotator),
                channel="expected correctness",
                statistic=tuple(path.tolist()),
                threshold=DRIFT_THRESHOLD,
                alarm_at=int(above[0]) + 1 if len(above) else None,
                fell_at=row.decline.since + 1 if row.decline is not None and row.has_declined else None,
            )
        )
    return tuple(charts)


def _costs(labels: LabelSet, seed: int, notes: list[str]) -> tuple[CostPoint, ...]:
    if not labels.gold:
        return ()
    if labels.table.n_labels > MOST_REPLAYED:
        notes.append("The cost curve was left out for its time; `accord quality curve` makes it.")
        return ()
    try:
        curve = replay_curve(labels.table, labels.gold, ReplayConfig(n_orders=REPLAY_ORDERS), seed=seed)
    except DataError as error:
        notes.append(f"There is no cost curve: {error}")
        return ()

    def point(one: CurvePoint) -> CostPoint | None:
        figures = one.labels_per_item.value, one.accuracy.value
        if figures[0] is None or figures[1] is None:
            return None
        is_adaptive = one.epsilon is not None
        name = f"stop at {1 - one.epsilon:g}" if one.epsilon is not None else f"{one.n_fixed} labels each"
        accuracy = _bounds(figures[1], one.accuracy.low, one.accuracy.high, curve.n_scored)
        return CostPoint(name=name, labels_an_item=figures[0], accuracy=accuracy, is_adaptive=is_adaptive)

    return tuple(made for one in (*curve.fixed, *curve.points) if (made := point(one)) is not None)


def _biases(labels: LabelSet, notes: list[str]) -> tuple[BiasRow, ...]:
    table = labels.table
    if not is_comparison(table):
        return ()
    answer = np.array([ANSWERS[str(value)] for value in table.classes], dtype=np.intp)[table.class_index]
    effect = fit_effects(answer, {}, clusters=table.item_index.tolist()).effects[0]
    if effect.estimate is None:
        return (BiasRow(name="left side", estimate=None, reason=effect.reason or ""),)
    notes.append("The pull of the left side holds if sides were drawn at random.")
    size = _bounds(effect.estimate, effect.low, effect.high, table.n_labels)
    return (BiasRow(name="left side", estimate=size, p_value=effect.p_value, reason=effect.reason or ""),)


def _groups(
    labels: LabelSet, assessment: Assessment, columns: tuple[str, ...], notes: list[str]
) -> tuple[GroupRow, ...]:
    table = labels.table
    stopped = {str(row.annotator) for row in assessment.rows if not row.verdict.may_work}
    n_labels = np.bincount(table.annotator_index, minlength=table.n_annotators)
    names = [str(name) for name in table.annotators.tolist()]
    rows: list[GroupRow] = []
    for column in columns:
        of = _group_of(labels, column)
        try:
            found = compare_groups(table, of)
        except DataError as error:
            notes.append(f"Groups by {column}: {error}")
            continue
        for one in found:
            members = [k for k, name in enumerate(table.annotators.tolist()) if of.get(name) == one.group]
            rows.append(
                GroupRow(
                    attribute=column,
                    group=str(one.group),
                    annotators=one.n_annotators,
                    labels=int(n_labels[members].sum()),
                    within=_maybe(one.in_group),
                    across=_maybe(one.cross_group),
                    p_value=one.p_adjusted,
                    excluded=sum(names[k] in stopped for k in members),
                )
            )
    return tuple(rows)


def _group_of(labels: LabelSet, column: str) -> Mapping[Any, Value]:
    """The group of each annotator; an annotator in two groups of one attribute is an error."""
    table, cells = labels.table, labels.columns.groups[column]
    names = table.annotators.tolist()
    of: dict[Any, Any] = {}
    for k, row in zip(table.annotator_index.tolist(), table.rows.tolist(), strict=True):
        if cells[row] is None:
            continue
        if of.setdefault(names[k], cells[row]) != cells[row]:
            raise DataError(
                f"{labels.columns.place(row)}: annotator {names[k]!r} is in group {cells[row]!r} here and in "
                f"{of[names[k]]!r} before; expected one {column!r} an annotator"
            )
    return of


def _maybe(found: Any) -> Estimate | None:
    return None if found.value is None else _bounds(found.value, found.low, found.high, found.n_items)


def _estimate(found: PeopleEstimate) -> Estimate | None:
    return None if found.value is None else _bounds(found.value, found.low, found.high, int(found.n))


def _bounds(value: float, low: float | None, high: float | None, n: int) -> Estimate:
    ends = (np.nan if end is None else float(end) for end in (low, high))
    lower, upper = ends
    return Estimate(value=float(value), low=lower, high=upper, n=n)


def _rows(rates: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(cell) for cell in row) for row in rates)
