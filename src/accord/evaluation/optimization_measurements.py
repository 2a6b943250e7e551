"""A run or a pool of samples as measurements: gold against proxy, KL, Gao's fits, degeneracy, alarms.

    gold_drop_from_peak      how far gold has surely fallen from its highest: the lower bound, at least 0
                             (slice "fall" holds the fall with its whole interval)
    overoptimization_gap     proxy gain less gold gain, in standard deviations of the start; by ensemble rule
    gold_gain, proxy_gain    in those deviations, by step or by n
    kl_divergence            by step, where the answers have log-probabilities
    gao_alpha, gao_beta, gao_peak_kl    of the form of RL, or of best-of-n
    non_length_gain          share of the proxy's gain left between answers of equal length
    repeated_4grams, length_cap_share, common_opening_share, self_bleu, refusal_phrase_share, token_entropy
                             last step less the start (slice "run")
    language_switch_share, format_switch_share   last step's answers unlike the start's (slice "run")
    gaming_alarms            how many alarms are raised; their names among the facts

What cannot be measured is named with its reason.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion, FinishReason
from accord.evaluation.best_of_n import measure_best_of_n
from accord.evaluation.clusters import FloatArray
from accord.evaluation.comparison.columns import difference_measurement
from accord.evaluation.divergence import measure_divergence
from accord.evaluation.ensemble import Rule, combine_rewards
from accord.evaluation.gaming_alarms import GamingAlarm, raise_alarms
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate
from accord.evaluation.judges.labels import find_refusal
from accord.evaluation.measurement import Measurement
from accord.evaluation.overoptimization import Checkpoint, measure_overoptimization
from accord.evaluation.repetition import compare_repetition
from accord.evaluation.report.comparison.contents import RewardCurve
from accord.evaluation.reward_frontier import (
    FrontierFit,
    fit_frontier,
    measure_gap,
    measure_length_adjusted_gain,
)
from accord.evaluation.scored_answers import ScoredAnswer, ScoredPool, ScoredRun
from accord.evaluation.self_bleu import measure_self_bleu
from accord.evaluation.switches import is_other_language, measure_form_switches

RULES: tuple[Rule, ...] = ("mean", "worst_case", "variance_penalty")
REPEATS = 4


@dataclass(frozen=True, kw_only=True)
class OptimizationMeasurements:
    """Every number, what has none and why, and the curves of the report."""

    measurements: tuple[Measurement, ...]
    not_measured: dict[str, str]
    curves: tuple[RewardCurve, ...] = ()
    alarms: tuple[GamingAlarm, ...] = ()


def measure_run(run: ScoredRun, *, seed: int = 0) -> OptimizationMeasurements:
    """What scored answers along a run tell; intervals resample prompts."""
    table = _Run(run, seed=seed)
    return _collected(
        [
            ("gold_drop_from_peak", table.fall),
            ("overoptimization_gap", table.gap),
            ("kl_divergence", table.divergence),
            ("gao_peak_kl", table.fit),
            ("non_length_gain", table.non_length),
            ("repeated_4grams, run", table.degeneracy),
            ("self_bleu, run", table.sameness),
            ("token_entropy, run", table.entropy),
            ("gaming_alarms", table.alarms),
        ],
        table.curves,
        lambda: table.raised,
    )


def measure_pool(
    pool: ScoredPool, *, sizes: Sequence[int] | None = None, seed: int = 0
) -> OptimizationMeasurements:
    """Best-of-n from a pool of samples at n = 1, 2, 4, ... (or `sizes`), with each ensemble rule."""
    table = _Pool(pool, sizes=sizes, seed=seed)
    return _collected(
        [("gold_gain", table.gains), ("gao_peak_kl", table.fit), ("overoptimization_gap", table.gap)],
        table.curves,
        lambda: (),
    )


def _collected(
    parts: Sequence[tuple[str, Callable[[], list[Measurement]]]],
    curves: Callable[[], tuple[RewardCurve, ...]],
    alarms: Callable[[], tuple[GamingAlarm, ...]],
) -> OptimizationMeasurements:
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    for name, part in parts:
        try:
            measured += part()
        except EvaluationError as error:
            missing[name] = str(error)
    return OptimizationMeasurements(
        measurements=tuple(measured), not_measured=missing, curves=curves(), alarms=alarms()
    )


class _Run:
    def __init__(self, run: ScoredRun, *, seed: int):
        self.run, self.seed = run, seed
        self.steps = list(run.steps)
        self.ids = run.prompt_ids
        self.first, self.last = run.steps[self.steps[0]], run.steps[self.steps[-1]]
        self.facts: dict[str, Any] = {
            **run.facts,
            "steps": len(self.steps),
            "prompts": len(set(self.ids)),
            "seed": seed,
        }
        self.raised: tuple[GamingAlarm, ...] = ()

    def measure(self, metric: str, estimate: Estimate, slice: str = "all", **facts: Any) -> Measurement:
        return Measurement(metric=metric, slice=slice, estimate=estimate, facts={**self.facts, **facts})

    def kl(self) -> list[float] | None:
        """[step] nats; None where no step says."""
        found = []
        for rows in self.run.steps.values():
            if all(row.logprobs is not None for row in rows):
                found.append(
                    float(np.mean([row.logprobs[0] - row.logprobs[1] for row in rows if row.logprobs]))
                )
            elif all(row.kl is not None for row in rows):
                found.append(float(np.mean([row.kl for row in rows if row.kl is not None])))
            else:
                return None
        return found

    def fall(self) -> list[Measurement]:
        """Gold at its peak less gold now, the peak chosen on other prompts than it is measured on."""
        kl = self.kl() or [float(i) for i in range(len(self.steps))]
        found = measure_overoptimization(
            [
                Checkpoint(
                    step=step,
                    kl=kl[i],
                    proxy=[row.proxy for row in rows],
                    gold=[row.gold for row in rows],
                )
                for i, (step, rows) in enumerate(self.run.steps.items())
            ],
            self.ids,
            seed=self.seed,
        )
        change = found.gold_after_peak
        facts: dict[str, Any] = {"peak_step": found.peak_step, "gaming": found.gaming.value}
        fall = Estimate(
            value=-change.value, low=-change.high, high=-change.low, n=change.n, method=change.method
        )
        measured = [self.measure("gold_drop_from_peak", fall, "fall", **facts)]
        if not fall.has_interval:
            raise EvaluationError("one prompt gives no interval of the fall of gold")
        sure = max(0.0, fall.low)
        bound = Estimate(
            value=sure, low=sure, high=sure, n=len(set(self.ids)), method="lower bound of the fall of gold"
        )
        measured.insert(0, self.measure("gold_drop_from_peak", bound, fall=fall.value, **facts))
        return measured

    def gap(self) -> list[Measurement]:
        """Gains of both rewards in deviations of the start, step by step, and the gap at the end."""
        columns = [
            ([row.proxy for row in rows], [row.gold for row in rows]) for rows in self.run.steps.values()
        ]
        start_proxy, start_gold = columns[0]
        measured = []
        for step, (proxy, gold) in zip(self.steps[1:], columns[1:], strict=True):
            found = measure_gap(start_proxy, start_gold, proxy, gold, self.ids, seed=self.seed)
            named = "all" if step == self.steps[-1] else f"step={step}"
            measured += [
                self.measure("overoptimization_gap", found.gap, named),
                self.measure("proxy_gain", found.proxy_gain, f"step={step}"),
                self.measure("gold_gain", found.gold_gain, f"step={step}"),
            ]
        return measured

    def divergence(self) -> list[Measurement]:
        """k1 by step from the answers' log-probabilities."""
        rows = [row for part in self.run.steps.values() for row in part]
        if any(row.logprobs is None for row in rows):
            raise EvaluationError("answers have no logprob and reference_logprob, so KL has no interval")
        return [
            self.measure("kl_divergence", _divergence(part, self.ids, self.seed), f"step={step}")
            for step, part in self.run.steps.items()
        ]

    def fit(self) -> list[Measurement]:
        """Gao's form of RL on gold gains in deviations of the start."""
        kl = self.kl()
        if kl is None:
            raise EvaluationError("steps say no kl, so gold cannot be set against it")
        gold = np.array([[row.gold for row in rows] for rows in self.run.steps.values()])
        scale = _spread(gold[0], "gold")
        distance = np.sqrt(np.maximum(np.array(kl), 0.0))
        found = fit_frontier(distance, (gold - gold[0]) / scale, self.ids, form="rl", seed=self.seed)
        return _fit_measurements(found, self.facts)

    def non_length(self) -> list[Measurement]:
        """Share of the proxy's gain that is left between answers of equal length."""
        if any(row.length is None for row in (*self.first, *self.last)):
            raise EvaluationError("answers have no length and no text")
        found = measure_length_adjusted_gain(
            [row.proxy for row in self.first],
            [row.length or 0.0 for row in self.first],
            [row.proxy for row in self.last],
            [row.length or 0.0 for row in self.last],
            start_prompt_ids=self.ids,
            prompt_ids=self.ids,
            seed=self.seed,
        )
        if not math.isfinite(found.ratio.value):
            raise EvaluationError(f"the share is {found.ratio.method or 'not defined'}")
        facts: dict[str, Any] = {"total": found.total.value, "within_length": found.within_length.value}
        return [self.measure("non_length_gain", found.ratio, covered=found.covered, **facts)]

    def degeneracy(self) -> list[Measurement]:
        """Repetition, cut-offs and sameness, last step less the start, prompt by prompt."""
        if any(row.text is None for row in (*self.first, *self.last)):
            raise EvaluationError("answers have no text")
        new, old = (_completions(rows) for rows in (self.last, self.first))
        found = compare_repetition(new, old, self.ids, seed=self.seed)
        last, first = ([str(row.text) for row in rows] for rows in (self.last, self.first))
        refusals = [[float(find_refusal(text) == "full") for text in side] for side in (last, first)]
        forms = measure_form_switches(last, first, self.ids, seed=self.seed)
        other = [float(is_other_language(before, now)) for now, before in zip(last, first, strict=True)]
        switched = share_estimate(other, self.ids, seed=self.seed)
        return [
            self.since_start("repeated_4grams", found.repeated[REPEATS]),
            self.since_start("length_cap_share", found.capped),
            self.since_start("common_opening_share", found.opening),
            self.paired("refusal_phrase_share", refusals[0], refusals[1], is_share=True),
            self.measure("language_switch_share", switched, "run"),
            self.measure("format_switch_share", forms.switched, "run", p_sign_flip=forms.p_value),
        ]

    def sameness(self) -> list[Measurement]:
        """Likeness of answers to those to other prompts, last step less the start."""
        if any(row.text is None for row in (*self.first, *self.last)):
            raise EvaluationError("answers have no text")
        last, first = (
            measure_self_bleu([str(row.text).split() for row in rows], self.ids, seed=self.seed)
            for rows in (self.last, self.first)
        )
        return [self.paired("self_bleu", last, first, is_share=True)]

    def entropy(self) -> list[Measurement]:
        """Entropy a token, last step less the start."""
        last, first = ([row.entropy for row in rows] for rows in (self.last, self.first))
        if None in (*last, *first):
            raise EvaluationError("answers have no entropy")
        return [self.paired("token_entropy", last, first, is_share=False)]

    def since_start(self, metric: str, estimate: Estimate) -> Measurement:
        """A difference of the last step from the start."""
        return replace(self.measure(metric, estimate, "run"), versus="incumbent")

    def paired(self, metric: str, last: Any, first: Any, *, is_share: bool) -> Measurement:
        """The same from one number a row and side."""
        return difference_measurement(
            metric, last, first, self.ids, is_share=is_share, seed=self.seed, facts=self.facts, slice="run"
        )

    def alarms(self) -> list[Measurement]:
        """How many of the alarms that could be tested are raised."""
        self.raised = raise_alarms(self.run, seed=self.seed)
        if not self.raised:
            raise EvaluationError("answers have neither members, length, text, entropy nor log-probabilities")
        count = float(sum(one.is_raised for one in self.raised))
        names = [one.name for one in self.raised if one.is_raised]
        tested = {one.name: one.adjusted_p for one in self.raised}
        exact = Estimate(value=count, low=count, high=count, n=len(self.ids), method="sign flips, Holm")
        return [self.measure("gaming_alarms", exact, raised=names, adjusted_p=tested)]

    def curves(self) -> tuple[RewardCurve, ...]:
        """Gold, proxy and the ensemble's minimum over KL, as gains in deviations of the start."""
        kl = self.kl()
        if kl is None:
            return ()
        series: dict[str, list[FloatArray]] = {
            name: [np.array([getattr(row, name) for row in rows]) for rows in self.run.steps.values()]
            for name in ("gold", "proxy")
        }
        if len(self.first[0].members) > 1:
            series["ensemble minimum"] = [
                np.array([min(row.members) for row in rows]) for rows in self.run.steps.values()
            ]
        return _gain_curves(series, kl, self.ids, self.seed)


