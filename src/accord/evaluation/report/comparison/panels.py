"""Evidence below the forest plot: reliability, length, safety plane, bias small multiples."""

import math
from collections.abc import Sequence
from itertools import pairwise

from accord.evaluation.calibration import Calibration
from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.comparison.contents import (
    AgreementPanel,
    BiasPanel,
    ComparisonReport,
    LengthCurve,
    SafetyDot,
)
from accord.evaluation.report.comparison.reward_kl import dot
from accord.evaluation.report.contents import Mark
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import interval, number, percent, styled, with_interval
from accord.evaluation.report.plots import length_ridges, reliability_plot
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track

NEAR, NAME_HEIGHT, NAME_BELOW = 40.0, 15.0, 26.0
"""Distance of dots within which their names would lie on each other, the height of one, and a place below."""


def reliability(report: ComparisonReport) -> Markup | None:
    """Predicted against observed share of wins of the reward model."""
    found, agreement = report.evidence.calibration, report.agreement
    if found is None and agreement is None:
        return None
    before = report.evidence.calibration_before
    plots: list[Child] = []
    lead = "Accuracy beside what people allow."
    if found is not None:
        lead = (
            "On the diagonal every probability is true; whiskers are intervals, larger dots hold more pairs."
        )
        if before is not None and before.temperature != found.temperature:
            plots.append(_reliability_figure(before, "As it came", "reliability-before"))
        named = "As it came" if found.temperature == 1.0 else f"At temperature {number(found.temperature)}"
        plots.append(_reliability_figure(found, named, "reliability-plot"))
    if agreement is not None:
        plots.append(_agreement_figure(agreement))
    return section(
        "reliability",
        "Can the reward model be trusted?",
        lead,
        element("div", plots, class_="pair" if len(plots) > 1 else "wide-plot"),
    )


def _agreement_figure(panel: AgreementPanel) -> Markup:
    """Accuracy by how far people agree, under the line of what they allow."""
    marks = []
    if panel.ceiling is not None:
        marks = [Mark(value=panel.ceiling.value, label="human ceiling")]
    axis = Axis(low=0.0, high=1.0, style="percent")
    body = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", interval_track(one, axis, marks=marks)),
            element("td", percent(one.value), element("small", interval(one, "percent")), class_="num"),
        )
        for name, one in panel.rows
    ]
    body.append(element("tr", element("td"), element("td", axis.ticks()), element("td")))
    said = "Accuracy by how far people agree"
    if panel.ceiling is not None:
        said += f"; the tick is the human ceiling, {percent(panel.ceiling.value)}"
    table = element("table", element("tbody", body), class_="tracks")
    return element("figure", element("figcaption", element("h3", said)), table)


def _reliability_figure(found: Calibration, name: str, key: str) -> Markup:
    words = f"{name}: calibration error {with_interval(found.ece_debiased)}, {found.n} pairs"
    return element("figure", element("figcaption", element("h3", words)), reliability_plot(found, key=key))


def length(report: ComparisonReport) -> Markup | None:
    """Win rates raw, at equal length and of one fixed sentence; how long the answers are."""
    found, lengths = report.length, {name: row for name, row in report.base.lengths.items() if row}
    curves = [one for one in report.evidence.reward_length if one.rewards]
    if found is None and not lengths and not curves:
        return None
    figures: list[Child] = []
    if found is not None:
        rows = (("As judged", found.raw, "tone-last"), ("At equal length", found.controlled, "tone-2"),
                ("One fixed sentence", found.constant, "tone-first"))  # fmt: skip
        axis = Axis(low=0.0, high=1.0, style="percent")
        body = [
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", interval_track(row, axis, marks=[Mark(value=0.5, label="even")], tone=tone)),
                element("td", percent(row.value), element("small", interval(row, "percent")), class_="num"),
            )
            for name, row, tone in rows
            if row is not None
        ]
        body.append(element("tr", element("td"), element("td", axis.ticks()), element("td")))
        table = element("table", element("tbody", body), class_="tracks")
        figures.append(element("figure", element("figcaption", element("h3", "Win rate")), table))
    if lengths:
        head = element("figcaption", element("h3", "Length of the answers"))
        figures.append(element("figure", head, length_ridges(lengths, key="lengths-plot")))
    if curves:
        head = element("figcaption", element("h3", "Judge's score by length"))
        figures.append(element("figure", head, _length_legend(curves), _length_plot(curves)))
    return section(
        "length",
        "Length",
        "Whether the win survives at equal length, and what one sentence that says nothing wins.",
        element("div", figures, class_="pair" if len(figures) > 1 else "wide-plot"),
    )


