"""The pictures of a quality report: confusion, reliability, annotators, drift, cost against quality.

Each takes records and gives one SVG. Color is never alone: every mark has words that a pointer
resting on it shows, and what matters is labeled. Leaves out the words around them (`quality_page.py`).
"""

import math
from collections.abc import Sequence

from accord.evaluation import Estimate
from accord.evaluation.report.axes import FONT_WIDTH, Frame, padded_range
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import number, percent, with_interval
from accord.pipeline.quality_contents import AnnotatorFacts, Confusion, CostPoint, DriftChart, Reliability

CELL = 46.0
"""Side of a cell of a confusion matrix."""
LONGEST_NAME = 14
LABELED_POINTS = 6
"""Annotators whose names are written beside their point; all have them under the pointer."""


def confusion_plot(confusion: Confusion, classes: Sequence[str], *, key: str) -> Markup:
    """A matrix of shares: rows the consensus or gold class, columns what was given."""
    names = [_cut(name) for name in classes]
    left = FONT_WIDTH * max(map(len, names)) + 14
    top = 34.0
    size = len(names)
    width, height = left + CELL * size + 4, top + CELL * size + 4
    cells: list[Child] = []
    for i, row in enumerate(confusion.shares):
        y = top + CELL * i
        cells.append(element("text", names[i], x=left - 8, y=y + CELL / 2 + 4, class_="tick end"))
        for j, share in enumerate(row):
            cells.append(_cell(left + CELL * j, y, share, is_right=i == j, words=(classes[i], classes[j])))
    for j, name in enumerate(names):
        cells.append(element("text", name, x=left + CELL * (j + 0.5), y=top - 8, class_="tick middle"))
    right = [percent(row[i], digits=0) for i, row in enumerate(confusion.shares)]
    words = ", ".join(f"{name} {share}" for name, share in zip(classes, right, strict=True))
    return element(
        "svg",
        element("title", f"Answers of {confusion.name} by class", id=f"{key}-title"),
        element("desc", f"Answered right: {words}.", id=f"{key}-desc"),
        cells,
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"max-width: {1.15 * width:.0f}px",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        class_="plot confusion",
    )


def _cell(x: float, y: float, share: float, *, is_right: bool, words: tuple[str, str]) -> Markup:
    title = element("title", f"true {words[0]}, given {words[1]}: {percent(share)}")
    kind = "right" if is_right else "wrong"
    inside = "on" if share > 0.55 else "off"
    return element(
        "g",
        title,
        element("rect", x=x + 1, y=y + 1, width=CELL - 2, height=CELL - 2, rx=4, class_="cell-base"),
        element(
            "rect",
            x=x + 1,
            y=y + 1,
            width=CELL - 2,
            height=CELL - 2,
            rx=4,
            class_=f"cell {kind}",
            fill_opacity=round(share, 3),
        ),
        element(
            "text", percent(share, digits=0), x=x + CELL / 2, y=y + CELL / 2 + 4, class_=f"middle {inside}"
        ),
    )


def reliability_diagram(found: Reliability, *, n_classes: int, key: str) -> Markup:
    """Observed against predicted accuracy; on the diagonal every probability is true."""
    points = found.points
    ends = [end for point in points for end in (point.observed.low, point.observed.value, point.predicted)]
    floor = math.floor(10 * min([1.0 / max(n_classes, 2), *filter(math.isfinite, ends)])) / 10
    ticks = tuple(tick / 10 for tick in range(0, 11, 2 if floor < 0.4 else 1) if tick / 10 >= floor - 1e-9)
    frame = Frame(
        x_range=(floor, 1.0),
        y_range=(floor, 1.0),
        x_label="probability of the predicted class",
        y_label="how often gold agrees",
        x_ticks=ticks,
        y_ticks=ticks,
        is_percent=True,
    )
    parts = [element("path", d=frame.path((floor, 1.0), (floor, 1.0)), class_="line ideal")]
    largest = max((point.observed.n for point in points), default=1)
    for point in points:
        words = f"predicted {percent(point.predicted)}, observed {with_interval(point.observed, 'percent')}"
        radius = 3.0 + 2.5 * math.sqrt(point.observed.n / largest)
        words += f", {point.observed.n} items"
        parts.append(spot(frame, point.predicted, point.observed, radius=radius, words=words))
    shares = (f"{percent(point.predicted)} {percent(point.observed.value)}" for point in points)
    return frame.svg(
        parts,
        key=key,
        title="Reliability of the posterior",
        description=f"Predicted against observed: {', '.join(shares)}.",
    )


