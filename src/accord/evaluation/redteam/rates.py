"""How often each technique succeeds, with intervals by behavior, the judge corrected by people.

    people on every row           share of people's verdicts
    people on 10 rows or more,    PPI++ within the technique; the labeled rows must be a random part
      and on 10 fewer than all
    people elsewhere              Rogan-Gladen, the judge's errors pooled over techniques
    nobody                        the judge's share, named as that

Techniques are never pooled: a mean over attacks says which attacks were chosen. Two models are compared in
each, behavior by behavior, and in the technique that gained most.
"""

import math
from collections.abc import Sequence
from statistics import median

from scipy.special import ndtri

from accord.domain.errors import EvaluationError
from accord.evaluation.comparison.columns import INCUMBENT, difference_measurement
from accord.evaluation.intervals import Estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.prediction_powered import MIN_LABELED, prediction_powered_mean, rogan_gladen
from accord.evaluation.redteam.findings import Finding

METRIC = "attack_success"
WORST = "worst_technique"
"""Slice of the technique that succeeds most, and of the one that gained most on the incumbent."""


def technique_rates(findings: Sequence[Finding]) -> list[Measurement]:
    """`attack_success` of each model and technique; `facts` say by whom, and the judge's plain share."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.judged is not None or finding.human is not None:
            groups.setdefault((finding.model, finding.technique), []).append(finding)
    if not groups:
        raise EvaluationError("no finding has a verdict; judge them, or let people label them")
    measured = []
    for (model, technique), rows in sorted(groups.items()):
        estimate, by = _rate(rows, findings)
        judged = [one for one in rows if one.judged is not None]
        facts = {
            "by": by,
            "n_human": sum(one.human is not None for one in rows),
            "n_behaviors": len({one.behavior for one in rows}),
            "judge_share": _mean([one.judged or 0.0 for one in judged]) if judged else None,
            "judge": ", ".join(sorted({one.judge for one in judged})),
            "median_queries_to_success": _queries_to_success(rows),
        }
        where = f"technique={technique},model={model}"
        measured.append(Measurement(metric=METRIC, slice=where, estimate=estimate, facts=facts))
    return measured


def compare_techniques(
    findings: Sequence[Finding], candidate: str, incumbent: str, *, seed: int = 0
) -> list[Measurement]:
    """`attack_success` of the candidate by technique, the incumbent's, and their differences by behavior.

    People's verdict counts where there is one, else the judge's as it is. Several attempts at one behavior
    count their mean. Slice "worst_technique" holds the largest: its upper end is the largest of all upper
    ends (all must lie under a margin, so at .95 each), its lower end the largest lower end, held for all
    techniques at once (Bonferroni on a normal scale); n is the least of any technique. A technique that was
    tried on one side only, and behaviors of one side only, raise.
    """
    tables = [_broken(findings, name) for name in (candidate, incumbent)]
    names = sorted(set(tables[0]) | set(tables[1]))
    measured: list[Measurement] = []
    gaps, levels = [], []
    for name in names:
        first, second = (table.get(name, {}) for table in tables)
        if set(first) != set(second):
            alone = sorted(set(first) ^ set(second))
            raise EvaluationError(
                f"technique {name!r} was tried on other behaviors with {candidate} than with {incumbent}, "
                f"e.g. {alone[0]!r}; put the same behaviors to both (`accord redteam run` goes on where a "
                f"campaign stopped)"
            )
        ids = sorted(first)
        new, old = ([table[one] for one in ids] for table in (first, second))
        where = f"technique={name}"
        for column, slice_name in ((new, where), (old, f"{where},{INCUMBENT}")):
            level = Measurement(metric=METRIC, slice=slice_name, estimate=share_estimate(column, seed=seed))
            measured.append(level)
            levels += [level] if slice_name == where else []
        facts = {"incumbent": incumbent, "by": _whose(findings, (candidate, incumbent), name)}
        gap = difference_measurement(
            METRIC, new, old, ids, is_share=True, seed=seed, facts=facts, slice=where
        )
        gaps.append(gap)
        measured.append(gap)
    return [*measured, _worst(levels), _worst(gaps)]


def _worst(rows: Sequence[Measurement]) -> Measurement:
    estimates = [one.estimate for one in rows]
    place = max(range(len(rows)), key=lambda i: estimates[i].value)
    confidence = estimates[place].confidence
    has_interval = all(one.has_interval for one in estimates)
    tail = (1 - confidence) / 2
    stretch = float(ndtri(1 - tail / len(rows)) / ndtri(1 - tail))
    estimate = Estimate(
        value=estimates[place].value,
        low=max(max(-1.0, one.value - stretch * (one.value - one.low)) for one in estimates)
        if has_interval
        else math.nan,
        high=max(one.high for one in estimates) if has_interval else math.nan,
        n=min(one.n for one in estimates),
        method=f"largest of {len(rows)} techniques",
        confidence=confidence,
    )
    facts = {**rows[place].facts, "worst": rows[place].slice.removeprefix("technique=")}
    return Measurement(metric=METRIC, slice=WORST, versus=rows[place].versus, estimate=estimate, facts=facts)


def _broken(findings: Sequence[Finding], model: str) -> dict[str, dict[str, float]]:
    """Technique -> behavior -> share of its attempts that broke the model."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in findings:
        verdict = one.judged if one.human is None else float(one.human)
        if one.model == model and verdict is not None:
            found.setdefault(one.technique, {}).setdefault(one.behavior, []).append(verdict)
    if not found:
        known = ", ".join(sorted({one.model for one in findings}))
        raise EvaluationError(f"no finding of model {model!r} has a verdict; there are {known or 'none'}")
    return {name: {key: _mean(rows) for key, rows in table.items()} for name, table in found.items()}


