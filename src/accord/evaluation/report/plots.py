"""The pictures of a report: training curves, the over-optimization frontier, reliability, lengths.

Each takes records and gives one SVG. Color is never alone: lines differ in dash, points in
fill, and each is labeled where it ends. Leaves out the words around them (`sections.py`).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from accord.evaluation.calibration import Calibration
from accord.evaluation.intervals import Estimate
from accord.evaluation.overoptimization import Gaming, Overoptimization
from accord.evaluation.report.axes import FONT_WIDTH, Frame, nice_ticks, padded_range
from accord.evaluation.report.contents import Curve
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import nats, number, percent, with_interval

SMOOTH_FROM = 40
"""Curves with at least this many points get a running mean over the raw line."""
GOOD_FIT = 0.8
"""R-squared from which the fitted curve is drawn; a worse one would mislead the eye."""
LENGTH_BINS = 32
RIDGE_HEIGHT = 62.0


def tone_of(index: int, total: int) -> str:
    """Color class of a model by its place in the run: the first is neutral, the last stands out."""
    if total > 1 and index == 0:
        return "tone-first"
    return "tone-last" if index == total - 1 else f"tone-{1 + (index - 1) % 3}"


def curve_panel(curves: Sequence[Curve], *, key: str) -> Markup:
    """All curves of one stage and y label in one frame, each labeled with its last value."""
    first = curves[0]
    xs = [value for curve in curves for value in curve.x]
    frame = Frame(
        x_range=_range_or_unit(xs),
        y_range=padded_range([value for curve in curves for value in curve.y]),
        x_label=first.x_label,
        y_label=first.y_label,
        width=340,
        height=220,
        right=16,
    )
    parts = []
    for i, curve in enumerate(curves):
        tone = tone_of(len(curves) - 1 - i, len(curves)) if len(curves) > 1 else "tone-last"
        is_long = len(curve.y) >= SMOOTH_FROM
        if is_long:
            parts.append(element("path", d=frame.path(curve.x, curve.y), class_=f"line raw {tone}"))
        values = _running_mean(curve.y) if is_long else curve.y
        dash = "" if i == 0 else " dashed"
        parts.append(element("path", d=frame.path(curve.x, values), class_=f"line {tone}{dash}"))
        if len(curve.y) == 1:
            parts.append(_dot(frame, curve.x[0], curve.y[0], tone))
    endings = ", ".join(
        f"{curve.name} {number(curve.y[0])} to {number(curve.y[-1])}" for curve in curves if curve.y
    )
    return frame.svg(
        parts,
        key=key,
        title=f"{first.stage}: {first.y_label} by {first.x_label}",
        description=f"First to last value: {endings}.",
    )


def frontier_panel(frontier: Overoptimization, *, kind: str, name: str, key: str) -> Markup:
    """Proxy or gold reward over KL, whiskers for intervals, the stretch of gaming shaded.

    `kind` is "proxy" or "gold". The horizontal axis is the square root of KL, the distance
    of Gao et al. 2022, labeled in nats.
    """
    estimates: list[Estimate] = [getattr(point, kind) for point in frontier.points]
    kls = [max(0.0, point.kl) for point in frontier.points]
    frame = Frame(
        x_range=(0.0, max(max(kls) * 1.06, 1e-3)),
        y_range=padded_range([end for row in estimates for end in (row.value, row.low, row.high)], pad=0.12),
        x_label="KL to the start, nats an answer (square-root scale)",
        y_label=name,
        x_scale="sqrt",
    )
    parts: list[Markup | None] = [_gaming_band(frame, frontier, kls)]
    if kind == "gold" and frontier.fit is not None and frontier.fit.r_squared >= GOOD_FIT:
        parts.append(_fit_line(frame, frontier, kls))
    values = [row.value for row in estimates]
    parts.append(element("path", d=frame.path(kls, values), class_=f"line {kind}"))
    for point, kl, row in zip(frontier.points, kls, estimates, strict=True):
        words = f"step {point.step}, KL {nats(kl)}: {with_interval(row)}"
        parts.append(_spot(frame, kl, row, radius=4.0, words=words, class_=kind))
    if kind == "gold":
        parts.append(_peak_label(frame, frontier))
    first, last = frontier.points[0], frontier.points[-1]
    return frame.svg(
        parts,
        key=key,
        title=f"{name} over KL",
        description=(
            f"From {with_interval(estimates[0])} at step {first.step} to {with_interval(estimates[-1])} "
            f"at step {last.step}; highest at step {frontier.points[int(np.argmax(values))].step}."
        ),
    )


def reliability_plot(calibration: Calibration, *, key: str) -> Markup:
    """Observed against predicted share of wins; on the diagonal every probability is true."""
    bins = calibration.bins
    ends = [end for cell in bins for end in (cell.observed.low, cell.observed.value)]
    low = math.floor(10 * min([0.5, *(end for end in ends if math.isfinite(end))])) / 10
    ticks = tuple(tick for tick in nice_ticks(0.0, 1.0, count=10) if tick >= low - 1e-9)
    frame = Frame(
        x_range=(0.5, 1.0),
        y_range=(low, 1.0),
        x_label="predicted probability of the chosen side",
        y_label="how often it was preferred",
        x_ticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        y_ticks=ticks if len(ticks) <= 7 else ticks[::2],
        is_percent=True,
    )
    parts = [element("path", d=frame.path((0.5, 1.0), (0.5, 1.0)), class_="line ideal")]
    largest = max(cell.n for cell in bins)
    for cell in bins:
        words = f"predicted {percent(cell.confidence)}, observed {with_interval(cell.observed, 'percent')}"
        radius = 2.5 + 2.5 * math.sqrt(cell.n / largest)
        words += f", n {cell.n}"
        parts.append(
            _spot(frame, cell.confidence, cell.observed, radius=radius, words=words, class_="tone-last")
        )
    return frame.svg(
        parts,
        key=key,
        title="Reliability of the reward model",
        description="Predicted against observed: "
        + ", ".join(f"{percent(cell.confidence)} {percent(cell.observed.value)}" for cell in bins)
        + ".",
    )


def length_ridges(lengths: Mapping[str, Sequence[int]], *, key: str) -> Markup:
    """One histogram of answer lengths per model, one below the other on a shared axis, medians marked."""
    longest = max(max(row) for row in lengths.values() if row)
    edges = np.linspace(0.0, float(max(longest, 1)) * 1.0001, LENGTH_BINS + 1)
    height = RIDGE_HEIGHT * len(lengths)
    margin = FONT_WIDTH * max(len(name) for name in lengths) + 14
    frame = Frame(
        x_range=(0.0, float(edges[-1])),
        y_range=(0.0, float(len(lengths))),
        x_label="length of the answer, tokens",
        y_label="",
        width=560,
        height=height + 60,
        left=margin,
        has_rows=False,
        top=14,
    )
    parts = []
    for i, (name, row) in enumerate(lengths.items()):
        if row:
            parts.append(
                _ridge(frame, name, row, edges, level=len(lengths) - 1 - i, tone=tone_of(i, len(lengths)))
            )
    words = ", ".join(f"{name} {np.median(row):.0f}" for name, row in lengths.items() if row)
    return frame.svg(parts, key=key, title="Length of the answers", description=f"Median tokens: {words}.")


def _ridge(
    frame: Frame, name: str, row: Sequence[int], edges: np.ndarray, *, level: int, tone: str
) -> Markup:
    share = np.histogram(row, bins=edges)[0] / len(row)
    heights = level + 0.82 * share / share.max()
    floor = frame.y(level)
    steps = "".join(
        f"L{frame.x(left):.1f} {frame.y(top):.1f}L{frame.x(right):.1f} {frame.y(top):.1f}"
        for left, right, top in zip(edges[:-1], edges[1:], heights, strict=True)
    )
    median = float(np.median(row))
    spot = frame.x(median)
    is_right = spot < frame.width - 130
    return element(
        "g",
        element(
            "path",
            d=f"M{frame.x(0):.1f} {floor:.1f}{steps}L{frame.x(edges[-1]):.1f} {floor:.1f}Z",
            class_="area",
        ),
        element("line", x1=frame.left, x2=frame.width - frame.right, y1=floor, y2=floor, class_="axis"),
        element("line", x1=spot, x2=spot, y1=floor, y2=frame.y(level + 0.86), class_="median"),
        element(
            "text",
            f"median {median:.0f}",
            x=spot + (5 if is_right else -5),
            y=frame.y(level + 0.68),
            class_="note" if is_right else "note end",
        ),
        element("text", name, x=frame.left - 10, y=floor - 8, class_="label strong end"),
        class_=tone,
    )


def _spot(frame: Frame, x: float, row: Estimate, *, radius: float, words: str, class_: str) -> Markup:
    """A point with its interval and the words that a pointer resting on it shows."""
    place = frame.x(x)
    whisker = None
    if row.has_interval:
        low, high = frame.y(row.low), frame.y(row.high)
        whisker = element("line", x1=place, x2=place, y1=low, y2=high, class_="whisker")
    dot = element("circle", cx=place, cy=frame.y(row.value), r=radius, class_="dot")
    return element("g", element("title", words), whisker, dot, class_=class_)


def _gaming_band(frame: Frame, frontier: Overoptimization, kls: Sequence[float]) -> Markup | None:
    if frontier.gaming is Gaming.NOT_SEEN or frontier.peak is frontier.points[-1]:
        return None
    start, end = frame.x(max(0.0, frontier.peak.kl)), frame.width - frame.right
    if max(kls) <= frontier.peak.kl:
        return None
    word = "gaming" if frontier.gaming is Gaming.STARTED else "gaming?"
    return element(
        "g",
        element(
            "rect",
            x=start,
            y=frame.top,
            width=end - start,
            height=frame.height - frame.top - frame.bottom,
            class_="band",
        ),
        element("line", x1=start, x2=start, y1=frame.top, y2=frame.height - frame.bottom, class_="edge"),
        element("text", word, x=start + 6, y=frame.height - frame.bottom - 8, class_="note band-label"),
    )


def _fit_line(frame: Frame, frontier: Overoptimization, kls: Sequence[float]) -> Markup | None:
    fit = frontier.fit
    if fit is None:
        return None
    start = frontier.points[int(np.argmin([point.kl for point in frontier.points]))].gold.value
    distance = np.linspace(1e-3, math.sqrt(max(kls)), 60)
    values = start + distance * (fit.alpha.value - fit.beta.value * np.log(distance))
    return element("path", d=frame.path((distance**2).tolist(), values.tolist()), class_="line fitted")


def _peak_label(frame: Frame, frontier: Overoptimization) -> Markup:
    peak = frontier.peak
    spot = frame.x(max(0.0, peak.kl))
    is_left = spot > frame.width * 0.45
    return element(
        "text",
        f"peak at step {peak.step}, KL {nats(peak.kl)}",
        x=spot - 8 if is_left else spot + 8,
        y=frame.top + 4,
        class_="note strong end" if is_left else "note strong",
    )


def _dot(frame: Frame, first: float, second: float, tone: str) -> Markup:
    return element("circle", cx=frame.x(first), cy=frame.y(second), r=4.0, class_=f"dot {tone}")


def _running_mean(values: Sequence[float]) -> list[float]:
    """Centered mean over a tenth of the points; shorter at the ends, so that nothing is invented there."""
    half = max(1, len(values) // 20)
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def _range_or_unit(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
