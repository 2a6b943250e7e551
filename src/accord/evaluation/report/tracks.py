"""Interval bars that stretch with their column: a dot, its interval and reference marks on one line.

Coordinates are percentages, so nothing has to be scaled and text stays text. Used in
cards, tables and forest plots. Leaves out axes (`axes.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.axes import nice_ticks, padded_range, tick_text
from accord.evaluation.report.contents import Mark, Style
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import number, styled

MIDDLE = 11
"""Vertical center of a track of 22 units."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The range that a column of tracks shares."""

    low: float
    high: float
    style: Style = "number"

    @classmethod
    def around(
        cls, estimates: Sequence[Estimate], *, include: Sequence[float] = (), style: Style = "number"
    ) -> "Axis":
        """An axis that holds every value, bound and reference; shares stay within 0 and 1."""
        ends = [end for row in estimates for end in (row.value, row.low, row.high)]
        low, high = padded_range(ends, include=include)
        if style == "percent":
            low, high = max(0.0, low), min(1.0, high)
        return cls(low=low, high=high, style=style)

    def place(self, value: float) -> str:
        """Where a value lies, as a percentage of the width, kept inside."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"

    def ticks(self) -> Markup:
        """The labels of the shared axis, as a row of their own."""
        ticks = nice_ticks(self.low, self.high, count=4)
        labels = [
            element(
                "text",
                number(100 * tick, digits=0) + "%" if self.style == "percent" else tick_text(tick, ticks),
                x=self.place(tick),
                y=12,
                class_="tick middle",
            )
            for tick in ticks
        ]
        return element("svg", labels, class_="track", height=16, aria_hidden="true")


def interval_track(
    estimate: Estimate, axis: Axis, *, marks: Sequence[Mark] = (), tone: str = "tone-last"
) -> Markup:
    """A dot with its whiskers on a base line; each mark is a tick with a tooltip."""
    parts = [element("line", x1="0%", x2="100%", y1=MIDDLE, y2=MIDDLE, class_="base")]
    for mark in marks:
        place = axis.place(mark.value)
        title = element("title", f"{mark.label}: {styled(mark.value, axis.style)}")
        parts.append(element("line", title, x1=place, x2=place, y1=3, y2=19, class_="mark"))
    if math.isfinite(estimate.value):
        if estimate.has_interval:
            low, high = axis.place(estimate.low), axis.place(estimate.high)
            parts.append(element("line", x1=low, x2=high, y1=MIDDLE, y2=MIDDLE, class_="whisker"))
        parts.append(element("circle", cx=axis.place(estimate.value), cy=MIDDLE, r=4.5, class_="dot"))
    return element("svg", parts, class_=f"track {tone}", height=22, aria_hidden="true")


def dots_track(values: Sequence[tuple[str, float]], axis: Axis) -> Markup:
    """Several dots on one line, joined from lowest to highest; each pair is a tone class and a value."""
    finite = [(tone, value) for tone, value in values if math.isfinite(value)]
    parts = [element("line", x1="0%", x2="100%", y1=MIDDLE, y2=MIDDLE, class_="base")]
    if finite:
        ends = [axis.place(pick(value for _, value in finite)) for pick in (min, max)]
        parts.append(element("line", x1=ends[0], x2=ends[1], y1=MIDDLE, y2=MIDDLE, class_="span"))
    parts += [
        element("circle", cx=axis.place(value), cy=MIDDLE, r=5, class_=f"dot {tone}")
        for tone, value in finite
    ]
    return element("svg", parts, class_="track", height=22, aria_hidden="true")


def outcome_bar(wins: int, ties: int, losses: int) -> Markup:
    """Wins, ties and losses as one stacked bar."""
    total = max(1, wins + ties + losses)
    parts, start = [], 0.0
    for count, name in ((wins, "win"), (ties, "tie"), (losses, "loss")):
        width = 100.0 * count / total
        title = element("title", f"{count} {name}")
        parts.append(
            element("rect", title, x=f"{start:.2f}%", width=f"{width:.2f}%", y=6, height=10, class_=name)
        )
        start += width
    return element("svg", parts, class_="track outcome", height=22, aria_hidden="true")
