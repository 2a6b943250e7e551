"""Charts over time: drift as control charts, and votes with bounds that hold at every look."""

from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.comparison.contents import ComparisonReport, DriftChart, VoteChart
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import number, percent, with_interval
from accord.evaluation.report.section import section

MOST_LABELS = 6


def drift(report: ComparisonReport) -> Markup | None:
    """One control chart for each number that is watched batch by batch."""
    charts = [chart for chart in report.evidence.drift if chart.values]
    if not charts:
        return None
    figures = []
    for i, chart in enumerate(charts):
        outside = _outside(chart)
        words = (
            f"outside in {len(outside)} of {len(chart.values)} batches" if outside else "inside its limits"
        )
        state = element("span", words, class_="v-fail" if outside else "v-pass")
        said = element("p", chart.action, class_="small") if outside and chart.action else None
        head = element("figcaption", element("h3", chart.name), element("p", state, class_="small"))
        figures.append(element("figure", head, _control_chart(chart, f"drift-{i}"), said))
    return section(
        "drift",
        "Drift",
        "Batch by batch, with the limits within which chance keeps a process that stands still.",
        element("div", figures, class_="grid"),
    )


def _outside(chart: DriftChart) -> list[int]:
    return [
        i
        for i, row in enumerate(chart.values)
        if (chart.low is not None and row.value < chart.low)
        or (chart.high is not None and row.value > chart.high)
    ]


def _control_chart(chart: DriftChart, key: str) -> Markup:
    limits = [limit for limit in (chart.low, chart.high) if limit is not None]
    ends = [end for row in chart.values for end in (row.value, row.low, row.high)]
    count = len(chart.values)
    step = max(1, -(-count // MOST_LABELS))
    frame = Frame(
        x_range=(-0.5, count - 0.5),
        y_range=padded_range(ends, pad=0.12, include=limits),
        x_label="",
        y_label="",
        width=340,
        height=210,
        top=12,
        bottom=30,
        has_columns=False,
    )
    parts: list[Child] = []
    for limit in limits:
        level = frame.y(limit)
        parts.append(
            element("line", x1=frame.left, x2=frame.width - frame.right, y1=level, y2=level, class_="limit")
        )
    places = [float(i) for i in range(count)]
    parts.append(
        element("path", d=frame.path(places, [row.value for row in chart.values]), class_="line thin")
    )
    outside = set(_outside(chart))
    for i, row in enumerate(chart.values):
        x, y = frame.x(float(i)), frame.y(row.value)
        whisker = None
        if row.has_interval:
            whisker = element("line", x1=x, x2=x, y1=frame.y(row.low), y2=frame.y(row.high), class_="whisker")
        words = f"{chart.batches[i]}: {with_interval(row)}"
        dot = element("circle", cx=x, cy=y, r=4.0, class_="dot")
        parts.append(
            element(
                "g", element("title", words), whisker, dot, class_="v-fail" if i in outside else "tone-last"
            )
        )
        if i % step == 0:
            parts.append(element("text", chart.batches[i], x=x, y=frame.height - 12, class_="tick middle"))
    return frame.svg(
        parts,
        key=key,
        title=chart.name,
        description=", ".join(
            f"{batch} {number(row.value)}" for batch, row in zip(chart.batches, chart.values, strict=True)
        ),
    )


def votes(report: ComparisonReport) -> Markup | None:
    """The share of votes for the candidate with its confidence sequence, and when it was decided."""
    chart = report.evidence.votes
    if chart is None or not chart.means:
        return None
    stop = chart.stopped_at
    total = len(chart.means)
    if stop is None:
        words = (
            f"Not decided after {total} votes: the bounds still hold {percent(chart.threshold, digits=0)}."
        )
    else:
        side = "above" if chart.lows[stop - 1] > chart.threshold else "below"
        words = f"Decided after {stop} of {total} votes: bounds {side} {percent(chart.threshold, digits=0)}."
    return section(
        "votes",
        chart.name,
        f"{words} The bounds hold at every look together with {percent(chart.confidence, digits=0)}, so one "
        "may stop when they clear the line.",
        element("figure", _vote_plot(chart), class_="wide-plot"),
    )


def _vote_plot(chart: VoteChart) -> Markup:
    count = len(chart.means)
    places = [float(i) for i in range(1, count + 1)]
    frame = Frame(
        x_range=(0.0, float(count)),
        y_range=(0.0, 1.0),
        x_label="votes",
        y_label="share for the candidate",
        width=640,
        height=300,
        y_ticks=(0.0, 0.25, 0.5, 0.75, 1.0),
    )
    upper = frame.path(places, chart.highs)
    lower = frame.path(places[::-1], chart.lows[::-1]).replace("M", "L", 1)
    level = frame.y(chart.threshold)
    parts: list[Child] = [
        element("path", d=f"{upper}{lower}Z", class_="area tone-last"),
        element("line", x1=frame.left, x2=frame.width - frame.right, y1=level, y2=level, class_="limit"),
        element("path", d=frame.path(places, chart.means), class_="line tone-last"),
    ]
    stop = chart.stopped_at
    if stop is not None:
        x = frame.x(float(stop))
        is_left = x > frame.width * 0.7
        parts += [
            element("line", x1=x, x2=x, y1=frame.top, y2=frame.height - frame.bottom, class_="stop"),
            element(
                "text",
                f"decided at {stop}",
                x=x - 6 if is_left else x + 6,
                y=frame.top + 10,
                class_="note strong" + (" end" if is_left else ""),
            ),
        ]
    low, high = percent(chart.lows[-1]), percent(chart.highs[-1])
    return frame.svg(
        parts,
        key="votes-plot",
        title=chart.name,
        description=f"After {count} votes {percent(chart.means[-1])}, bounds {low} to {high}.",
    )
