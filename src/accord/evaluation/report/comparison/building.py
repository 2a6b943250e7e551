"""Comparison reports out of measurements, verdicts and, where they are at hand, the answers themselves.

Leaves out measuring. The time is not taken: equal inputs give equal reports.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from accord.evaluation.comparison.columns import INCUMBENT
from accord.evaluation.comparison.comparing import Comparison
from accord.evaluation.gates.verdict import GateResult, Release, lower_end_of, threshold_of
from accord.evaluation.intervals import Estimate
from accord.evaluation.judges.people import PEOPLE
from accord.evaluation.measurement import Measurement
from accord.evaluation.report.comparison.contents import (
    BiasPanel,
    BiasRow,
    ComparisonReport,
    Delta,
    Evidence,
    GateTile,
    LengthPanel,
    RewardCurve,
    SafetyDot,
    VoteChart,
)
from accord.evaluation.report.comparison.panel_sources import (
    agreement_panel,
    fitted_curve,
    kl_budget,
    length_curves,
)
from accord.evaluation.report.comparison.wording import label_of, style_of
from accord.evaluation.report.contents import Answer, Card, Lineage, Mark, Report, Sample
from accord.evaluation.sequential import confidence_sequence

WIN_RATES = ("win_rate", "length_controlled_win_rate")
BIAS = {
    "bbq_bias_ambig": 0.0,
    "bbq_bias_disambig": 0.0,
    "crows_stereotype": 0.5,
    "behavior_match": 0.5,
    "pronoun_slope": 0.0,
}
"""Measures drawn as small multiples, and the value of a model that does not lean."""
SAMPLES = 24
FAR = 0.1
"""Raw and length-controlled win rates farther apart than this are told."""

Found = Mapping[tuple[str, str, str], Measurement]


def report_release(
    release: Release,
    measurements: Sequence[Measurement],
    *,
    title: str = "Is it ready to release?",
    subtitle: str = "",
    lineage: Lineage | None = None,
    evidence: Evidence | None = None,
    not_measured: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> ComparisonReport:
    """A report from measurements and verdicts alone, whoever measured them; `notes` stand beside its own."""
    found: Found = {(one.metric, one.slice, str(one.versus)): one for one in measurements}
    given = evidence if evidence is not None else Evidence()
    shown = replace(given, safety=given.safety or _safety(found), bias=given.bias or _bias(found))
    results = {(one.gate.metric, one.gate.slice, one.gate.versus): one for one in release.results}
    base = Report(
        title=title,
        subtitle=subtitle,
        cards=_cards(found),
        notes=(*_notes(found), *notes),
        lineage=lineage if lineage is not None else Lineage(),
        facts={"Plan": f"{release.plan_name}, {release.plan_hash}", "Numbers": str(len(measurements))},
    )
    return ComparisonReport(
        base=base,
        verdict=release.verdict.value,
        plan_name=release.plan_name,
        plan_hash=release.plan_hash,
        gates=tuple(_tile(one) for one in release.results),
        deltas=tuple(_deltas(found, results)),
        length=_length(found),
        agreement=agreement_panel(found),
        fitted=fitted_curve(found, shown.curves),
        kl_budget=kl_budget(release),
        kl_candidate=_kl_of(found),
        evidence=shown,
        not_measured=dict(not_measured or {}),
    )


def vote_chart(shares: Sequence[float], name: str) -> VoteChart:
    """Shares of the win, [vote] in the order in which they came, with bounds that hold at every look."""
    bounds = confidence_sequence(shares)
    means = np.cumsum(np.asarray(shares, dtype=float)) / np.arange(1, len(shares) + 1)
    return VoteChart(
        name=name,
        means=tuple(means.tolist()),
        lows=tuple(bounds[:, 0].tolist()),
        highs=tuple(bounds[:, 1].tolist()),
    )


def comparison_evidence(comparison: Comparison) -> Evidence:
    """What a comparison shows beyond its numbers: rewards over KL, and the verdicts as they came."""
    judged = comparison.judgments
    shares = [] if judged is None else [one for one in judged.preferences if math.isfinite(one)]
    chart = None
    if judged is not None and shares:
        chart = vote_chart(shares, f"Verdicts of {judged.judge}, prompt by prompt")
    return Evidence(curves=_curves(comparison), votes=chart, reward_length=length_curves(comparison))


def report_comparison(
    comparison: Comparison,
    release: Release,
    *,
    lineage: Lineage | None = None,
    evidence: Evidence | None = None,
    others: Sequence[Measurement] = (),
    not_measured: Mapping[str, str] | None = None,
) -> ComparisonReport:
    """A report of two models' answers: everything of `report_release`, with lengths, samples and names.

    `others` are numbers of other commands, `not_measured` their reasons.
    """
    candidate, incumbent = comparison.candidate, comparison.incumbent
    judge = comparison.facts.get("judge") or (comparison.judgments and comparison.judgments.judge)
    said = f" Judged by {judge}." if judge else ""
    given, own = evidence if evidence is not None else Evidence(), comparison_evidence(comparison)
    plain = report_release(
        release,
        [*comparison.measurements, *others],
        title=f"{candidate.name} against {incumbent.name}",
        subtitle=f"Both answered the same {len(candidate.prompts)} prompts with the same draws.{said}",
        lineage=lineage,
        evidence=replace(
            given,
            curves=given.curves or own.curves,
            votes=given.votes or own.votes,
            reward_length=given.reward_length or own.reward_length,
        ),
    )
    facts = {
        "Candidate": candidate.name,
        "Incumbent": incumbent.name,
        "Prompts": str(len(candidate.prompts)),
        "Judge": str(judge or "none"),
        "Plan": f"{release.plan_name}, {release.plan_hash}",
    }
    notes = list(plain.base.notes)
    if judge and str(judge).partition(",")[0] != PEOPLE:
        notes.append(
            f"The preferences are those of {judge}, uncorrected by people: a sample of human labels would "
            "say how far it can be trusted."
        )
    has_ids = candidate.has_ids and incumbent.has_ids
    lengths = {
        side.name: tuple(len(row.token_ids) for row in side.completions) for side in (incumbent, candidate)
    }
    base = replace(
        plain.base,
        facts=facts,
        notes=tuple(notes),
        lengths=lengths if has_ids else {},
        samples=choose_samples(comparison),
    )
    reasons = {**(not_measured or {}), **comparison.not_measured}
    return replace(plain, base=base, not_measured=reasons)


def choose_samples(comparison: Comparison, *, count: int = SAMPLES) -> tuple[Sample, ...]:
    """The prompts with the biggest gains and losses, and some at even distances between."""
    samples = _samples(comparison)
    order = sorted(range(len(samples)), key=lambda i: (-samples[i].gain, i))
    third = max(1, count // 3)
    kept = [*order[:third], *order[-third:]]
    rest = [i for i in order if i not in set(kept)]
    wanted = min(len(rest), max(0, count - len(set(kept))))
    kept += [rest[i * len(rest) // wanted] for i in range(wanted)]
    return tuple(samples[i] for i in sorted(set(kept)))


def _samples(comparison: Comparison) -> list[Sample]:
    candidate, incumbent = comparison.candidate, comparison.incumbent
    judged = comparison.judgments
    samples = []
    for i, prompt in enumerate(candidate.prompts):
        pairs = ((incumbent, None if judged is None else judged.incumbent_scores),
                 (candidate, None if judged is None else judged.candidate_scores))  # fmt: skip
        answers = []
        for side, scores in pairs:
            row = side.completions[i]
            answers.append(
                Answer(
                    model=side.name,
                    text=row.text,
                    scores={} if scores is None else {"score": scores[i]},
                    n_tokens=len(row.token_ids) or None,
                    is_cut_off=not row.finish_reason.is_complete,
                )
            )
        gain = 0.0
        if judged is not None and judged.candidate_scores is not None and judged.incumbent_scores is not None:
            gain = judged.candidate_scores[i] - judged.incumbent_scores[i]
        elif judged is not None and judged.is_judged[i]:
            gain = 2 * judged.preferences[i] - 1
        domain = prompt.meta.get("domain") or prompt.meta.get("category") or ""
        samples.append(Sample(prompt=prompt.text, answers=tuple(answers), gain=gain, domain=str(domain)))
    return samples


def _tile(result: GateResult) -> GateTile:
    gate = result.gate
    threshold, is_floor = threshold_of(gate)
    return GateTile(
        id=gate.id,
        metric=gate.metric,
        slice=gate.slice,
        versus=gate.versus,
        verdict=result.verdict.value,
        severity=gate.severity,
        about=gate.about,
        reason=result.reason,
        estimate=None if result.measurement is None else result.measurement.estimate,
        threshold=threshold,
        is_floor=is_floor,
        lower_end=lower_end_of(gate),
        more_needed=result.more_needed,
        waived_by="" if result.waiver is None else result.waiver.name,
    )


def _deltas(found: Found, results: Mapping[tuple[str, str, str], GateResult]) -> list[Delta]:
    """Win rates less one half, then every difference from the incumbent in the order they came."""
    deltas = []
    for key, one in found.items():
        metric, slice_name, versus = key
        is_rate = metric in WIN_RATES and versus == "nothing" and slice_name == "all"
        if not (is_rate or versus == "incumbent") or not one.estimate.has_interval:
            continue
        shift = 0.5 if is_rate else 0.0
        estimate = replace(
            one.estimate,
            value=one.estimate.value - shift,
            low=one.estimate.low - shift,
            high=one.estimate.high - shift,
        )
        levels = [
            found.get((metric, name, "nothing")) if slice_name == "all" else None
            for name in ("all", INCUMBENT)
        ]
        result = results.get(key)
        threshold, is_floor = (None, True) if result is None else threshold_of(result.gate)
        exact = one.facts.get("p_mcnemar_exact")
        p_value = exact if exact is not None else one.facts.get("p_sign_flip")
        deltas.append(
            Delta(
                label=label_of(metric, slice_name) + (" above one half" if is_rate else ""),
                estimate=estimate,
                style=style_of(metric, one.estimate),
                candidate=None if is_rate or levels[0] is None else levels[0].estimate,
                incumbent=None if is_rate or levels[1] is None else levels[1].estimate,
                threshold=None if threshold is None else threshold - shift,
                is_floor=is_floor,
                lower_end=None if result is None else lower_end_of(result.gate),
                verdict=None if result is None else result.verdict.value,
                p_value=p_value,
                test="" if p_value is None else "McNemar" if exact is not None else "sign flips",
                detectable=one.facts.get("detectable_effect"),
            )
        )
    return deltas


def _cards(found: Found) -> tuple[Card, ...]:
    cards = []
    rate, controlled = (found.get((metric, "all", "nothing")) for metric in WIN_RATES)
    even = (Mark(value=0.5, label="even"),)
    if rate is not None:
        facts = rate.facts
        counted = "wins" in facts
        note = f"{facts['wins']} won, {facts['ties']} tied, {facts['losses']} lost" if counted else ""
        cards.append(Card(label="Win rate", estimate=rate.estimate, style="percent", marks=even, note=note))
    if controlled is not None:
        label = "At equal length"
        cards.append(Card(label=label, estimate=controlled.estimate, style="percent", marks=even))
    length = [found.get(("response_length", name, "nothing")) for name in ("all", INCUMBENT)]
    if length[0] is not None and length[1] is not None:
        unit = str(length[0].facts.get("unit", ""))
        cards.append(Card(label=f"Length, {unit}", estimate=length[0].estimate, before=length[1].estimate))
    divergence = found.get(("kl_divergence", "all", "nothing"))
    if divergence is not None:
        note = "k1 on the candidate's own answers"
        cards.append(
            Card(label="KL from the incumbent", estimate=divergence.estimate, style="nats", note=note)
        )
    return tuple(cards)


def _notes(found: Found) -> tuple[str, ...]:
    notes = []
    rate, controlled = (found.get((metric, "all", "nothing")) for metric in WIN_RATES)
    constant = found.get(("constant_output_win_rate", "all", "nothing"))
    if rate is not None and controlled is not None:
        gap = controlled.estimate.value - rate.estimate.value
        if abs(gap) > FAR:
            notes.append(
                f"At equal length the win rate is {100 * abs(gap):.0f} points "
                f"{'higher' if gap > 0 else 'lower'}: length is a part of what is judged."
            )
    if constant is not None and constant.estimate.high >= 0.5:
        notes.append(
            f"The judge prefers one fixed, empty sentence to the incumbent on "
            f"{100 * constant.estimate.value:.0f}% of the prompts: winning against it is worth little."
        )
    for one in found.values():
        p_value = one.facts.get("p_holm")
        if p_value is not None and p_value < 0.05 and one.estimate.value < 0.5:
            notes.append(f"Worse on {one.slice.replace('=', ' ')} (p = {p_value:.3f} after Holm).")
    return tuple(notes)


def _kl_of(found: Found) -> Estimate | None:
    one = found.get(("kl_divergence", "all", "nothing"))
    return None if one is None else one.estimate


def _length(found: Found) -> LengthPanel | None:
    rate = found.get(("win_rate", "all", "nothing"))
    others = [
        found.get((metric, "all", "nothing"))
        for metric in ("length_controlled_win_rate", "constant_output_win_rate")
    ]
    if rate is None or others == [None, None]:
        return None
    controlled, constant = (None if one is None else one.estimate for one in others)
    return LengthPanel(raw=rate.estimate, controlled=controlled, constant=constant)


def _curves(comparison: Comparison) -> tuple[RewardCurve, ...]:
    """The judge's score over KL: the incumbent at 0, the candidate where it is; with gold in one unit."""
    kl = comparison.find("kl_divergence")
    if comparison.gold is not None and kl is not None and kl.estimate.value > 0:
        return _gains(comparison, kl.estimate.value)
    levels = [comparison.find("judge_score", slice=name) for name in (INCUMBENT, "all")]
    if kl is None or kl.estimate.value <= 0 or levels[0] is None or levels[1] is None:
        return ()
    rewards = (levels[0].estimate, levels[1].estimate)
    return (RewardCurve(name=str(levels[0].facts["judge"]), kl=(0.0, kl.estimate.value), rewards=rewards),)