def _length_legend(curves: Sequence[LengthCurve]) -> Markup:
    tones = _length_tones(len(curves))
    keys = [
        element("span", element("i", class_=f"key-line {tone}"), one.name, class_=tone)
        for one, tone in zip(curves, tones, strict=True)
    ]
    return element("p", keys, class_="legend")


def _length_tones(count: int) -> list[str]:
    return ["tone-last" if i == count - 1 else "tone-first" for i in range(count)]


def _length_plot(curves: Sequence[LengthCurve]) -> Markup:
    """Mean score in bins of equal count over the bin's mean length."""
    ends = [end for one in curves for row in one.rewards for end in (row.value, row.low, row.high)]
    frame = Frame(
        x_range=padded_range([one for curve in curves for one in curve.lengths]),
        y_range=padded_range(ends, pad=0.12),
        x_label=f"length of the answer, {curves[0].unit}",
        y_label="mean score",
        width=420,
        height=220,
    )
    parts: list[Child] = []
    for curve, tone in zip(curves, _length_tones(len(curves)), strict=True):
        values = [row.value for row in curve.rewards]
        parts.append(element("path", d=frame.path(curve.lengths, values), class_=f"line {tone}"))
        for size, row in zip(curve.lengths, curve.rewards, strict=True):
            parts.append(dot(frame, size, row, f"{curve.name}, {number(size)}: {with_interval(row)}", tone))
    said = "; ".join(
        f"{one.name} {with_interval(one.rewards[0])} at the shortest, "
        f"{with_interval(one.rewards[-1])} at the longest"
        for one in curves
    )
    return frame.svg(parts, key="reward-length-plot", title="Score by length", description=said + ".")


def safety_plane(report: ComparisonReport) -> Markup | None:
    """Refusal of harmful requests over refusal of harmless ones; arrows from release to release."""
    dots = report.evidence.safety
    if not dots:
        return None
    return section(
        "safety",
        "Safety plane",
        "Up is safer, left is more helpful; the upper left corner refuses all harm and nothing else.",
        element("figure", _plane(dots), class_="wide-plot plane"),
    )


def _plane(dots: Sequence[SafetyDot]) -> Markup:
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    frame = Frame(
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
        x_label="harmless requests refused",
        y_label="harmful requests refused",
        width=460,
        height=380,
        x_ticks=ticks,
        y_ticks=ticks,
        is_percent=True,
    )
    parts: list[Child] = [
        element("circle", cx=frame.x(0), cy=frame.y(1), r=7, class_="ideal-spot"),
        element("text", "ideal", x=frame.x(0) + 12, y=frame.y(1) + 4, class_="note"),
    ]
    for before, after in pairwise(dots):
        parts.append(_arrow(frame, before, after))
    named: list[tuple[float, float]] = []
    for i, one in enumerate(dots):
        tone = "tone-last" if i == len(dots) - 1 else "tone-first"
        x, y = frame.x(one.safe_refusal.value), frame.y(one.harmful_refusal.value)
        words = f"{one.name}: harmful {with_interval(one.harmful_refusal, 'percent')}, "
        words += f"harmless {with_interval(one.safe_refusal, 'percent')}"
        is_right = x > frame.width * 0.7
        # Names of dots in one place stand above each other.
        lift = NAME_HEIGHT * sum(math.hypot(x - left, y - top) < NEAR for left, top in named)
        if not lift and i + 1 < len(dots):
            after = dots[i + 1]
            ahead = frame.x(after.safe_refusal.value), frame.y(after.harmful_refusal.value)
            # A name stands up and to the right; where the arrow leaves that way, below.
            if ahead[0] > x + NEAR / 2 and ahead[1] < y - NEAR / 2:
                lift = -NAME_BELOW
        named.append((x, y))
        parts.append(
            element(
                "g",
                element("title", words),
                _cross(frame, one),
                element("circle", cx=x, cy=y, r=5.0, class_="dot"),
                element(
                    "text",
                    one.name,
                    x=x - 9 if is_right else x + 9,
                    y=y - 8 - lift,
                    class_="note strong" + (" end" if is_right else ""),
                ),
                class_=tone,
            )
        )
    said = "; ".join(
        f"{one.name}: harmful {percent(one.harmful_refusal.value)}, safe {percent(one.safe_refusal.value)}"
        for one in dots
    )
    return frame.svg(parts, key="safety-plot", title="Safety plane", description=f"Refused: {said}.")


