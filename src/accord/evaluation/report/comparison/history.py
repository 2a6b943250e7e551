"""Every gate's number release after release: one row a gate, one column a release, one tone a verdict."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from accord.evaluation.gates.history import ReleaseRecord, history_series
from accord.evaluation.intervals import Estimate
from accord.evaluation.report.axes import padded_range
from accord.evaluation.report.comparison.contents import ComparisonReport, GateSeries, SafetyDot
from accord.evaluation.report.comparison.verdict_strip import GLYPHS, verdict_class
from accord.evaluation.report.comparison.wording import label_of, style_of
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import estimate_value, interval, styled
from accord.evaluation.report.section import section

MOST_RELEASES = 12
"""The last ones are drawn; the file holds all."""
MOST_NAMES = 8
ROW, EDGE = 58.0, 8.0
"""Height of a row, and the room above and below its numbers, in units of the picture."""


def gate_series(records: Sequence[ReleaseRecord]) -> tuple[GateSeries, ...]:
    """The series of a history as the page holds them; gates that were never measured are left out."""
    found = []
    for one in history_series(records):
        if all(value is None for value in one.values):
            continue
        found.append(
            GateSeries(
                id=one.id,
                metric=one.metric,
                slice=one.slice,
                is_level=one.is_level,
                threshold=one.threshold,
                releases=one.releases[-MOST_RELEASES:],
                verdicts=one.verdicts[-MOST_RELEASES:],
                values=one.values[-MOST_RELEASES:],
                change=one.change,
                trend=one.trend,
            )
        )
    return tuple(found)


def safety_of(records: Sequence[ReleaseRecord]) -> tuple[SafetyDot, ...]:
    """A dot for each release of which both refusals are known."""
    dots = []
    for one in records[-MOST_RELEASES:]:
        harmful, safe = one.find_level("harmful_refusal"), one.find_level("safe_refusal")
        if harmful is not None and safe is not None:
            dots.append(SafetyDot(name=one.release, harmful_refusal=harmful, safe_refusal=safe))
    return tuple(dots)


def history(report: ComparisonReport) -> Markup | None:
    """A table of rows that share their columns, one for each release; two releases at least."""
    series = report.evidence.history
    if not series or len(series[0].releases) < 2:
        return None
    head = element(
        "tr",
        element("th", "Gate", scope="col"),
        element("th", _names(series[0].releases), scope="col"),
        [element("th", name, scope="col", class_="num") for name in ("Now", "Since the last")],
    )
    return section(
        "history",
        "Release after release",
        "Each gate's number with its interval, the line its threshold, the tone its verdict then. Changes "
        "are those of independent samples and rather too wide where releases answer the same prompts.",
        element(
            "div",
            element(
                "table",
                element("thead", head),
                element("tbody", [_row(one) for one in series]),
                class_="tracks releases",
            ),
            class_="scroll",
            tabindex=0,
        ),
    )


def _place(i: int, count: int) -> str:
    return f"{100 * (i + 0.5) / count:.2f}%"


def _names(releases: Sequence[str]) -> Markup:
    count = len(releases)
    step = max(1, -(-count // MOST_NAMES))
    names = [
        element("text", name, x=_place(i, count), y=14, class_="tick middle")
        for i, name in enumerate(releases)
        if (count - 1 - i) % step == 0
    ]
    return element("svg", names, class_="track", height=20, role="img", aria_label=", ".join(releases))


def _row(one: GateSeries) -> Markup:
    known = [value for value in one.values if value is not None]
    style = style_of(one.metric, known[-1])
    last = one.values[-1]
    now: list[Child] = ["not measured"]
    if last is not None:
        now = [estimate_value(last, style), element("small", interval(last, style))]
    change: list[Child] = ["–"]
    if one.change is not None:
        sign = "+" if one.change.value > 0 else ""
        tone = {"better": "v-pass", "worse": "v-fail"}.get(one.trend, "v-not-measured")
        change = [
            element("span", sign + estimate_value(one.change, style), class_=tone),
            element("small", one.trend),
        ]
    against = "" if one.is_level else " · against the incumbent of then"
    said = "; ".join(
        f"{release} {verdict}" + ("" if value is None else f" {styled(value.value, style)}")
        for release, verdict, value in zip(one.releases, one.verdicts, one.values, strict=True)
    )
    return element(
        "tr",
        element("th", element("small", one.id + against), label_of(one.metric, one.slice), scope="row"),
        element("td", _line(one, said)),
        element("td", now, class_="num"),
        element("td", change, class_="num"),
    )


def _line(one: GateSeries, said: str) -> Markup:
    ends = [end for row in one.values if row is not None for end in (row.value, row.low, row.high)]
    low, high = padded_range(ends, include=[] if one.threshold is None else [one.threshold])

    def level(value: float) -> float:
        return round(ROW - EDGE - (value - low) / (high - low) * (ROW - 2 * EDGE), 1)

    parts: list[Child] = []
    if one.threshold is not None:
        spot = level(one.threshold)
        parts.append(element("line", x1="0%", x2="100%", y1=spot, y2=spot, class_="limit"))
    count = len(one.values)
    places = [(i, value) for i, value in enumerate(one.values) if value is not None]
    for (i, before), (j, after) in pairwise(places):
        ends_of = {"y1": level(before.value), "y2": level(after.value)}
        parts.append(element("line", x1=_place(i, count), x2=_place(j, count), **ends_of, class_="joint"))
    parts += [_dot(one, i, value, level) for i, value in places]
    return element("svg", parts, class_="track line-of-releases", height=ROW, role="img", aria_label=said)


def _dot(one: GateSeries, i: int, value: Estimate, level: Callable[[float], float]) -> Markup:
    place, verdict = _place(i, len(one.values)), one.verdicts[i]
    whisker = None
    if value.has_interval:
        ends = {"y1": level(value.low), "y2": level(value.high)}
        whisker = element("line", x1=place, x2=place, **ends, class_="whisker")
    style = style_of(one.metric, value)
    words = f"{one.releases[i]}: {estimate_value(value, style)} {interval(value, style)}, {verdict}"
    dot = element("circle", cx=place, cy=level(value.value), r=4.5, class_="dot")
    mark = element("text", GLYPHS[verdict], x=place, y=level(value.value) + 4, dx=9, class_="glyph")
    return element("g", element("title", words), whisker, dot, mark, class_=verdict_class(verdict))