def annotator_scatter(rows: Sequence[AnnotatorFacts], *, by: str, key: str) -> Markup:
    """Accuracy with its interval against the number of judgments or the time for one.

    `by` is "judgments" or "seconds".
    """
    shown = [row for row in rows if row.accuracy is not None and _position(row, by) is not None]
    places = [float(_position(row, by) or 0.0) for row in shown]
    estimates = [row.accuracy for row in shown if row.accuracy is not None]
    low, high = padded_range([end for row in estimates for end in (row.value, row.low, row.high)])
    reach = _reach(places)
    frame = Frame(
        x_range=reach,
        y_range=(max(0.0, low), min(1.0, high)),
        top=30.0,
        x_label="judgments" if by == "judgments" else "median seconds a judgment",
        y_label="probability of the right answer",
        x_scale="linear" if reach[0] else "sqrt",
        width=460,
    )
    parts: list[Markup] = []
    flagged = sorted(zip(places, shown, strict=True), key=lambda pair: (not pair[1].flags, pair[0]))
    for place, row in reversed(flagged):
        estimate = row.accuracy
        if estimate is None:
            continue
        words = f"{row.name}: {with_interval(estimate, 'percent')}, {row.judgments:,} judgments"
        words += "".join(f"; {flag}" for flag in row.flags)
        tone = "flagged" if row.flags else "plain"
        parts.append(spot(frame, place, estimate, radius=4.0, words=words, class_=f"person {tone}"))
    named = [(place, row) for place, row in flagged if row.flags][:LABELED_POINTS]
    parts += _names(frame, named, [(frame.x(place), frame.y(estimate_of(row))) for place, row in flagged])
    lowest = min(shown, key=lambda row: row.accuracy.value if row.accuracy else 1.0)
    return frame.svg(
        parts,
        key=key,
        title=f"Annotators: accuracy by {by}",
        description=f"{len(shown)} annotators; the lowest is {lowest.name}, {percent(estimate_of(lowest))}.",
    )


def _reach(places: Sequence[float]) -> tuple[float, float]:
    """From 0 where somebody is near it, else from below the least."""
    least, most = min(places, default=0.0), max([1.0, *places])
    return (0.0 if least < 0.2 * most else 0.9 * least, 1.06 * most)


def _names(
    frame: Frame, points: Sequence[tuple[float, AnnotatorFacts]], every: Sequence[tuple[float, float]]
) -> list[Markup]:
    """Names beside points, none over another name or over one of the points `every`, in picture units."""
    taken: list[tuple[float, float, float]] = []
    labels = []
    for place, row in points:
        x, y = frame.x(place), frame.y(estimate_of(row))
        words = _cut(row.name)
        width = FONT_WIDTH * len(words)
        for start in (x + 8, x - 8 - width):
            end = start + width
            is_free = not any(start - 5 < one < end + 5 and abs(y - other) < 11 for one, other in every)
            is_free &= not any(start < last and first < end and abs(y - at) < 13 for first, last, at in taken)
            if is_free and frame.left < start and end < frame.width:
                taken.append((start, end, y))
                is_left = start < x
                kind = "note end" if is_left else "note"
                labels.append(element("text", words, x=x - 8 if is_left else x + 8, y=y + 4, class_=kind))
                break
    return labels


