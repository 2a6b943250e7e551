"""Two times as measurements: what moved, beyond chance, what to do about it, and batch by batch.

    drift_mmd, drift_energy, drift_classifier_auroc   of prompts and of answers, with permutation p-values
    drift_stability_index      of lengths and domains
    drift_outside              share of current answers outside the reference's 99 % band (Mahalanobis)
    drift_named                how many kinds of drift are found; kinds, evidence and actions among the facts
    annotator_agreement        of both times and their difference
    reward_hit_rate            share of new labels the reward model agrees with
    judge_hit_rate             share of people's new labels the judge agrees with
    drift_alarms               in both rates and in agreement: Page-Hinkley, and where ADWIN cut
    prompt_nll                 -log p a token of the prompts under the reference, nats

What cannot be measured is named with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.comparison.columns import INCUMBENT
from accord.evaluation.drift.classifier import classify_samples
from accord.evaluation.drift.diagnosis import (
    AnchorVotes,
    Finding,
    diagnose_drift,
    measure_answer_shift,
    measure_preference_drift,
)
from accord.evaluation.drift.mahalanobis import held_out_distances, measure_outliers
from accord.evaluation.drift.rows import DriftRows, require_same_width
from accord.evaluation.drift.stability import Stability, measure_category_stability, measure_stability
from accord.evaluation.drift.streams import Adwin, PageHinkley, page_hinkley_threshold
from accord.evaluation.drift.text_features import text_features
from accord.evaluation.drift.two_sample import TwoSampleTest, compare_samples
from accord.evaluation.intervals import Estimate, bootstrap_estimate, mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison.contents import DriftChart

PARTS = 4
"""Batches that a file without `batch` is cut into, in the order of its rows."""
SIGMAS = 3.0
MOST_ROWS = 1_500
"""Rows a side that go into the pairwise tests, at even distances: distances grow with their square."""


@dataclass(frozen=True, kw_only=True)
class DriftMeasurements:
    """Every number, what has none and why, the kinds of drift, and the control charts."""

    measurements: tuple[Measurement, ...]
    not_measured: dict[str, str]
    findings: tuple[Finding, ...]
    charts: tuple[DriftChart, ...]


@dataclass(frozen=True, kw_only=True)
class _Features:
    reference: FloatArray
    current: FloatArray
    names: tuple[str, ...]
    reference_ids: list[str]
    current_ids: list[str]


def measure_drift(
    reference: DriftRows,
    current: DriftRows,
    anchors: Sequence[AnchorVotes] | None = None,
    *,
    seed: int = 0,
) -> DriftMeasurements:
    """Everything that two files of rows tell; a test is made on what both have."""
    table = _Drift(reference, current, seed=seed)
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    parts: list[tuple[str, Callable[[], list[Measurement]]]] = [
        ("drift of prompts", table.prompts),
        ("drift of answers", table.answers),
        ("drift_stability_index", table.stability),
        ("annotator_agreement", table.agreement),
        ("drift_alarms of annotator_agreement", table.agreement_alarms),
        ("reward_hit_rate", table.hits),
        ("judge_hit_rate", table.judge_hits),
        ("prompt_nll", table.surprise),
        ("preference drift", lambda: table.preferences(anchors)),
    ]
    for name, part in parts:
        try:
            measured += part()
        except EvaluationError as error:
            missing[name] = str(error)
    findings = diagnose_drift(**table.tests)
    found = [one for one in findings if one.is_found]
    count = float(len(found))
    facts = {
        **table.facts,
        "kinds": {one.kind.value: one.evidence for one in findings},
        "adjusted_p": {
            one.kind.value: one.adjusted_p for one in findings if one.adjusted_p == one.adjusted_p
        },
        "actions": {one.kind.value: one.action for one in found},
    }
    if table.tests:
        exact = Estimate(
            value=count, low=count, high=count, n=len(current.prompt_ids), method="Holm over kinds"
        )
        measured.append(Measurement(metric="drift_named", estimate=exact, facts=facts))
    return DriftMeasurements(
        measurements=tuple(measured), not_measured=missing, findings=findings, charts=tuple(table.charts)
    )


class _Drift:
    def __init__(self, reference: DriftRows, current: DriftRows, *, seed: int):
        self.old, self.new, self.seed = reference, current, seed
        self.facts: dict[str, Any] = {
            "reference": dict(reference.facts),
            "current": dict(current.facts),
            "seed": seed,
        }
        self.tests: dict[str, Any] = {}
        self.charts: list[DriftChart] = []

    def measure(self, metric: str, estimate: Estimate, slice: str = "all", **facts: Any) -> Measurement:
        return Measurement(metric=metric, slice=slice, estimate=estimate, facts={**self.facts, **facts})

    def prompts(self) -> list[Measurement]:
        """Covariate drift, one row a prompt."""
        found = self._features("prompt_features", "prompts", is_distinct=True)
        if found is None:
            raise EvaluationError("not every row of both files has a prompt or prompt_features")
        measured, test = self._tested(found, "prompts", is_paired=False)
        self.tests["prompts"] = test
        return measured

    def answers(self) -> list[Measurement]:
        """Policy-induced drift where both answered the same prompts, and the distance from the reference."""
        found = self._features("features", "answers", is_distinct=False)
        if found is None:
            raise EvaluationError("not every row of both files has an answer or features")
        is_paired = set(found.reference_ids) == set(found.current_ids)
        measured, test = self._tested(found, "answers", is_paired=is_paired)
        if is_paired:
            self.tests["answers"] = test
        measured.append(self._outside(found))
        if not is_paired:
            measured[-1].facts["careful"] = "the files answer different prompts, so this mixes both kinds"
        return measured

    def _features(self, given: str, texts: str, *, is_distinct: bool) -> _Features | None:
        tables = [getattr(side, given) for side in (self.old, self.new)]
        names: tuple[str, ...] = ()
        if all(table is not None for table in tables):
            require_same_width(tables[0], tables[1], given)
            names = tuple(f"feature {i}" for i in range(tables[0].shape[1]))
        else:
            columns = [getattr(side, texts) for side in (self.old, self.new)]
            if any(column is None for column in columns):
                return None
            made = text_features(*columns)
            tables, names = [made.reference, made.current], made.names
        kept = [_kept(side.prompt_ids, is_distinct) for side in (self.old, self.new)]
        return _Features(
            reference=tables[0][kept[0]],
            current=tables[1][kept[1]],
            names=names,
            reference_ids=[self.old.prompt_ids[i] for i in kept[0]],
            current_ids=[self.new.prompt_ids[i] for i in kept[1]],
        )

    def _tested(
        self, found: _Features, what: str, *, is_paired: bool
    ) -> tuple[list[Measurement], TwoSampleTest]:
        # Rows of one prompt depend on each other; prompts were made distinct before.
        own = None if what == "prompts" else found.reference_ids
        other = None if what == "prompts" else found.current_ids
        if is_paired:
            mmd = measure_answer_shift(
                found.reference, found.current, found.reference_ids, found.current_ids, seed=self.seed
            )
        else:
            mmd = compare_samples(
                found.reference, found.current, reference_ids=own, current_ids=other, seed=self.seed
            )
        energy = compare_samples(
            found.reference,
            found.current,
            statistic="energy",
            reference_ids=own,
            current_ids=other,
            seed=self.seed,
        )
        measured = [
            self._statistic("drift_mmd", mmd, what),
            self._statistic("drift_energy", energy, what),
        ]
        told = classify_samples(
            found.reference,
            found.current,
            found.names,
            reference_ids=own,
            current_ids=other,
            seed=self.seed,
        )
        top = {one.name: one.auroc for one in told.top_features}
        auroc = Estimate(value=told.auroc, n=told.n_reference + told.n_current, method="cross-validated")
        measured.append(
            self.measure("drift_classifier_auroc", auroc, what, p_value=told.p_value, top_features=top)
        )
        return measured, mmd

    def _statistic(self, metric: str, test: TwoSampleTest, what: str) -> Measurement:
        value = Estimate(
            value=test.statistic,
            n=test.n_reference + test.n_current,
            method=f"permutation of {test.unit}",
        )
        return self.measure(metric, value, what, p_value=test.p_value)

    def _outside(self, found: _Features) -> Measurement:
        report = measure_outliers(
            found.reference,
            found.current,
            reference_ids=found.reference_ids,
            current_ids=found.current_ids,
            seed=self.seed,
        )
        held_out = held_out_distances(
            found.reference, Clusters.of(found.reference_ids, rows=len(found.reference)), seed=self.seed
        )
        self._chart(
            "Distance of answers from the reference",
            held_out,
            report.distances,
            "Collect labels on the current policy's own answers.",
        )
        facts = {"expected": report.expected_outside, "mean_distance": report.mean_distance.value}
        return self.measure("drift_outside", report.outside, "answers", **facts)

    def stability(self) -> list[Measurement]:
        """Stability index of lengths and of the domain."""
        measured = []
        for what in ("prompts", "answers"):
            columns = [getattr(side, what) for side in (self.old, self.new)]
            if all(column is not None for column in columns):
                lengths = [[float(len(text.split())) for text in column] for column in columns]
                measured.append(self._index(measure_stability(*lengths), f"{what.rstrip('s')}_length"))
        if self.old.domains is not None and self.new.domains is not None:
            measured.append(
                self._index(measure_category_stability(self.old.domains, self.new.domains), "domain")
            )
        if not measured:
            raise EvaluationError("rows have neither texts nor domains on both sides")
        return measured

    def _index(self, found: Stability, what: str) -> Measurement:
        n = len(self.old.prompt_ids) + len(self.new.prompt_ids)
        value = Estimate(value=found.index, n=n, method="chi-squared")
        facts = {"p_value": found.p_value, "expected": found.expected, "shift": found.shift.value}
        return self.measure("drift_stability_index", value, what, **facts)

    def agreement(self) -> list[Measurement]:
        """Chance that two of a pair's annotators agree, then, now and the difference."""
        if self.old.votes is None or self.new.votes is None:
            raise EvaluationError("rows have no votes_left and votes_right on both sides")
        sides = [_agreements(side) for side in (self.old, self.new)]
        if any(not len(values) for values, _ in sides):
            raise EvaluationError("no pair of one side has two votes, so agreement is not known")
        (old, old_ids), (new, new_ids) = sides
        levels = [share_estimate(values, ids, seed=self.seed) for values, ids in sides]
        change = _change(new, old, new_ids, old_ids, self.seed)
        self._chart(
            "Annotator agreement", old, new, "Label the anchor pairs again and look at the guidelines."
        )
        return [
            self.measure("annotator_agreement", levels[1]),
            self.measure("annotator_agreement", levels[0], INCUMBENT),
            Measurement(
                metric="annotator_agreement", versus="incumbent", estimate=change, facts=dict(self.facts)
            ),
        ]

    def agreement_alarms(self) -> list[Measurement]:
        """Whether annotators' agreement fell on the way, pair by pair in the order of rows."""
        if self.old.votes is None or self.new.votes is None:
            raise EvaluationError("rows have no votes_left and votes_right on both sides")
        (old, _), (new, _) = (_agreements(side) for side in (self.old, self.new))
        return [self._alarms("annotator_agreement", old, new)]

    def hits(self) -> list[Measurement]:
        """How often the reward model agrees with new labels, and whether that fell on the way."""
        if self.old.hits is None or self.new.hits is None:
            raise EvaluationError("rows do not say whether the reward model was right (hit)")
        words = "Label anchors again and retrain the reward model."
        return self._rate(
            "reward_hit_rate", self.old.hits, self.new.hits, "Reward model right on new labels", words
        )

    def judge_hits(self) -> list[Measurement]:
        """How often the judge agrees with people, and whether that fell on the way."""
        if self.old.judge_hits is None or self.new.judge_hits is None:
            raise EvaluationError("rows do not say whom the judge agreed with (judge_hit)")
        words = "Validate the judge on new labels (`accord evaluate judge`) before it decides anything."
        return self._rate(
            "judge_hit_rate", self.old.judge_hits, self.new.judge_hits, "Judge agrees with people", words
        )

    def _rate(
        self, metric: str, old: Sequence[float], new: Sequence[float], name: str, action: str
    ) -> list[Measurement]:
        """Both levels of a share, its alarms and its chart."""
        columns = np.array(old), np.array(new)
        alarms = self._alarms(metric, *columns)
        self._chart(name, *columns, action)
        return [
            self.measure(metric, share_estimate(columns[1], self.new.prompt_ids, seed=self.seed)),
            self.measure(metric, share_estimate(columns[0], self.old.prompt_ids, seed=self.seed), INCUMBENT),
            alarms,
        ]

    def _alarms(self, metric: str, old: FloatArray, new: FloatArray) -> Measurement:
        """Page-Hinkley below the reference's level, its threshold from the reference; ADWIN over both."""
        if not len(new):
            raise EvaluationError("there is no new value to watch")
        threshold = page_hinkley_threshold(old, horizon=len(new), seed=self.seed)
        below, window = PageHinkley(float(old.mean()), threshold=threshold), Adwin()
        alarms = [found for value in new.tolist() if (found := below.update(value)) is not None]
        changes = [found for value in [*old, *new] if (found := window.update(float(value))) is not None]
        count = float(len(alarms))
        return self.measure(
            "drift_alarms",
            Estimate(value=count, low=count, high=count, n=len(new), method="Page-Hinkley"),
            metric,
            alarms_at=[one.position for one in alarms],
            false_alarm_share=0.05,
            adwin_changes_at=[one.change_at for one in changes],
        )

    def surprise(self) -> list[Measurement]:
        """How unlikely the reference finds the prompts, then and now: levels, change, and the index."""
        if self.old.prompt_nll is None or self.new.prompt_nll is None:
            raise EvaluationError("rows have no prompt_nll; --reference-model DIR measures it")
        places = [_kept(side.prompt_ids, True) for side in (self.old, self.new)]
        old, new = np.array(self.old.prompt_nll)[places[0]], np.array(self.new.prompt_nll)[places[1]]
        old_ids = [self.old.prompt_ids[i] for i in places[0]]
        new_ids = [self.new.prompt_ids[i] for i in places[1]]
        test = compare_samples(
            old, new, statistic="energy", reference_ids=old_ids, current_ids=new_ids, seed=self.seed
        )
        self._chart("Surprise of prompts", old, new, "Collect prompts from current traffic.")
        levels = [mean_estimate(new, new_ids, seed=self.seed), mean_estimate(old, old_ids, seed=self.seed)]
        change = _change(new, old, new_ids, old_ids, self.seed)
        return [
            self.measure("prompt_nll", levels[0], perplexity=float(np.exp(levels[0].value))),
            self.measure("prompt_nll", levels[1], INCUMBENT, perplexity=float(np.exp(levels[1].value))),
            replace(self.measure("prompt_nll", change, p_value=test.p_value), versus="incumbent"),
            self._index(measure_stability(old, new), "prompt_nll"),
        ]

    def preferences(self, anchors: Sequence[AnchorVotes] | None) -> list[Measurement]:
        """Old against new labels of the same pairs."""
        if anchors is None:
            raise EvaluationError("no anchor pairs labeled then and now were given (--anchors)")
        found = measure_preference_drift(anchors, seed=self.seed)
        self.tests["preferences"] = found
        facts = {"p_value": found.p_value, "flipped": found.flipped, "votes": found.n_votes}
        return [self.measure("drift_preference_change", found.change, "anchors", **facts)]

    def _chart(self, name: str, old: FloatArray, new: FloatArray, action: str) -> None:
        """Batches of both sides with limits of three standard errors around the reference's mean."""
        parts = [
            *_batches(old, self.old.batches, "before"),
            *_batches(new, self.new.batches, "now"),
        ]
        if len(parts) < 2 or len(old) < 2:
            return
        typical = float(np.median([len(values) for _, values in parts]))
        half = SIGMAS * float(old.std(ddof=1)) / typical**0.5
        self.charts.append(
            DriftChart(
                name=name,
                batches=tuple(label for label, _ in parts),
                values=tuple(mean_estimate(values, seed=self.seed) for _, values in parts),
                low=float(old.mean()) - half,
                high=float(old.mean()) + half,
                action=action,
            )
        )


