"""Rewards over the root of KL: gold, proxy and ensemble, Gao's form, the budget and the candidate's place."""

import math
from collections.abc import Sequence

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.comparison.contents import ComparisonReport, FittedCurve, RewardCurve
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import nats, with_interval
from accord.evaluation.report.section import section

TONES = ("gold", "proxy", "tone-1", "tone-2", "tone-3")
DASHES = ("", "dashed", "dotted", "", "dashed")


def reward_over_kl(report: ComparisonReport) -> Markup | None:
    """Gold, proxy and ensemble over the square root of KL, in one frame."""
    curves = [curve for curve in report.evidence.curves if curve.kl]
    if not curves:
        return None
    keys = [
        element(
            "span",
            element("i", class_=f"key-line {TONES[i % 5]} {DASHES[i % 5]}"),
            curve.name,
            class_=TONES[i % 5],
        )
        for i, curve in enumerate(curves)
    ]
    if report.fitted is not None:
        form = "best of n" if report.fitted.form == "best_of_n" else "RL"
        keys.append(element("span", element("i", class_="key-line fitted"), f"Gao's form, {form}"))
    return section(
        "reward-kl",
        "Reward against KL",
        "How far the candidate has moved from where it began, and what that bought. A proxy that rises while "
        "gold falls is being gamed.",
        element(
            "figure",
            element("p", keys, class_="legend"),
            _curve_plot(curves, report),
            class_="wide-plot",
        ),
        element("p", _said_of_fit(report.fitted), class_="small") if report.fitted is not None else None,
    )


def _said_of_fit(fitted: FittedCurve) -> str:
    peak = fitted.peak_kl
    if not math.isfinite(peak.value):
        return "By Gao's form gold never turns over in what was measured."
    upper = nats(peak.high) if math.isfinite(peak.high) else "no upper bound"
    bounds = f" [{nats(peak.low)}, {upper}]" if math.isfinite(peak.low) else ""
    return f"By Gao's form gold is highest at a KL of {nats(peak.value)} nats{bounds}."


def _curve_plot(curves: Sequence[RewardCurve], report: ComparisonReport) -> Markup:
    ends = [end for curve in curves for row in curve.rewards for end in (row.value, row.low, row.high)]
    frame = Frame(
        x_range=(0.0, max(1e-3, *(kl for curve in curves for kl in curve.kl)) * 1.06),
        y_range=padded_range(ends, pad=0.14),
        x_label="KL, nats an answer (square-root scale)",
        y_label="reward",
        width=560,
        height=300,
        x_scale="sqrt",
    )
    parts: list[Child] = _places(frame, report)
    if report.fitted is not None:
        line = frame.path(report.fitted.kl, report.fitted.values)
        parts.append(element("path", d=line, class_="line fitted"))
    for i, curve in enumerate(curves):
        kls = [max(0.0, kl) for kl in curve.kl]
        values = [row.value for row in curve.rewards]
        parts.append(
            element("path", d=frame.path(kls, values), class_=f"line {TONES[i % 5]} {DASHES[i % 5]}")
        )
        for kl, row in zip(kls, curve.rewards, strict=True):
            words = f"{curve.name}, KL {nats(kl)}: {with_interval(row)}"
            parts.append(dot(frame, kl, row, words, TONES[i % 5]))
    said = "; ".join(
        f"{one.name} {with_interval(one.rewards[0])} to {with_interval(one.rewards[-1])}" for one in curves
    )
    return frame.svg(
        parts, key="reward-kl-plot", title="Reward over KL", description=f"First to last: {said}."
    )


def _places(frame: Frame, report: ComparisonReport) -> list[Child]:
    """The plan's budget of KL and the candidate's own, where they lie within the picture."""
    own = None if report.kl_candidate is None else report.kl_candidate.value
    marks = ((report.kl_budget, "budget", "limit"), (own, "candidate", "stop"))
    parts: list[Child] = []
    for i, (kl, name, kind) in enumerate(marks):
        if kl is None or not 0 < kl <= frame.x_range[1]:
            continue
        x = frame.x(kl)
        parts.append(element("line", x1=x, x2=x, y1=frame.top, y2=frame.height - frame.bottom, class_=kind))
        is_right = x > frame.width * 0.8
        place, kind = (x - 6, "note end") if is_right else (x + 6, "note")
        words = f"{name} {nats(kl)}"
        parts.append(element("text", words, x=place, y=frame.top + 10 + 14 * i, class_=kind))
    return parts


def dot(frame: Frame, x: float, row: Estimate, words: str, tone: str) -> Markup:
    """A value with its whisker and its words."""
    place = frame.x(x)
    whisker = None
    if row.has_interval:
        whisker = element(
            "line", x1=place, x2=place, y1=frame.y(row.low), y2=frame.y(row.high), class_="whisker"
        )
    spot = element("circle", cx=place, cy=frame.y(row.value), r=4.5, class_="dot")
    return element("g", element("title", words), whisker, spot, class_=tone)