def _gains(comparison: Comparison, kl: float) -> tuple[RewardCurve, ...]:
    """Gold and proxy as gains in standard deviations of the incumbent's scores, so that they compare."""
    curves = []
    for name, metric, judged in (
        ("gold", "gold_score", comparison.gold),
        ("proxy", "judge_score", comparison.judgments),
    ):
        gain = comparison.find(metric, versus="incumbent")
        if gain is None or judged is None or judged.incumbent_scores is None:
            continue
        spread = statistics.stdev(judged.incumbent_scores) if len(judged.incumbent_scores) > 1 else 0.0
        if spread > 0:
            bounds = {end: getattr(gain.estimate, end) / spread for end in ("value", "low", "high")}
            rewards = (Estimate(value=0.0), replace(gain.estimate, **bounds))
            curves.append(RewardCurve(name=f"{name}: {judged.judge}", kl=(0.0, kl), rewards=rewards))
    return tuple(curves)


def _safety(found: Found) -> tuple[SafetyDot, ...]:
    dots = []
    for name, slice_name in (("Incumbent", INCUMBENT), ("Candidate", "all")):
        harmful, safe = (
            found.get((metric, slice_name, "nothing")) for metric in ("harmful_refusal", "safe_refusal")
        )
        if harmful is not None and safe is not None:
            dots.append(SafetyDot(name=name, harmful_refusal=harmful.estimate, safe_refusal=safe.estimate))
    return tuple(dots)


def _bias(found: Found) -> tuple[BiasPanel, ...]:
    panels = []
    for metric, neutral in BIAS.items():
        rows = [
            BiasRow(
                label=_bias_label(slice_name),
                estimate=one.estimate,
                before=_before(found, metric, slice_name),
            )
            for (name, slice_name, versus), one in found.items()
            if name == metric and versus == "nothing" and INCUMBENT not in slice_name
        ]
        if rows:
            style = style_of(metric)
            panels.append(BiasPanel(name=label_of(metric), rows=tuple(rows), neutral=neutral, style=style))
    return tuple(panels)


def _before(found: Found, metric: str, slice_name: str) -> Estimate | None:
    name = INCUMBENT if slice_name == "all" else f"{slice_name},{INCUMBENT}"
    one = found.get((metric, name, "nothing"))
    return None if one is None else one.estimate


def _bias_label(slice_name: str) -> str:
    return "all" if slice_name == "all" else slice_name.partition("=")[2].replace("_", " ")
