"""The verdict on top of the page: one word and one sentence, then a tile for every gate."""

from collections import Counter

from accord.evaluation.report.comparison.contents import ComparisonReport, GateTile
from accord.evaluation.report.comparison.wording import label_of, style_of
from accord.evaluation.report.contents import Mark, Style
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import estimate_value, interval, styled
from accord.evaluation.report.tracks import Axis, interval_track

GLYPHS = {"pass": "✓", "fail": "✕", "undecided": "?", "not measured": "–"}
HEADLINES = {
    "pass": "Ready to release",
    "fail": "Not ready",
    "undecided": "Not decided yet",
    "not measured": "Not decided yet",
}


def verdict_class(word: str | None) -> str:
    """The class that colors a verdict."""
    return "v-" + (word or "none").replace(" ", "-")


def verdict(report: ComparisonReport) -> Markup:
    """The release's verdict in a word and a sentence."""
    return element(
        "section",
        element(
            "p",
            element("span", GLYPHS[report.verdict], class_="glyph", aria_hidden="true"),
            element("strong", HEADLINES[report.verdict]),
            class_="word",
        ),
        element("p", verdict_sentence(report), class_="sentence"),
        class_=f"verdict {verdict_class(report.verdict)}",
        aria_label="Verdict",
    )


def verdict_sentence(report: ComparisonReport) -> str:
    """How many gates stand where, and what would decide the open ones."""
    counts = Counter(one.verdict for one in report.gates)
    words = [
        f"{counts['pass']} of {len(report.gates)} gates pass",
        f"{counts['fail']} {'fails' if counts['fail'] == 1 else 'fail'}" if counts["fail"] else "",
        f"{counts['undecided']} undecided" if counts["undecided"] else "",
        f"{counts['not measured']} not measured" if counts["not measured"] else "",
    ]
    sentence = ", ".join(word for word in words if word) + "."
    more = max((one.more_needed or 0 for one in report.gates if one.verdict == "undecided"), default=0)
    if more:
        sentence += f" About {more:,} more {'row' if more == 1 else 'rows'} would decide the open ones."
    return sentence


def strip(report: ComparisonReport) -> Markup | None:
    """A tile for each gate that has a number; the others named below with their reason."""
    if not report.gates:
        return None
    measured = [one for one in report.gates if one.estimate is not None]
    others = [one for one in report.gates if one.estimate is None]
    return element(
        "section",
        element("h2", "Gates", id="gates-heading"),
        element(
            "p",
            "Each number with its interval; the tick is the gate's threshold. Open a tile for the reason.",
            class_="lead",
        ),
        element("div", [_tile(one) for one in measured], class_="tiles") if measured else None,
        _unmeasured(others),
        id="gates",
        aria_labelledby="gates-heading",
    )


def _tile(tile: GateTile) -> Markup:
    assert tile.estimate is not None
    style = style_of(tile.metric, tile.estimate)
    threshold = 0.0 if tile.threshold is None else tile.threshold
    ends = [threshold] if tile.lower_end is None else [tile.lower_end, threshold]
    axis = Axis.around([tile.estimate], include=ends)
    axis = Axis(low=axis.low, high=axis.high, style=style)
    number = estimate_value(tile.estimate, style).removesuffix(" nats")
    if tile.versus == "incumbent" and tile.estimate.value > 0:
        number = "+" + number
    bounds = interval(tile.estimate, style)
    words = f"{bounds}, n {tile.estimate.n}" if bounds else f"no interval, n {tile.estimate.n}"
    return element(
        "details",
        element(
            "summary",
            element("span", _head(tile), class_="head"),
            element("span", label_of(tile.metric, tile.slice), class_="name"),
            element("span", number, _unit(tile, style), class_="figure"),
            element("span", words, class_="bounds"),
            interval_track(
                tile.estimate, axis, marks=[Mark(value=end, label="threshold") for end in ends], tone=""
            ),
            element("span", _asks(tile, style), class_="asks"),
        ),
        element("p", tile.about) if tile.about else None,
        element("p", tile.reason),
        class_=f"tile {verdict_class(tile.verdict)}",
    )


def _head(tile: GateTile) -> tuple[Markup, ...]:
    kind = (
        "" if tile.severity == "block" else f" · {'warns only' if tile.severity == 'warn' else tile.severity}"
    )
    return (
        element("span", GLYPHS[tile.verdict], class_="glyph", aria_hidden="true"),
        element("b", tile.verdict),
        element("span", f"{tile.id}{kind}", class_="id"),
    )


def _unit(tile: GateTile, style: Style) -> Markup | None:
    words = ["nats"] if style == "nats" else []
    words += ["vs incumbent"] if tile.versus == "incumbent" else []
    return element("small", " ".join(words)) if words else None


def _asks(tile: GateTile, style: Style) -> str:
    side = "above" if tile.is_floor else "below"
    asked = f"must lie {side} {styled(tile.threshold, style)}"
    if tile.lower_end is not None:
        asked = f"must lie between {styled(tile.lower_end, style)} and {styled(tile.threshold, style)}"
    if tile.more_needed:
        asked += f" · {tile.more_needed} more needed"
    return asked


def _unmeasured(tiles: list[GateTile]) -> Markup | None:
    if not tiles:
        return None
    rows = [
        element(
            "li",
            element("b", one.id),
            element("span", label_of(one.metric, one.slice)),
            element("small", f"waived by {one.waived_by}" if one.waived_by else None)
            if one.waived_by
            else None,
            title=one.reason,
        )
        for one in tiles
    ]
    blocking = sum(one.severity == "block" and not one.waived_by for one in tiles)
    words = (
        f"Not measured ({len(tiles)}): {blocking} of them block a release until they are measured or waived."
    )
    return element("div", element("p", words, class_="small"), element("ul", rows), class_="unmeasured")