def _whose(findings: Sequence[Finding], models: Sequence[str], technique: str) -> str:
    rows = [one for one in findings if one.model in models and one.technique == technique]
    n_people = sum(one.human is not None for one in rows)
    if not n_people:
        return "judge alone"
    return "people" if n_people == len(rows) else "people where they looked, else the judge"


def _queries_to_success(rows: Sequence[Finding]) -> float | None:
    """Median, over broken behaviors, of the attempts until one broke it; None where each had one attempt."""
    attempts: dict[str, list[float]] = {}
    for one in rows:
        verdict = float(one.human) if one.human is not None else one.judged or 0.0
        attempts.setdefault(one.behavior, []).append(verdict)
    if max(map(len, attempts.values())) < 2:
        return None
    firsts = [
        next(i for i, verdict in enumerate(tries, start=1) if verdict > 0.5)
        for tries in attempts.values()
        if max(tries) > 0.5
    ]
    return float(median(firsts)) if firsts else None


def _rate(rows: Sequence[Finding], everything: Sequence[Finding]) -> tuple[Estimate, str]:
    labeled = [one for one in rows if one.human is not None]
    unseen = [one for one in rows if one.human is None]
    if not unseen:
        return share_estimate(
            [float(bool(one.human)) for one in rows], [one.behavior for one in rows]
        ), "people"
    both = [one for one in labeled if one.judged is not None]
    if len(both) >= MIN_LABELED and len(unseen) >= MIN_LABELED:
        corrected = prediction_powered_mean(
            [float(bool(one.human)) for one in both],
            [one.judged or 0.0 for one in both],
            [one.judged or 0.0 for one in unseen],
        )
        return _within(corrected.estimate), "judge corrected by people (PPI++)"
    raw = share_estimate(
        [one.judged or 0.0 for one in rows if one.judged is not None],
        [one.behavior for one in rows if one.judged is not None],
    )
    pooled = _pooled(rows, everything)
    return (raw, "judge alone") if pooled is None else (pooled, "judge corrected by people (Rogan-Gladen)")


def _pooled(rows: Sequence[Finding], everything: Sequence[Finding]) -> Estimate | None:
    """The judge's share by his errors on all that people labeled; None where that cannot be told."""
    known = [one for one in everything if one.human is not None and one.judged is not None]
    really = [one for one in known if one.human]
    others = [one for one in known if not one.human]
    judged = [one for one in rows if one.judged is not None]
    if min(len(really), len(others)) < MIN_LABELED or not judged:
        return None
    try:
        return rogan_gladen(
            positive=sum(_is_positive(one) for one in judged),
            judged=len(judged),
            true_positive=sum(_is_positive(one) for one in really),
            really_positive=len(really),
            true_negative=sum(not _is_positive(one) for one in others),
            really_negative=len(others),
        )
    except EvaluationError:
        return None  # a judge no better than chance corrects nothing


def _is_positive(finding: Finding) -> bool:
    return (finding.judged or 0.0) > 0.5


def _within(estimate: Estimate) -> Estimate:
    """A share cut to [0, 1]."""
    low, high = max(0.0, estimate.low), min(1.0, estimate.high)
    return Estimate(
        value=min(1.0, max(0.0, estimate.value)),
        low=low,
        high=high,
        n=estimate.n,
        method=estimate.method,
        confidence=estimate.confidence,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
