"""A quality report as one self-contained HTML page in the look of the run report; no network, no script.

Equal reports give equal bytes. Leaves out the pictures (`quality_plots.py`).
"""

from collections.abc import Callable
from importlib.resources import files

from accord.evaluation import Estimate, Report
from accord.evaluation.report import footer, headline
from accord.evaluation.report.contents import Mark
from accord.evaluation.report.markup import Child, Markup, element, join
from accord.evaluation.report.numerals import MISSING, number, percent, with_interval
from accord.evaluation.report.section import section
from accord.evaluation.report.tracks import Axis, interval_track
from accord.pipeline.quality_contents import (
    UNCALIBRATED,
    AnnotatorFacts,
    BiasRow,
    Coefficient,
    GroupRow,
    QualityReport,
)
from accord.pipeline.quality_plots import (
    annotator_scatter,
    confusion_plot,
    cost_plot,
    drift_plot,
    reliability_diagram,
)

SHOWN_ANNOTATORS = 60
"""Rows of the annotator table: those that stand out, then those with most judgments. The JSON has all."""


def quality_report_to_html(report: QualityReport) -> str:
    """The page. Everything in the report is escaped; a content policy forbids any request."""
    frame = Report(
        title=report.title,
        subtitle=report.subtitle,
        created_at=report.created_at,
        facts=report.facts,
        notes=report.notes,
        cards=report.cards,
        lineage=report.lineage,
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    style = files("accord.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    style += files("accord.pipeline").joinpath("quality_page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", f"{report.title} · Accord"),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        headline.header(frame, kind="quality report"),
        _calibration_banner(report),
        element("main", headline.cards(frame), headline.findings(frame), [make(report) for make in SECTIONS]),
        footer.lineage(frame),
    )
    return "<!doctype html>\n" + join(element("html", head, body, lang="en")) + "\n"


def _calibration_banner(report: QualityReport) -> Markup | None:
    if report.is_calibrated or not report.method:
        return None
    words = f"{UNCALIBRATED.capitalize()}. Read them as an order, not as frequencies."
    return element("p", words, class_="banner uncalibrated", role="note")


def agreement(report: QualityReport) -> Markup | None:
    """Every coefficient on one axis."""
    if not report.agreement:
        return None
    estimates = [row.estimate for row in report.agreement if row.estimate is not None]
    axis = Axis.around(estimates, include=(0.0, 1.0))
    body = [_coefficient_row(row, axis) for row in report.agreement]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    table = element("table", element("tbody", body, scale), class_="tracks forest")
    return section(
        "agreement",
        "How far annotators agree",
        "1 is total agreement; for the coefficients that correct for chance, 0 is what chance would give. "
        "Bars are 95% intervals over items.",
        element("figure", table, class_="wide-plot"),
    )


def _coefficient_row(row: Coefficient, axis: Axis) -> Markup:
    track, words = None, element("small", row.reason)
    if row.estimate is not None:
        track = interval_track(row.estimate, axis, marks=[Mark(value=0.0, label="chance")])
        words = Markup(join(with_interval(row.estimate)))
    note = element("small", row.note) if row.note else None
    return element(
        "tr",
        element("th", row.name, note, scope="row"),
        element("td", track),
        element("td", words, class_="num" if row.estimate is not None else None),
    )


def trust(report: QualityReport) -> Markup | None:
    """Reliability on gold: diagram, log-loss against the smoothed vote, alarms."""
    found = report.reliability
    if found is None:
        return None
    fitted = f" The calibrator was fitted on {found.fitted_on} other items." if found.fitted_on else ""
    base = ""
    if found.baseline_log_loss is not None:
        base = f"; of the smoothed vote share {with_interval(found.baseline_log_loss)}"
    losses = f"Log-loss {with_interval(found.log_loss)} nats an item{base}."
    words = f"Accuracy {with_interval(found.accuracy, 'percent')} on {found.accuracy.n} items. {losses}"
    diagram = None
    if found.points:
        key = "reliability"
        diagram = reliability_diagram(found, n_classes=len(report.classes), key=key)
    return section(
        "trust",
        "Can the probabilities be trusted?",
        f"Against gold that took no part in the fit.{fitted}",
        element("figure", diagram, class_="square-plot"),
        element("p", words, class_="small"),
        element("ul", [element("li", alarm) for alarm in found.alarms], class_="findings flags"),
    )


def confusions(report: QualityReport) -> Markup | None:
    """A matrix for each class structure worth seeing."""
    if not report.confusions or not report.classes:
        return None
    figures = [
        element(
            "figure",
            element(
                "figcaption", element("h3", row.name), element("p", f"{row.labels:,} labels", class_="small")
            ),
            confusion_plot(row, report.classes, key=f"confusion-{place}"),
        )
        for place, row in enumerate(report.confusions)
    ]
    return section(
        "confusions",
        "How each class is answered",
        "Rows are the class of the item, columns the answer given; blue is right, orange is wrong.",
        element("div", figures, class_="matrices"),
    )


def annotators(report: QualityReport) -> Markup | None:
    """The scatter and the table."""
    if not report.annotators:
        return None
    rows = report.annotators
    plots: list[Child] = []
    if any(row.accuracy is not None for row in rows):
        plots.append(_figure("By experience", annotator_scatter(rows, by="judgments", key="by-judgments")))
    if any(row.accuracy is not None and row.median_seconds is not None for row in rows):
        plots.append(_figure("By speed", annotator_scatter(rows, by="seconds", key="by-seconds")))
    flagged = sum(bool(row.flags) for row in rows)
    against = "gold" if any(row.gold_seen for row in rows) else "consensus"
    lead = f"{len(rows)} annotators, {flagged} with something to look at. Accuracy against {against}."
    return section(
        "annotators",
        "The annotators",
        lead,
        element("div", plots, class_="pair") if plots else None,
        _annotator_table(rows),
    )


def _figure(title: str, plot: Markup) -> Markup:
    return element("figure", element("figcaption", element("h3", title)), plot)


Column = tuple[str, str, Callable[[AnnotatorFacts], Child]]


def _annotator_table(rows: tuple[AnnotatorFacts, ...]) -> Markup:
    shown = sorted(rows, key=lambda row: (not row.flags, -row.judgments))[:SHOWN_ANNOTATORS]
    estimates = [row.accuracy for row in rows if row.accuracy is not None]
    axis = Axis.around(estimates, include=(0.5, 1.0), style="percent")

    def track(row: AnnotatorFacts) -> Child:
        return None if row.accuracy is None else interval_track(row.accuracy, axis)

    columns: list[Column] = [
        ("Judgments", "num", lambda row: number(row.judgments, digits=0)),
        ("", "track-cell", track),
        ("Accuracy", "num", lambda row: with_interval(row.accuracy, "percent")),
    ]
    optional: list[tuple[bool, Column]] = [
        (any(row.gold_seen for row in rows), ("Gold", "num", lambda row: number(row.gold_seen, digits=0))),
        (
            any(row.value is not None for row in rows),
            ("Value", "num", lambda row: percent(row.value, digits=0)),
        ),
        (any(row.gain is not None for row in rows), ("Gain", "num", lambda row: with_interval(row.gain))),
        (
            any(row.left_habit is not None for row in rows),
            ("Left habit", "num", lambda row: with_interval(row.left_habit)),
        ),
        (
            any(row.tie_share is not None for row in rows),
            ("Ties", "num", lambda row: percent(row.tie_share, digits=0)),
        ),
        (
            any(row.median_seconds is not None for row in rows),
            ("Seconds", "num", lambda row: number(row.median_seconds)),
        ),
    ]
    columns += [column for is_there, column in optional if is_there]
    if any(row.flags for row in rows):
        columns.append(("To look at", "words", _flags))
    head = [element("th", name, scope="col", class_=kind) for name, kind, _ in columns]
    body = [
        element(
            "tr",
            element("th", row.name, scope="row"),
            [element("td", cell(row), class_=kind) for _, kind, cell in columns],
        )
        for row in shown
    ]
    table = element(
        "table",
        element("thead", element("tr", element("th", "Annotator", scope="col"), head)),
        element("tbody", body),
        class_="tracks people",
    )
    rest = len(rows) - len(shown)
    note = element("p", f"{rest} more are in the JSON.", class_="small") if rest else None
    return element("div", element("div", table, class_="scroll"), note, style="margin-top: 2rem")


def _flags(row: AnnotatorFacts) -> Child:
    """The verdict in bold, then the reasons as they are, each a sentence."""
    if not row.flags:
        return element("span", MISSING, class_="small")
    verdict, *reasons = row.flags
    return element("span", element("strong", verdict.capitalize()), " ", " ".join(reasons), class_="flags")


def drift(report: QualityReport) -> Markup | None:
    """One small chart a detector."""
    if not report.drift:
        return None
    figures = [
        _figure(chart.annotator, drift_plot(chart, key=f"drift-{place}"))
        for place, chart in enumerate(report.drift)
    ]
    return section(
        "drift",
        "Who changed",
        "The evidence of a decline after each judgment, as it would have been watched live; it alarms at the "
        "red line, which is set so that false alarms stay rare over all annotators together. The gray line "
        "stands where a test of the whole stream, looking back, finds that a fall began.",
        element("div", figures, class_="grid"),
    )


def costs(report: QualityReport) -> Markup | None:
    """The cost-quality curve."""
    if not report.costs:
        return None
    return section(
        "costs",
        "What a label buys",
        "The same labels replayed: a fixed number for every item, or as many as each item needs.",
        element(
            "figure",
            element("figcaption", element("p", _cost_legend(report), class_="legend")),
            cost_plot(report.costs, key="costs"),
            class_="wide-plot",
        ),
    )


def _cost_legend(report: QualityReport) -> list[Markup]:
    """A line of its own for what each line of the plot is."""
    words = ((True, "last", "as many labels as each item needs"), (False, "first dashed", "a fixed number"))
    return [
        element("span", element("span", class_=f"key-line tone-{tone}"), text)
        for is_adaptive, tone, text in words
        if any(point.is_adaptive is is_adaptive for point in report.costs)
    ]


def biases(report: QualityReport) -> Markup | None:
    """A forest of effects."""
    if not report.biases:
        return None
    estimates = [row.estimate for row in report.biases if row.estimate is not None]
    axis = Axis.around(estimates, include=(0.0,))
    body = [_bias_row(row, axis) for row in report.biases]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    return section(
        "biases",
        "What sways the choices",
        "Log-odds that something other than quality adds; 0 is none, +1 turns even odds into 73%.",
        element(
            "figure",
            element("table", element("tbody", body, scale), class_="tracks forest"),
            class_="wide-plot",
        ),
    )


def _bias_row(row: BiasRow, axis: Axis) -> Markup:
    track, words = None, element("small", row.reason)
    if row.estimate is not None:
        track = interval_track(row.estimate, axis, marks=[Mark(value=0.0, label="no bias")])
        tail = "" if row.p_value is None else f" p {row.p_value:.2g}"
        words = Markup(join([with_interval(row.estimate), element("small", tail)]))
    family = element("small", row.family) if row.family else None
    return element(
        "tr",
        element("th", row.name, family, scope="row"),
        element("td", track),
        element("td", words, class_="num"),
    )


def groups(report: QualityReport) -> Markup | None:
    """Agreement within and across groups, and whom quality control would set aside."""
    if not report.groups:
        return None
    names = ("Group", "Annotators", "Labels", "Within", "Across", "p", "Set aside")
    head = [element("th", name, scope="col", class_="num" if i else None) for i, name in enumerate(names)]
    body = [_group_row(row) for row in report.groups]
    table = element(
        "table", element("thead", element("tr", head)), element("tbody", body), class_="wide-table"
    )
    return section(
        "groups",
        "Groups of annotators",
        "Where people of a group agree with each other more than with the rest, a majority vote would "
        "silence them; quality control must not.",
        element("div", table, class_="scroll"),
    )


def _group_row(row: GroupRow) -> Markup:
    share = f" ({percent(row.excluded / row.annotators, digits=0)})" if row.annotators else ""
    cells = (
        number(row.annotators, digits=0),
        number(row.labels, digits=0),
        _stacked(row.within),
        _stacked(row.across),
        MISSING if row.p_value is None else f"{row.p_value:.2g}",
        f"{row.excluded}{share}",
    )
    return element(
        "tr",
        element("th", row.group, element("small", row.attribute), scope="row"),
        [element("td", cell, class_="num") for cell in cells],
    )


def _stacked(estimate: Estimate | None) -> Child:
    return MISSING if estimate is None else with_interval(estimate)


SECTIONS = (agreement, trust, confusions, annotators, drift, costs, biases, groups)
"""In the order of the page: the labels, the answers, the people, the money, the fairness."""
