"""Small charts as SVG made on the server: no script, no library, colors by class so that themes hold.

Each has a title and a text that says in words what is drawn, for those who do not see it.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 150
LEFT, BOTTOM = 36, 22
WIDEST = 48


def bar_chart(title: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """One bar for each label; nothing for no bars."""
    if not bars:
        return Markup("")
    top = max(value for _, value in bars) or 1.0
    step = min((WIDTH - LEFT) / len(bars), WIDEST)
    drawn = [_axis(top)]
    for number, (label, value) in enumerate(bars):
        height = value / top * (HEIGHT - BOTTOM - 10)
        x = LEFT + number * step + step * 0.12
        y = HEIGHT - BOTTOM - height
        drawn.append(
            f'<rect class="plot-bar" x="{x:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{height:.1f}" '
            f'rx="2"><title>{escape(label)}: {value:g}</title></rect>'
        )
        if number in (0, len(bars) - 1):
            anchor = "start" if number == 0 else "end"
            place = LEFT if number == 0 else LEFT + len(bars) * step
            drawn.append(
                f'<text x="{place:.0f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{escape(label)}</text>'
            )
    said = f"{title}: {len(bars)} bars, from {bars[0][0]} to {bars[-1][0]}, the highest {top:g}"
    return _svg(said, WIDTH, HEIGHT, drawn)


def share_line(title: str, share: float, low: float, high: float, *, neutral: float = 0.5) -> Markup:
    """A share on the line from 0 to 1 with its interval, and a mark where no bias would be."""
    width, height = 220, 26

    def at(value: float) -> float:
        return 6 + value * (width - 12)

    drawn = [
        f'<line class="plot-axis" x1="6" x2="{width - 6}" y1="13" y2="13"/>',
        f'<line class="plot-limit" x1="{at(neutral):.1f}" x2="{at(neutral):.1f}" y1="3" y2="23"/>',
        f'<line class="plot-span" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="13" y2="13"/>',
        f'<circle class="plot-mark" cx="{at(share):.1f}" cy="13" r="4.5"/>',
    ]
    return _svg(f"{title}: {share:.2f}, between {low:.2f} and {high:.2f}", width, height, drawn)


def drift_line(title: str, values: Sequence[float], limit: float) -> Markup:
    """A running sum with the limit at which it alarms; nothing for fewer than two values."""
    if len(values) < 2:
        return Markup("")
    width, height = 180, 36
    top = max(limit * 1.15, *values)
    points = " ".join(
        f"{4 + number / (len(values) - 1) * (width - 8):.1f},{height - 4 - value / top * (height - 8):.1f}"
        for number, value in enumerate(values)
    )
    y = height - 4 - limit / top * (height - 8)
    drawn = [
        f'<line class="plot-limit" x1="4" x2="{width - 4}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<polyline class="plot-line" points="{points}"/>',
    ]
    state = "above" if values[-1] >= limit else "below"
    return _svg(f"{title}: {len(values)} judgments, now {state} the limit", width, height, drawn)


def _axis(top: float) -> str:
    y = HEIGHT - BOTTOM
    return (
        f'<line class="plot-axis" x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">0</text>'
        f'<text x="{LEFT - 6}" y="18" text-anchor="end">{top:g}</text>'
    )


def _svg(said: str, width: int, height: int, drawn: Sequence[str]) -> Markup:
    inside = "".join(drawn)
    return Markup(
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{escape(said)}</title>{inside}</svg>"
    )