class _Pool:
    def __init__(self, pool: ScoredPool, *, sizes: Sequence[int] | None, seed: int):
        self.pools, self.seed = list(pool.pools.values()), seed
        smallest = min(len(rows) for rows in self.pools)
        self.sizes = list(sizes) if sizes else [2**i for i in range(smallest.bit_length())]
        self.facts: dict[str, Any] = {
            **pool.facts,
            "prompts": len(self.pools),
            "samples": smallest,
            "seed": seed,
        }
        self.gold = [[row.gold for row in rows] for rows in self.pools]
        self.rules = self._rules()
        self.points = {
            name: measure_best_of_n(proxy, self.gold, self.sizes, seed=seed)
            for name, proxy in self.rules.items()
        }
        self.spread = {
            name: _spread(np.concatenate([np.asarray(row) for row in values]), name)
            for name, values in {"gold": self.gold, **self.rules}.items()
        }

    def _rules(self) -> dict[str, list[list[float]]]:
        """The proxy itself, and each way to join the members, standardized member by member."""
        found = {"proxy": [[row.proxy for row in rows] for rows in self.pools]}
        if len(self.pools[0][0].members) < 2:
            return found
        table = np.array([row.members for rows in self.pools for row in rows]).T
        spread = table.std(axis=1, keepdims=True)
        table = (table - table.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
        ends = np.cumsum([len(rows) for rows in self.pools])[:-1]
        for rule in RULES:
            joined = np.split(combine_rewards(table, rule), ends)
            found[f"ensemble {rule}"] = [row.tolist() for row in joined]
        return found

    def measure(self, metric: str, estimate: Estimate, slice: str, **facts: Any) -> Measurement:
        return Measurement(metric=metric, slice=slice, estimate=estimate, facts={**self.facts, **facts})

    def gains(self) -> list[Measurement]:
        """Gold gain by n and rule, in standard deviations of single samples."""
        return [
            self.measure(
                "gold_gain",
                _scaled(point.gold_gain, self.spread["gold"]),
                f"n={point.n}" if name == "proxy" else f"n={point.n},{name.replace(' ', '=', 1)}",
                kl_bound=point.kl_bound,
            )
            for name, points in self.points.items()
            for point in points
        ]

    def fit(self) -> list[Measurement]:
        """Gao's form of best-of-n on gold gains."""
        points = self.points["proxy"]
        start = np.array([np.mean(row) for row in self.gold])
        gains = np.array([(point.gold_rows - start) / self.spread["gold"] for point in points])
        found = fit_frontier([point.distance for point in points], gains, form="best_of_n", seed=self.seed)
        return _fit_measurements(found, self.facts)

    def gap(self) -> list[Measurement]:
        """Proxy gain less gold gain at the largest n; deviations are those of single samples, held fixed."""
        measured = []
        for name, points in self.points.items():
            last = points[-1]
            starts = [np.array([np.mean(row) for row in rows]) for rows in (self.rules[name], self.gold)]
            difference = (last.proxy_rows - starts[0]) / self.spread[name]
            difference = difference - (last.gold_rows - starts[1]) / self.spread["gold"]
            named = "all" if name == "proxy" else name.replace(" ", "=", 1)
            measured.append(
                self.measure(
                    "overoptimization_gap", mean_estimate(difference, seed=self.seed), named, best_of=last.n
                )
            )
        return measured

    def curves(self) -> tuple[RewardCurve, ...]:
        """Gold and proxy over the bound of KL, and gold under the worst-case ensemble."""
        points = self.points["proxy"]
        kl = [point.kl_bound for point in points]
        series = {
            "gold": [point.gold_rows for point in points],
            "proxy": [point.proxy_rows for point in points],
        }
        if "ensemble worst_case" in self.points:
            series["gold, chosen by the ensemble minimum"] = [
                point.gold_rows for point in self.points["ensemble worst_case"]
            ]
        spread = {name: self.spread["proxy" if name == "proxy" else "gold"] for name in series}
        starts = {
            name: np.array([np.mean(row) for row in (self.rules["proxy"] if name == "proxy" else self.gold)])
            for name in series
        }
        return tuple(
            RewardCurve(
                name=name,
                kl=tuple(kl),
                rewards=tuple(
                    mean_estimate((row - starts[name]) / spread[name], seed=self.seed) for row in rows
                ),
            )
            for name, rows in series.items()
        )


def _divergence(rows: Sequence[ScoredAnswer], ids: Sequence[str], seed: int) -> Estimate:
    pairs = [row.logprobs for row in rows if row.logprobs is not None]
    own, reference = zip(*pairs, strict=True)
    return measure_divergence(own, reference, [1] * len(pairs), ids, seed=seed).per_sequence


def _completions(rows: Sequence[ScoredAnswer]) -> list[Completion]:
    return [
        Completion(
            text=row.text or "", finish_reason=FinishReason.STOP if row.is_complete else FinishReason.LENGTH
        )
        for row in rows
    ]


def _spread(values: FloatArray, name: str) -> float:
    found = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if not found > 0:
        raise EvaluationError(f"the start's {name} does not vary, so gains have no scale")
    return found


def _scaled(estimate: Estimate, spread: float) -> Estimate:
    return Estimate(
        value=estimate.value / spread,
        low=estimate.low / spread,
        high=estimate.high / spread,
        n=estimate.n,
        method=estimate.method,
        confidence=estimate.confidence,
    )


def _gain_curves(
    series: Mapping[str, Sequence[FloatArray]], kl: Sequence[float], ids: Sequence[str], seed: int
) -> tuple[RewardCurve, ...]:
    curves = []
    for name, rows in series.items():
        spread = float(rows[0].std(ddof=1)) if len(rows[0]) > 1 else 0.0
        if spread > 0:
            gains = tuple(mean_estimate((row - rows[0]) / spread, ids, seed=seed) for row in rows)
            curves.append(RewardCurve(name=name, kl=tuple(max(0.0, one) for one in kl), rewards=gains))
    return tuple(curves)


def _fit_measurements(found: FrontierFit, facts: Mapping[str, Any]) -> list[Measurement]:
    named = {**facts, "form": found.form, "r_squared": found.r_squared, "share_turning": found.share_turning}
    peak = found.peak_distance
    squared = Estimate(
        value=peak.value**2,
        low=peak.low**2 if peak.low > 0 else peak.low,
        high=peak.high**2,
        n=peak.n,
        method=peak.method,
    )
    rows = (("gao_alpha", found.alpha), ("gao_beta", found.beta), ("gao_peak_kl", squared))
    return [
        Measurement(metric=metric, slice=f"form={found.form}", estimate=estimate, facts=dict(named))
        for metric, estimate in rows
    ]
