"""One report as one self-contained HTML page: no network, no other file, equal bytes for equal reports."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from accord.domain.files import write_text_atomic
from accord.evaluation.report import browser, footer, headline, reward_health, sections, stage_table
from accord.evaluation.report.contents import Report
from accord.evaluation.report.encoding import report_to_json
from accord.evaluation.report.markup import Markup, element, join

SECTIONS = (
    stage_table.stages,
    sections.win_rates,
    sections.frontier,
    reward_health.reward_model,
    sections.lengths,
    browser.samples,
    sections.curves,
    sections.annotators,
)
"""In the order of the page: what came of it, whether to believe it, how it got there."""


def report_to_html(report: Report) -> str:
    """The page. Everything in the report is escaped; a content policy forbids any request."""
    script = browser.script() if report.samples else Markup("")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    style = files("accord.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", f"{report.title} · Accord"),
        element("style", Markup(style)),
    )
    main = element(
        "main",
        headline.cards(report),
        headline.findings(report),
        [make(report) for make in SECTIONS],
    )
    body = element(
        "body",
        headline.header(report),
        main,
        footer.lineage(report),
        element("script", script) if script else None,
    )
    page = element("html", head, body, lang="en")
    return "<!doctype html>\n" + join(page) + "\n"


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.html` and `report.json` into `folder`, each whole or not at all; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / "report.json", report_to_json(report))
    page = folder / "report.html"
    write_text_atomic(page, report_to_html(report))
    return page
