"""A plotting frame: data to picture coordinates, readable ticks, axis labels, direct labels.

One frame is one SVG of fixed coordinates that scales with its column. Leaves out what is
drawn inside (`plots.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import number

Scale = Literal["linear", "sqrt"]

TICK_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
FONT_WIDTH = 6.4
"""Width of a character of the 12-unit tick font, near enough to reserve room for labels."""


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """At most about `count` round numbers from `low` to `high`; one number when they are equal."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in TICK_STEPS if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick label with just the decimals that tell the ticks apart."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    scaled = step * 10**digits
    return number(value, digits=min(6, digits if abs(scaled - round(scaled)) < 1e-6 else digits + 1))


def padded_range(
    values: Sequence[float], *, pad: float = 0.06, include: Sequence[float] = ()
) -> tuple[float, float]:
    """Smallest and largest finite value with a margin; a single value gets a range around it."""
    finite = [value for value in (*values, *include) if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * pad or abs(high) * 0.1 or 0.5
    return low - room, high + room


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The inner rectangle of a plot and the data ranges it shows."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    width: float = 420.0
    height: float = 280.0
    left: float = 46.0
    right: float = 14.0
    top: float = 26.0
    bottom: float = 42.0
    x_scale: Scale = "linear"
    x_ticks: tuple[float, ...] = ()
    """Fixed ticks; chosen when empty."""
    y_ticks: tuple[float, ...] = ()
    has_rows: bool = True
    """False leaves out horizontal grid lines and their labels."""
    has_columns: bool = True
    """False leaves out ticks and labels of the horizontal axis."""
    is_percent: bool = False
    """True labels both axes as percentages."""

    def x(self, value: float) -> float:
        """Horizontal picture coordinate of a data value."""
        low, high = (self._scaled(bound) for bound in self.x_range)
        return self.left + (self._scaled(value) - low) / (high - low) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Vertical picture coordinate of a data value; up is more."""
        low, high = self.y_range
        share = (value - low) / (high - low)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        """A line through the points in the given order; a value that is not finite breaks it."""
        words, is_drawing = [], False
        for first, second in zip(xs, ys, strict=True):
            if not (math.isfinite(first) and math.isfinite(second)):
                is_drawing = False
                continue
            words.append(f"{'L' if is_drawing else 'M'}{self.x(first):.1f} {self.y(second):.1f}")
            is_drawing = True
        return "".join(words)

    def svg(self, *children: Child, key: str, title: str, description: str) -> Markup:
        """The whole picture. `key` makes its ids unique on the page; the words are for screen readers."""
        return element(
            "svg",
            element("title", title, id=f"{key}-title"),
            element("desc", description, id=f"{key}-desc"),
            self._grid(),
            children,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_labelledby=f"{key}-title {key}-desc",
            class_="plot",
        )

    def _scaled(self, value: float) -> float:
        return math.sqrt(max(value, 0.0)) if self.x_scale == "sqrt" else value

    def _grid(self) -> Markup:
        base, end = self.height - self.bottom, self.width - self.right
        return element(
            "g",
            self._rows(end) if self.has_rows else None,
            element("line", x1=self.left, x2=end, y1=base, y2=base, class_="axis"),
            self._columns(base),
            element("text", self.x_label, x=end, y=self.height - 6, class_="label end"),
            element("text", self.y_label, x=2, y=12, class_="label"),
            aria_hidden="true",
        )

    def _rows(self, end: float) -> list[Child]:
        """Horizontal grid lines with their labels."""
        ticks = list(self.y_ticks) or nice_ticks(*self.y_range, count=5)
        lines: list[Child] = []
        for tick in ticks:
            level = self.y(tick)
            lines.append(element("line", x1=self.left, x2=end, y1=level, y2=level, class_="grid"))
            lines.append(
                element("text", self._tick(tick, ticks), x=self.left - 8, y=level + 4, class_="tick end")
            )
        return lines

    def _columns(self, base: float) -> list[Child]:
        """Ticks on the horizontal axis with their labels."""
        if not self.has_columns:
            return []
        ticks = list(self.x_ticks) or self._default_x_ticks()
        is_ladder = self.x_scale == "sqrt"
        marks: list[Child] = []
        for tick in ticks:
            spot, text = self.x(tick), self._tick(tick, ticks, is_ladder=is_ladder)
            marks.append(element("line", x1=spot, x2=spot, y1=base, y2=base + 4, class_="axis"))
            marks.append(element("text", text, x=spot, y=base + 18, class_="tick middle"))
        return marks

    def _tick(self, value: float, ticks: Sequence[float], *, is_ladder: bool = False) -> str:
        if self.is_percent:
            return number(100 * value, digits=0) + "%"
        return f"{value:g}" if is_ladder else tick_text(value, ticks)

    def _default_x_ticks(self) -> list[float]:
        if self.x_scale == "linear":
            return nice_ticks(*self.x_range, count=6)
        low, high = self.x_range
        ladder = [factor * 10.0**power for power in range(-3, 5) for factor in (1, 2, 5)]
        kept = [0.0] if low <= 0 else []
        for tick in sorted(ladder, reverse=True):
            is_inside = low <= tick <= high
            is_free = all(abs(self.x(tick) - self.x(other)) > 34 for other in kept)
            if is_inside and is_free:
                kept.append(tick)
        return sorted(kept)