def _change(
    new: FloatArray, old: FloatArray, new_ids: Sequence[str], old_ids: Sequence[str], seed: int
) -> Estimate:
    """Mean of the new rows less that of the old ones; prompts of both are resampled together."""
    pooled = np.concatenate([new, old])
    is_new = np.arange(len(pooled)) < len(new)
    clusters = Clusters.of([*new_ids, *old_ids], rows=len(pooled))

    def gap(weights: FloatArray) -> float:
        first, second = weights * is_new, weights * ~is_new
        if min(first.sum(), second.sum()) <= 0:
            return float("nan")
        return float(first @ pooled / first.sum() - second @ pooled / second.sum())

    return replace(bootstrap_estimate(gap, clusters, method="percentile", seed=seed), n=len(new))


def _batches(values: FloatArray, names: Sequence[str] | None, word: str) -> list[tuple[str, FloatArray]]:
    """Named batches in the order of their first row, else parts of equal size in the rows' order."""
    if names is not None and len(names) == len(values):
        order = list(dict.fromkeys(names))
        codes = np.array([order.index(name) for name in names])
        return [(name, values[codes == i]) for i, name in enumerate(order)]
    parts = [part for part in np.array_split(values, min(PARTS, max(1, len(values)))) if len(part)]
    return [(f"{word} {i}", part) for i, part in enumerate(parts, start=1)]


def _kept(ids: Sequence[str], is_distinct: bool) -> list[int]:
    """Rows that enter the tests: with `is_distinct` the first of each prompt; `MOST_ROWS` at most."""
    places = list(range(len(ids)))
    if is_distinct:
        first: dict[str, int] = {}
        for i, name in enumerate(ids):
            first.setdefault(name, i)
        places = list(first.values())
    count = min(len(places), MOST_ROWS)
    return [places[i * len(places) // count] for i in range(count)]


def _agreements(side: DriftRows) -> tuple[FloatArray, list[str]]:
    """Chance of each pair that two of its votes agree, and its prompt; pairs with one vote say nothing."""
    values, ids = [], []
    for (left, right), name in zip(side.votes or (), side.prompt_ids, strict=True):
        total = left + right
        if total >= 2:
            values.append((left * (left - 1) + right * (right - 1)) / (total * (total - 1)))
            ids.append(name)
    return np.array(values), ids