def drift_plot(chart: DriftChart, *, key: str) -> Markup:
    """The detector's statistic over an annotator's judgments, and the level at which it alarms."""
    values = chart.statistic
    xs = [float(place) for place in range(1, len(values) + 1)]
    frame = Frame(
        x_range=(0.0, max(2.0, float(len(values)))),
        y_range=(0.0, 1.12 * max([chart.threshold, *filter(math.isfinite, values)])),
        x_label="judgments in order",
        y_label=chart.channel,
        width=340,
        height=200,
        right=16,
    )
    level = frame.y(chart.threshold)
    edge = frame.width - frame.right
    parts: list[Markup | None] = [
        element("line", x1=frame.left, x2=edge, y1=level, y2=level, class_="edge"),
        element("text", "alarm", x=edge, y=level - 5, class_="note end band-label"),
        element("path", d=frame.path(xs, values), class_="line tone-last"),
    ]
    if chart.fell_at is not None:
        parts.append(_fall(frame, chart.fell_at))
    if chart.alarm_at is not None:
        place = frame.x(float(chart.alarm_at))
        height = frame.y(values[chart.alarm_at - 1])
        parts.append(
            element(
                "g",
                element("title", f"alarm at judgment {chart.alarm_at}"),
                element("circle", cx=place, cy=height, r=4.5, class_="dot"),
                class_="proxy-point",
            )
        )
    ending = "no alarm" if chart.alarm_at is None else f"alarm at judgment {chart.alarm_at}"
    ending += "" if chart.fell_at is None else f", a fall from judgment {chart.fell_at} on looking back"
    return frame.svg(
        parts,
        key=key,
        title=f"{chart.annotator}: {chart.channel}",
        description=f"{len(values)} judgments, threshold {number(chart.threshold)}, {ending}.",
    )


def _fall(frame: Frame, fell_at: int) -> Markup:
    """A line where the whole stream, looking back, begins to be lower."""
    place, base = frame.x(float(fell_at)), frame.height - frame.bottom
    is_left = place > frame.width - 90
    return element(
        "g",
        element("title", f"looking back, correctness is lower from judgment {fell_at} on"),
        element("line", x1=place, x2=place, y1=frame.top, y2=base, class_="line ideal"),
        element(
            "text",
            f"fell at {fell_at}",
            x=place - 5 if is_left else place + 5,
            y=frame.top + 32,
            class_="note end" if is_left else "note",
        ),
    )


def cost_plot(points: Sequence[CostPoint], *, key: str) -> Markup:
    """Accuracy against labels an item: fixed numbers of labels as one line, stopping rules as another."""
    bounds = [
        end for point in points for end in (point.accuracy.value, point.accuracy.low, point.accuracy.high)
    ]
    costs = [point.labels_an_item for point in points]
    frame = Frame(
        x_range=(max(0.0, min(costs) - 0.6), max(costs) + 0.6),
        y_range=padded_range(bounds, pad=0.1),
        x_label="labels an item",
        y_label="accuracy against gold",
        width=760,
        height=330,
    )
    parts: list[Markup] = []
    for is_adaptive, tone in ((False, "tone-first"), (True, "tone-last")):
        rows = sorted(
            (row for row in points if row.is_adaptive is is_adaptive), key=lambda row: row.labels_an_item
        )
        xs = [row.labels_an_item for row in rows]
        line = frame.path(xs, [row.accuracy.value for row in rows])
        dash = "" if is_adaptive else " dashed"
        parts.append(element("path", d=line, class_=f"line {tone}{dash}"))
        for row in rows:
            words = (
                f"{row.name}: {with_interval(row.accuracy, 'percent')} at {number(row.labels_an_item)} labels"
            )
            parts.append(spot(frame, row.labels_an_item, row.accuracy, radius=4.5, words=words, class_=tone))
    best = max(points, key=lambda row: row.accuracy.value)
    return frame.svg(
        parts,
        key=key,
        title="Cost against quality",
        description=f"Best: {best.name}, {percent(best.accuracy.value)} "
        f"at {number(best.labels_an_item)} labels.",
    )


def spot(
    frame: Frame, x: float, row: Estimate, *, radius: float, words: str, class_: str = "tone-last"
) -> Markup:
    """A point with its interval and the words that a pointer resting on it shows."""
    place = frame.x(x)
    whisker = None
    if row.has_interval:
        bottom, top = (min(max(end, frame.y_range[0]), frame.y_range[1]) for end in (row.low, row.high))
        whisker = element("line", x1=place, x2=place, y1=frame.y(bottom), y2=frame.y(top), class_="whisker")
    dot = element("circle", cx=place, cy=frame.y(row.value), r=radius, class_="dot")
    return element("g", element("title", words), whisker, dot, class_=class_)


def estimate_of(row: AnnotatorFacts) -> float:
    """The accuracy of an annotator who has one."""
    return math.nan if row.accuracy is None else row.accuracy.value


def _position(row: AnnotatorFacts, by: str) -> float | None:
    return float(row.judgments) if by == "judgments" else row.median_seconds


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