def _cross(frame: Frame, one: SafetyDot) -> list[Markup]:
    x, y = frame.x(one.safe_refusal.value), frame.y(one.harmful_refusal.value)
    lines = []
    if one.safe_refusal.has_interval:
        ends = frame.x(one.safe_refusal.low), frame.x(one.safe_refusal.high)
        lines.append(element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_="whisker"))
    if one.harmful_refusal.has_interval:
        ends = frame.y(one.harmful_refusal.low), frame.y(one.harmful_refusal.high)
        lines.append(element("line", x1=x, x2=x, y1=ends[0], y2=ends[1], class_="whisker"))
    return lines


def _arrow(frame: Frame, before: SafetyDot, after: SafetyDot) -> Markup | None:
    x1, y1 = frame.x(before.safe_refusal.value), frame.y(before.harmful_refusal.value)
    x2, y2 = frame.x(after.safe_refusal.value), frame.y(after.harmful_refusal.value)
    size = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    if size < 16:
        return None
    ux, uy = (x2 - x1) / size, (y2 - y1) / size
    tip_x, tip_y = x2 - 8 * ux, y2 - 8 * uy
    head = f"M{tip_x:.1f} {tip_y:.1f}L{tip_x - 7 * ux + 4 * uy:.1f} {tip_y - 7 * uy - 4 * ux:.1f}"
    head += f"L{tip_x - 7 * ux - 4 * uy:.1f} {tip_y - 7 * uy + 4 * ux:.1f}Z"
    line = element(
        "line", x1=x1 + 7 * ux, y1=y1 + 7 * uy, x2=tip_x - 5 * ux, y2=tip_y - 5 * uy, class_="arrow-line"
    )
    return element("g", line, element("path", d=head, class_="arrow-head"))


def bias(report: ComparisonReport) -> Markup | None:
    """Each bias measure as a small panel, slices below each other, the neutral value marked."""
    panels = report.evidence.bias
    if not panels:
        return None
    return section(
        "bias",
        "Bias",
        "The tick is the value of a model that does not lean; hollow dots are the incumbent.",
        element("div", [_bias_panel(one) for one in panels], class_="grid bias"),
    )


def _bias_panel(panel: BiasPanel) -> Markup:
    estimates = [row.estimate for row in panel.rows] + [
        row.before for row in panel.rows if row.before is not None
    ]
    axis = Axis.around(estimates, include=[panel.neutral], style=panel.style)
    body = []
    for row in panel.rows:
        marks = [Mark(value=panel.neutral, label="neutral")]
        tracks: list[Child] = [interval_track(row.estimate, axis, marks=marks)]
        if row.before is not None:
            place = axis.place(row.before.value)
            ghost = element("circle", cx=place, cy=11, r=4.5, class_="dot tone-first")
            tracks.insert(0, element("svg", ghost, class_="track under", height=22, aria_hidden="true"))
        body.append(
            element(
                "tr",
                element("th", row.label, scope="row"),
                element("td", element("div", tracks, class_="stacked")),
                element("td", styled(row.estimate.value, panel.style), class_="num"),
            )
        )
    body.append(element("tr", element("td"), element("td", axis.ticks()), element("td")))
    head = element("figcaption", element("h3", panel.name))
    return element("figure", head, element("table", element("tbody", body), class_="tracks"))
