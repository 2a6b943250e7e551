"""The main picture: every difference from the incumbent with its interval, margin, test and power."""

import math
from collections.abc import Sequence

from accord.evaluation.report.comparison.contents import ComparisonReport, Delta
from accord.evaluation.report.comparison.verdict_strip import GLYPHS, verdict_class
from accord.evaluation.report.contents import Mark
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import (
    estimate_digits,
    interval,
    number,
    p_value,
    styled,
    with_interval,
)
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import MIDDLE, Axis, interval_track

ROOM = 1.08


def forest(report: ComparisonReport) -> Markup | None:
    """Shares on one axis; below it what has units of its own, each on its own."""
    if not report.deltas:
        return None
    shares = [one for one in report.deltas if one.style == "percent"]
    others = [one for one in report.deltas if one.style != "percent"]
    body: list[Markup] = []
    if shares:
        axis = _axis(shares)
        body += [_row(one, axis) for one in shares]
        body.append(
            element("tr", element("td"), element("td", _ticks(axis)), [element("td")] * 3, class_="scale")
        )
    if others and shares:
        words = "In units of their own, each on its own axis"
        body.append(element("tr", element("th", words, colspan=5, scope="colgroup"), class_="group"))
    body += [_row(one, _axis([one])) for one in others]
    names = ("", "", "Difference", "p", "Could show")
    head = element("tr", [element("th", name, scope="col", class_="num" if name else None) for name in names])
    return section(
        "forest",
        "What changed",
        "Candidate minus incumbent on the same prompts, with 95% intervals. Shaded: the side of the margin "
        "on which a gate wants the whole interval. Last column: what so many prompts show with a "
        "power of 80%.",
        element(
            "div",
            element("table", element("thead", head), element("tbody", body), class_="tracks forest deltas"),
            class_="scroll",
            tabindex=0,
        ),
    )


def delta_words(one: Delta) -> str:
    """The difference as text: "+12.0% [8.1, 15.3]"."""
    sign = "+" if one.estimate.value > 0 else ""
    return sign + with_interval(one.estimate, one.style)


def _row(one: Delta, axis: Axis) -> Markup:
    levels = None
    if one.candidate is not None and one.incumbent is not None:
        levels = element("small", f"{_level(one, one.incumbent.value)} → {_level(one, one.candidate.value)}")
    sign = "+" if one.estimate.value > 0 else ""
    digits = 1 if one.style == "percent" else estimate_digits(one.estimate)
    glyph = None
    if one.verdict is not None:
        glyph = element(
            "span", GLYPHS[one.verdict], class_=f"glyph {verdict_class(one.verdict)}", title=one.verdict
        )
    test = element("small", one.test) if one.test else None
    return element(
        "tr",
        element("th", one.label, glyph, levels, scope="row"),
        element("td", _track(one, axis)),
        element(
            "td",
            sign + styled(one.estimate.value, one.style, digits=digits),
            element("small", interval(one.estimate, one.style)),
            class_="num",
        ),
        element("td", "" if one.p_value is None else p_value(one.p_value), test, class_="num wide"),
        element("td", "" if one.detectable is None else _detectable(one), class_="num wide"),
    )


def _track(one: Delta, axis: Axis) -> Markup:
    """The interval over the shaded right side of its margin; zero is a line through all rows."""
    ends = [end for end in (one.threshold, one.lower_end) if end is not None]
    marks = [Mark(value=end, label="margin") for end in ends]
    plain = interval_track(one.estimate, axis, marks=marks, tone=verdict_class(one.verdict))
    parts: list[Markup] = []
    if one.threshold is not None:
        place = float(axis.place(one.threshold).removesuffix("%"))
        start, width = (place, 100 - place) if one.is_floor else (0.0, place)
        if one.lower_end is not None:
            start = float(axis.place(one.lower_end).removesuffix("%"))
            width = place - start
        parts.append(
            element("rect", x=f"{start:.2f}%", y=3, width=f"{width:.2f}%", height=16, class_="allowed")
        )
    zero = axis.place(0.0)
    parts.append(element("line", x1=zero, x2=zero, y1=-6, y2=2 * MIDDLE + 6, class_="zero"))
    below = element("svg", parts, class_="track under", height=22, aria_hidden="true")
    return element("div", below, plain, class_="stacked")


def _axis(deltas: Sequence[Delta]) -> Axis:
    ends = [
        end
        for one in deltas
        for end in (
            one.estimate.value,
            one.estimate.low,
            one.estimate.high,
            one.threshold or 0.0,
            one.lower_end or 0.0,
        )
        if math.isfinite(end)
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = max((high - low) * (ROOM - 1), 1e-6)
    return Axis(low=low - room, high=high + room, style=deltas[0].style)


def _ticks(axis: Axis) -> Markup:
    return axis.ticks()


def _level(one: Delta, value: float) -> str:
    return styled(value, one.style).removesuffix(" nats")


def _detectable(one: Delta) -> str:
    return "±" + (
        number(100 * (one.detectable or 0.0), digits=1) + "%"
        if one.style == "percent"
        else number(one.detectable)
    )
