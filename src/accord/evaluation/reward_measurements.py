"""A reward model's health as measurements: accuracy and its ceiling, calibration, slices, length, ensemble.

    reward_accuracy              over all, by margin, agreement, length, domain, annotator group; ties half
    reward_accuracy_of_ceiling   accuracy over what a model that knew the vote shares would reach
    reward_accuracy_gap          overall less the worst group; longer less shorter
    reward_calibration_error     bias-corrected, after (and before) the temperature, and unfolded
    reward_brier, reward_nll
    majority_erasure             share of items whose pooled label opposes a group's majority, and the excess
                                 over chance; of the labels, whatever the model
    reward_length_correlation    size of the correlation of reward and length within prompts
    reward_shift                 mean |change| under what should not matter, in within-prompt deviations
    reward_uncertainty_auroc     whether the ensemble's variance (or a small margin) tells its errors
    reward_risk                  error rate on the share of pairs the ensemble is surest of
    reward_label_free_accuracy   what the margins alone promise on pairs without labels

What cannot be measured is named with its reason. Leaves out scoring (the pipeline does it).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain.errors import EvaluationError
from accord.domain.splits import hash_fraction
from accord.evaluation.calibration import (
    Calibration,
    fit_temperature,
    measure_calibration,
    unfolded_calibration_error,
)
from accord.evaluation.ceiling import VoteCounts, best_single_accuracy, fit_concentration, measure_ceiling
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.comparison.columns import INCUMBENT, difference_measurement
from accord.evaluation.ensemble import measure_ensemble
from accord.evaluation.intervals import Estimate, bootstrap_estimate, ratio_estimate
from accord.evaluation.invariance import measure_invariance, within_prompt_deviation
from accord.evaluation.label_free import estimate_accuracy, fit_label_free
from accord.evaluation.majority_erasure import LEAST_VOTES, measure_erasure
from accord.evaluation.measurement import Measurement
from accord.evaluation.overoptimization import within_prompt_correlation
from accord.evaluation.reward_accuracy import RewardAccuracy, length_baseline, measure_reward_accuracy
from accord.evaluation.reward_groups import measure_groups
from accord.evaluation.scored_pairs import ScoredPair, ScoredPairs, match_pairs

FIT_SHARE = 0.3
"""Of the prompts, by hash, on which the temperature is fitted; calibration is measured on the others."""
MIN_FIT = 30
"""Pairs to fit a temperature on; fewer leave the margins as they are."""


@dataclass(frozen=True, kw_only=True)
class RewardMeasurements:
    """Every number, what has none and why, and the reliability diagrams."""

    measurements: tuple[Measurement, ...]
    not_measured: dict[str, str]
    calibration: Calibration | None = None
    """After the temperature."""
    calibration_before: Calibration | None = None


def measure_reward_model(
    pairs: ScoredPairs, incumbent: ScoredPairs | None = None, *, seed: int = 0
) -> RewardMeasurements:
    """All that scored pairs tell of a reward model; with `incumbent`, also what changed on the same pairs.

    Two rewards of one answer are taken as they are; rows of several annotator groups share their prompt.
    Every interval resamples prompts.
    """
    table = _Table(pairs, seed=seed)
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    parts: list[tuple[str, Callable[[], list[Measurement]]]] = [
        ("reward_accuracy", table.accuracy),
        ("reward_accuracy_of_ceiling", table.ceiling),
        ("reward_accuracy_gap", table.groups),
        ("reward_accuracy by domain", table.domains),
        ("majority_erasure", table.erasure),
        ("reward_length_correlation", table.length),
        ("reward_shift", table.invariance),
        ("reward_uncertainty_auroc", table.ensemble),
        ("reward_label_free_accuracy", table.label_free),
    ]
    for name, part in parts:
        try:
            measured += part()
        except EvaluationError as error:
            missing[name] = str(error)
    before, after = table.calibrations()
    measured += _calibration_measurements(before, after, table.facts)
    measured.append(table.unfolded(after.temperature))
    if incumbent is not None:
        measured += table.against(match_pairs(pairs.labeled, incumbent.labeled))
    else:
        missing["reward_accuracy against the incumbent"] = (
            "no incumbent's scores of the same pairs were given"
        )
    return RewardMeasurements(
        measurements=tuple(measured), not_measured=missing, calibration=after, calibration_before=before
    )


class _Table:
    """Labeled pairs as columns."""

    def __init__(self, pairs: ScoredPairs, *, seed: int):
        self.rows: Sequence[ScoredPair] = pairs.labeled
        self.unlabeled = pairs.unlabeled
        self.seed = seed
        self.facts: dict[str, Any] = {**pairs.facts, "pairs": len(self.rows), "seed": seed}
        self.ids = [row.prompt_id for row in self.rows]
        self.margin = np.array([row.margin for row in self.rows])
        self.label = np.array([1.0 if row.p_chosen is None else row.p_chosen for row in self.rows])
        self.is_decided = self.label != 0.5
        self.hits: FloatArray = 0.5 + 0.5 * np.sign(self.margin) * np.sign(self.label - 0.5)

    def measure(self, metric: str, estimate: Estimate, slice: str = "all", **facts: Any) -> Measurement:
        return Measurement(metric=metric, slice=slice, estimate=estimate, facts={**self.facts, **facts})

    def lengths(self) -> FloatArray | None:
        """[pair, 2] of chosen and rejected; None unless every pair has both."""
        if any(row.lengths is None for row in self.rows):
            return None
        return np.array([row.lengths for row in self.rows], dtype=float)

    def accuracy(self) -> list[Measurement]:
        """Overall, NLL, and the slices by margin, agreement and length; length alone beside it."""
        lengths = self.lengths()
        difference = None if lengths is None else lengths[:, 0] - lengths[:, 1]
        found = measure_reward_accuracy(
            self.margin, self.label, self.ids, length_differences=difference, seed=self.seed
        )
        measured = [
            self.measure("reward_accuracy", found.accuracy, label_ties=found.n_label_ties),
            self.measure("reward_nll", found.nll),
            *self._slices(found),
        ]
        if difference is not None and np.ptp(difference) > 0:
            alone = length_baseline(difference, self.label, self.ids, seed=self.seed)
            measured.append(self.measure("reward_accuracy", alone.accuracy, "length_alone"))
            bins = {row.label: row.accuracy.value for row in found.by_length}
            if len(bins) == 2:
                measured.append(self._length_gap(difference))
        return measured

    def _slices(self, found: RewardAccuracy) -> list[Measurement]:
        names = (("margin", found.by_margin), ("agreement", found.by_agreement), ("length", found.by_length))
        return [
            self.measure("reward_accuracy", row.accuracy, f"{name}={row.label}")
            for name, rows in names
            for row in rows
        ]

    def _length_gap(self, difference: FloatArray) -> Measurement:
        """Accuracy where the preferred answer is longer less where it is shorter."""
        longer = np.sign(self.label - 0.5) * difference
        clusters = Clusters.of(self.ids, rows=len(self.rows))

        def gap(weights: FloatArray) -> float:
            sides = [weights * self.is_decided * is_in for is_in in (longer > 0, longer < 0)]
            if min(side.sum() for side in sides) <= 0:
                return math.nan
            first, second = (float(side @ self.hits / side.sum()) for side in sides)
            return first - second

        estimate = bootstrap_estimate(gap, clusters, method="percentile", seed=self.seed)
        return self.measure("reward_accuracy_gap", estimate, "longer_minus_shorter")

    def ceiling(self) -> list[Measurement]:
        """The human ceiling from repeated votes, and the accuracy as a share of it, resampled together."""
        counted = [row for row in self.rows if row.votes is not None and sum(row.votes) >= 2]
        if not counted:
            raise EvaluationError("no pair has two votes, so how far people agree is not known")
        votes = [
            VoteCounts(left=row.votes[0], right=row.votes[1], prompt_id=row.prompt_id)
            for row in counted
            if row.votes is not None
        ]
        found = measure_ceiling(votes, seed=self.seed)
        return [
            self.measure("reward_ceiling", found.best_single, votes=found.n_votes),
            self.measure("reward_annotator_agreement", found.annotator_agreement),
            self.measure("reward_accuracy_of_ceiling", self._of_ceiling(counted)),
        ]

    def _of_ceiling(self, counted: Sequence[ScoredPair]) -> Estimate:
        """Accuracy against single votes over E max(p, 1 - p); both are of one vote, so 1 can be reached."""
        left = np.array([0 if row.votes is None else row.votes[0] for row in counted])
        right = np.array([0 if row.votes is None else row.votes[1] for row in counted])
        side = np.sign([row.margin for row in counted])
        share = left / (left + right)
        right_share = np.where(side > 0, share, np.where(side < 0, 1 - share, 0.5))
        clusters = Clusters.of([row.prompt_id for row in counted], rows=len(counted))

        def ratio(weights: FloatArray) -> float:
            ceiling = best_single_accuracy(fit_concentration(left, right, weights=weights))
            return float(weights @ right_share / weights.sum()) / ceiling

        return bootstrap_estimate(ratio, clusters, method="percentile", resamples=500, seed=self.seed)

    def groups(self) -> list[Measurement]:
        """By annotator group, with intervals that hold together, and how far the worst lies below all."""
        is_in = self.is_decided & np.array([bool(row.group) for row in self.rows])
        if not is_in.any():
            raise EvaluationError("no pair names the group of its annotators")
        return self._by_name("group", [row.group for row in self.rows], is_in, worst="worst_group")

    def domains(self) -> list[Measurement]:
        """By domain, likewise."""
        is_in = self.is_decided & np.array([bool(row.domain) for row in self.rows])
        if not is_in.any():
            raise EvaluationError("no pair names its domain")
        return self._by_name("domain", [row.domain for row in self.rows], is_in, worst="worst_domain")

    def erasure(self) -> list[Measurement]:
        """By group, the most erased, and what exceeds chance."""
        rows = [row for row in self.rows if row.group and row.votes is not None]
        if len({row.group for row in rows}) < 2:
            raise EvaluationError("pairs name no two groups of annotators with their votes")
        found = measure_erasure(
            [row.id for row in rows],
            [row.group for row in rows],
            [row.votes for row in rows if row.votes is not None],
            [row.prompt_id for row in rows],
            seed=self.seed,
        )
        facts = {"worst": found.worst, "too_few": found.too_few, "least_votes": LEAST_VOTES}
        measured = [
            self.measure(metric, estimate, f"group={one.name}", expected=one.expected)
            for one in found.groups
            for metric, estimate in (
                ("majority_erasure", one.erased),
                ("majority_erasure_excess", one.excess),
            )
        ]
        return [*measured, self.measure("majority_erasure", found.worst_erased, "worst_group", **facts)]

    def _by_name(
        self, kind: str, names: Sequence[str], is_in: FloatArray, *, worst: str
    ) -> list[Measurement]:
        places = np.flatnonzero(is_in).tolist()
        hits = self.hits[places]
        labels, ids = [names[i] for i in places], [self.ids[i] for i in places]
        found = measure_groups(hits, labels, ids, seed=self.seed)
        overall = float(hits.mean())
        facts = {"worst": found.worst, "too_few": found.too_few, "critical_value": found.critical_value}
        bound = found.worst_accuracy
        gap = replace(
            bound,
            value=max(0.0, overall - bound.value),
            low=max(0.0, overall - bound.high),
            high=max(0.0, overall - bound.low),
        )
        return [
            *(
                self.measure("reward_accuracy", row.accuracy, f"{kind}={row.name}", prompts=row.n_prompts)
                for row in found.groups
            ),
            self.measure("reward_accuracy", bound, worst, **facts),
            self.measure("reward_accuracy_gap", gap, worst, **facts),
        ]

    def length(self) -> list[Measurement]:
        """Size and sign of the correlation of reward and length within prompts."""
        lengths = self.lengths()
        if lengths is None:
            raise EvaluationError("not every pair says how long its answers are")
        rewards = np.array([(row.chosen_reward, row.rejected_reward) for row in self.rows])
        ids = [one for one in self.ids for _ in range(2)]
        found = within_prompt_correlation(rewards.ravel(), lengths.ravel(), ids, seed=self.seed)
        if not math.isfinite(found.value):
            raise EvaluationError("rewards or lengths do not differ within any prompt")
        crosses = found.low < 0 < found.high
        ends = sorted((abs(found.low), abs(found.high)))
        size = replace(found, value=abs(found.value), low=0.0 if crosses else ends[0], high=ends[1])
        return [
            self.measure("reward_length_correlation", size, "within_prompt", signed=found.value),
            self.measure("reward_length_correlation", found, "signed"),
        ]

    def invariance(self) -> list[Measurement]:
        """By kind of change, in the deviation that rewards have within prompts."""
        changed = [(row, kind, value) for row in self.rows for kind, value in sorted(row.changed.items())]
        if not changed:
            raise EvaluationError("no changed answers were scored")
        rewards = [one for row in self.rows for one in (row.chosen_reward, row.rejected_reward)]
        deviation = within_prompt_deviation(rewards, [one for one in self.ids for _ in range(2)])
        found = measure_invariance(
            [row.chosen_reward for row, _, _ in changed],
            [value for _, _, value in changed],
            [kind for _, kind, _ in changed],
            [row.prompt_id for row, _, _ in changed],
            deviation=deviation,
            seed=self.seed,
        )
        return [
            self.measure(
                "reward_shift", row.size, f"change={row.change}", large=row.large, mean=row.shift.value
            )
            for row in found
        ]

    def ensemble(self) -> list[Measurement]:
        """Whether members' disagreement tells errors, and the error rate at growing coverage."""
        if len(self.rows[0].members) < 2:
            raise EvaluationError("pairs have the rewards of no second member")
        table = np.array([[one[0] - one[1] for one in row.members] for row in self.rows]).T
        found = measure_ensemble(table, self.label, self.ids, seed=self.seed)
        return [
            self.measure("reward_accuracy", found.accuracy, "ensemble", members=len(table)),
            self.measure("reward_uncertainty_auroc", found.variance_auroc, "variance"),
            self.measure("reward_uncertainty_auroc", found.margin_auroc, "margin"),
            *(
                self.measure("reward_risk", point.risk, f"coverage={point.coverage:g}")
                for point in found.risk_coverage
            ),
        ]

    def label_free(self) -> list[Measurement]:
        """What calibrated margins promise on pairs without labels; the labeled ones give the limits."""
        if not self.unlabeled:
            raise EvaluationError("every pair has a label; pairs with is_labeled false are estimated")
        reference = fit_label_free(self.margin, self.label, self.ids, seed=self.seed)
        margins = [row.margin for row in self.unlabeled]
        found = estimate_accuracy(
            margins, reference, [row.prompt_id for row in self.unlabeled], seed=self.seed
        )
        limits: dict[str, Any] = {
            "low_limit": found.low_limit,
            "high_limit": found.high_limit,
            "is_out": found.is_out,
        }
        bias = reference.bias_interval
        return [
            self.measure("reward_label_free_accuracy", found.accuracy, center=found.center, **limits),
            self.measure("reward_label_free_bias", bias, temperature=reference.temperature),
        ]

    def for_fit(self) -> NDArray[np.bool_]:
        """[pair] whether the temperature is fitted on it; nowhere where there are too few."""
        is_fit = np.array([hash_fraction(key, seed=self.seed) < FIT_SHARE for key in self.ids])
        return is_fit if is_fit.sum() >= MIN_FIT and not is_fit.all() else np.zeros_like(is_fit)

    def unfolded(self, temperature: float) -> Measurement:
        """Calibration error of P(A beats B) in a random order, on prompts that fitted no temperature."""
        rest = np.flatnonzero(~self.for_fit())
        found = unfolded_calibration_error(
            self.margin[rest],
            self.label[rest],
            [self.ids[i] for i in rest],
            keys=[f"{self.rows[i].id} {self.rows[i].group}" for i in rest.tolist()],
            temperature=temperature,
            seed=self.seed,
        )
        return self.measure("reward_calibration_error", found, "unfolded", temperature=temperature)

    def calibrations(self) -> tuple[Calibration, Calibration]:
        """Before and after a temperature that was fitted on other prompts."""
        is_fit = self.for_fit()
        temperature = fit_temperature(self.margin[is_fit], self.label[is_fit]) if is_fit.any() else 1.0
        rest = np.flatnonzero(~is_fit)
        columns = (self.margin[rest], self.label[rest], [self.ids[i] for i in rest])
        before = measure_calibration(*columns, seed=self.seed)
        return before, measure_calibration(*columns, temperature=temperature, seed=self.seed)

    def against(self, incumbent: Sequence[ScoredPair]) -> list[Measurement]:
        """Accuracy less the incumbent's on the same pairs, paired by prompt."""
        places = np.flatnonzero(self.is_decided)
        side = np.sign(self.label[places] - 0.5)
        margins = np.array([row.margin for row in incumbent])[places]
        other = 0.5 + 0.5 * np.sign(margins) * side
        ids = [self.ids[i] for i in places]
        clusters = Clusters.of(ids, rows=len(ids))
        level = ratio_estimate(other, np.ones_like(other), clusters, seed=self.seed)
        return [
            self.measure("reward_accuracy", level, INCUMBENT),
            difference_measurement(
                "reward_accuracy",
                self.hits[places],
                other,
                ids,
                is_share=True,
                seed=self.seed,
                facts=self.facts,
            ),
        ]


def _calibration_measurements(
    before: Calibration, after: Calibration, facts: dict[str, Any]
) -> list[Measurement]:
    def row(metric: str, estimate: Estimate, slice_name: str, **more: Any) -> Measurement:
        return Measurement(metric=metric, slice=slice_name, estimate=estimate, facts={**facts, **more})

    parts = {name: getattr(after.brier, name) for name in ("reliability", "resolution", "uncertainty")}
    return [
        row(
            "reward_calibration_error",
            after.ece_debiased,
            "all",
            temperature=after.temperature,
            ece=after.ece,
        ),
        row("reward_calibration_error", before.ece_debiased, "before_temperature", ece=before.ece),
        row("reward_brier", after.brier.score, "all", **parts),
    ]
