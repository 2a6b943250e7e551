"""Evidence below the forest plot: reward over KL, reliability, length, safety plane, bias small multiples."""

import math
from collections.abc import Sequence
from itertools import pairwise

from accord.evaluation.calibration import Calibration
from accord.evaluation.intervals import Estimate
from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.comparison.contents import BiasPanel, ComparisonReport, RewardCurve, SafetyDot
from accord.evaluation.report.contents import Mark
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import interval, nats, number, percent, styled, with_interval
from accord.evaluation.report.plots import length_ridges, reliability_plot
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track

TONES = ("gold", "proxy", "tone-1", "tone-2", "tone-3")
NEAR, NAME_HEIGHT = 40.0, 15.0
"""Distance of dots within which their names would lie on each other, and the height of one name."""
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
    return section(
        "reward-kl",
        "Reward against KL",
        "How far the candidate has moved from where it began, and what that bought. A proxy that rises while "
        "gold falls is being gamed.",
        element(
            "figure",
            element("p", keys, class_="legend"),
            _curve_plot(curves),
            class_="wide-plot",
        ),
    )


def _curve_plot(curves: Sequence[RewardCurve]) -> Markup:
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
    parts: list[Child] = []
    for i, curve in enumerate(curves):
        kls = [max(0.0, kl) for kl in curve.kl]
        values = [row.value for row in curve.rewards]
        parts.append(
            element("path", d=frame.path(kls, values), class_=f"line {TONES[i % 5]} {DASHES[i % 5]}")
        )
        for kl, row in zip(kls, curve.rewards, strict=True):
            words = f"{curve.name}, KL {nats(kl)}: {with_interval(row)}"
            parts.append(_dot(frame, kl, row, words, TONES[i % 5]))
    said = "; ".join(
        f"{one.name} {with_interval(one.rewards[0])} to {with_interval(one.rewards[-1])}" for one in curves
    )
    return frame.svg(
        parts, key="reward-kl-plot", title="Reward over KL", description=f"First to last: {said}."
    )


def _dot(frame: Frame, x: float, row: Estimate, words: str, tone: str) -> Markup:
    place = frame.x(x)
    whisker = None
    if row.has_interval:
        whisker = element(
            "line", x1=place, x2=place, y1=frame.y(row.low), y2=frame.y(row.high), class_="whisker"
        )
    dot = element("circle", cx=place, cy=frame.y(row.value), r=4.5, class_="dot")
    return element("g", element("title", words), whisker, dot, class_=tone)


def reliability(report: ComparisonReport) -> Markup | None:
    """Predicted against observed share of wins of the reward model."""
    found = report.evidence.calibration
    if found is None:
        return None
    before = report.evidence.calibration_before
    plots: list[Child] = []
    if before is not None and before.temperature != found.temperature:
        plots.append(_reliability_figure(before, "As it came", "reliability-before"))
    named = "As it came" if found.temperature == 1.0 else f"At temperature {number(found.temperature)}"
    plots.append(_reliability_figure(found, named, "reliability-plot"))
    return section(
        "reliability",
        "Can the reward model's probabilities be trusted?",
        "On the diagonal every probability is true; whiskers are intervals, larger dots hold more pairs.",
        element("div", plots, class_="pair" if len(plots) == 2 else "wide-plot"),
    )


def _reliability_figure(found: Calibration, name: str, key: str) -> Markup:
    words = f"{name}: calibration error {with_interval(found.ece_debiased)}, {found.n} pairs"
    return element("figure", element("figcaption", element("h3", words)), reliability_plot(found, key=key))


def length(report: ComparisonReport) -> Markup | None:
    """Win rates raw, at equal length and of one fixed sentence; how long the answers are."""
    found, lengths = report.length, {name: row for name, row in report.base.lengths.items() if row}
    if found is None and not lengths:
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
    return section(
        "length",
        "Length",
        "Whether the win survives at equal length, and what one sentence that says nothing wins.",
        element("div", figures, class_="pair" if len(figures) == 2 else "wide-plot"),
    )


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
