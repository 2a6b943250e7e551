"""The top of the page: title, what was run, the simulated banner, headline cards, findings."""

from datetime import datetime

from accord.evaluation.report.contents import Card, Mark, Report
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import confidence_words, estimate_value, interval, styled
from accord.evaluation.report.tracks import Axis, interval_track

SIMULATED = (
    "Simulated annotators. No person judged these answers: the preferences come from a seeded panel of "
    "simulated annotators whose taste is known, so that the numbers below can be held against the truth."
)
MARK_PATH = "M3 17 9.2 4.5h1.6L17 17M5.8 12h8.4"
"""The mark: an A whose bar joins two strokes."""


def header(report: Report, *, kind: str = "run report") -> Markup:
    """Brand line, title, subtitle, banner and short facts; `kind` says what the page is."""
    mark = element("path", d=MARK_PATH, fill="none", stroke="currentColor", stroke_width=2)
    brand = element(
        "p",
        element("svg", mark, viewBox="0 0 20 20", width=18, height=18, aria_hidden="true"),
        element("span", "Accord"),
        element("span", kind, class_="quiet"),
        element("time", readable_time(report.created_at), datetime=report.created_at, class_="quiet time")
        if report.created_at
        else None,
        class_="brand",
    )
    facts = [
        element("div", element("dt", name), element("dd", value)) for name, value in report.facts.items()
    ]
    return element(
        "header",
        brand,
        element("h1", report.title),
        element("p", report.subtitle, class_="subtitle") if report.subtitle else None,
        element("p", SIMULATED, class_="banner", role="note") if report.is_simulated else None,
        element("dl", facts, class_="facts") if facts else None,
    )


def readable_time(created_at: str) -> str:
    """An ISO 8601 time as "23 November 2026, 21:04 UTC"; anything else as it stands."""
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return created_at
    zone = f" {moment.tzname()}" if moment.tzinfo is not None else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def cards(report: Report) -> Markup | None:
    """The headline numbers, each with its interval and reference marks."""
    if not report.cards:
        return None
    return element(
        "section", [_card(card) for card in report.cards], class_="cards", aria_label="Headline numbers"
    )


def findings(report: Report) -> Markup | None:
    """What the numbers say, in the words of whoever ran it."""
    if not report.notes:
        return None
    return element("ul", [element("li", note) for note in report.notes], class_="findings")


def _card(card: Card) -> Markup:
    bounds = interval(card.estimate, card.style)
    words = f"{confidence_words(card.estimate)} {bounds}" if bounds else "no interval"
    before = () if card.before is None else (Mark(value=card.before.value, label="before"),)
    marks = [
        element(
            "p",
            element("span", class_="tick-mark"),
            f"{mark.label} {styled(mark.value, card.style)}",
            class_="mark-label",
        )
        for mark in card.marks
    ]
    return element(
        "article",
        element("h2", card.label),
        _figure(card),
        element("p", words, class_="bounds"),
        interval_track(card.estimate, _card_axis(card), marks=(*card.marks, *before)),
        marks,
        element("p", card.note, class_="note") if card.note else None,
        class_="card",
    )


def _figure(card: Card) -> Markup:
    """The large number, after the smaller one that it was before."""
    value = estimate_value(card.estimate, card.style)
    unit = "nats" if card.style == "nats" else ""
    before = None
    if card.before is not None:
        arrow = element("span", "→", class_="arrow")
        before = element("span", estimate_value(card.before, card.style), arrow, class_="before")
    return element(
        "p",
        before,
        element("span", value.removesuffix(" nats"), class_="figure"),
        element("span", unit, class_="unit") if unit else None,
        class_="value",
    )


def _card_axis(card: Card) -> Axis:
    if card.axis is not None:
        return Axis(low=card.axis[0], high=card.axis[1], style=card.style)
    if card.style == "percent":
        return Axis(low=0.0, high=1.0, style="percent")
    shown = [card.estimate] if card.before is None else [card.estimate, card.before]
    return Axis.around(shown, include=[mark.value for mark in card.marks], style=card.style)
