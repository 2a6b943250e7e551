"""A comparison as one self-contained HTML page: no network, no other file, equal bytes for equal reports."""

import base64
import hashlib
from importlib.resources import files

from accord.evaluation.report import browser, footer, headline, sections
from accord.evaluation.report.comparison import charts, forest, history, panels, reward_kl, verdict_strip
from accord.evaluation.report.comparison.contents import ComparisonReport
from accord.evaluation.report.markup import Markup, element, join

SECTIONS = (
    verdict_strip.strip,
    forest.forest,
    panels.length,
    reward_kl.reward_over_kl,
    lambda report: sections.frontier(report.base),
    panels.reliability,
    panels.safety_plane,
    panels.bias,
    charts.drift,
    charts.votes,
    history.history,
    lambda report: browser.samples(report.base),
)
"""In the order of the page: the verdict, what changed, whether to believe it, the answers."""


def comparison_to_html(report: ComparisonReport) -> str:
    """The page. Everything in the report is escaped; a content policy forbids any request."""
    script = browser.script() if report.base.samples else Markup("")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", f"{report.base.title} · Accord"),
        element("style", _style()),
    )
    main = element(
        "main",
        verdict_strip.verdict(report),
        headline.cards(report.base),
        headline.findings(report.base),
        [make(report) for make in SECTIONS],
        _not_measured(report),
    )
    body = element(
        "body",
        headline.header(report.base, kind="comparison"),
        main,
        footer.lineage(report.base),
        element("script", script) if script else None,
    )
    return "<!doctype html>\n" + join(element("html", head, body, lang="en")) + "\n"


def _style() -> Markup:
    shared = files("accord.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    own = files("accord.evaluation.report.comparison").joinpath("comparison.css").read_text(encoding="utf-8")
    return Markup(shared + own)


def _not_measured(report: ComparisonReport) -> Markup | None:
    """What has no number, and why: silence would read as "fine"."""
    if not report.not_measured:
        return None
    rows = [
        element("li", element("b", name.replace("_", " ")), f": {reason}")
        for name, reason in report.not_measured.items()
    ]
    return element("section", element("h2", "Not measured"), element("ul", rows, class_="findings"))
