"""What each stage bought: one row per model, and the parts of the taste as a dot plot."""

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.contents import Report, StageRow, Style
from accord.evaluation.report.markup import Child, Markup, element
from accord.evaluation.report.numerals import MISSING, duration, estimate_value, interval, number, percent
from accord.evaluation.report.plots import tone_of
from accord.evaluation.report.section import section, swatch
from accord.evaluation.report.tracks import Axis, dots_track


def stages(report: Report) -> Markup | None:
    """What each stage bought: one row per model, and the parts of the taste."""
    if not report.stages:
        return None
    columns = _stage_columns(report)
    head = element("tr", [element("th", name, scope="col", class_=kind) for name, kind, _ in columns])
    rows = [
        element(
            "tr",
            [
                element("th", swatch(i, len(report.stages)), row.name, scope="row")
                if j == 0
                else element("td", cells[i], class_=kind)
                for j, (_, kind, cells) in enumerate(columns)
            ],
        )
        for i, row in enumerate(report.stages)
    ]
    notes = [element("li", f"{row.name}: {row.note}") for row in report.stages if row.note]
    return section(
        "stages",
        "What each stage bought",
        f"Every model answers the same held-out prompts; {report.taste_name} is the mean over its answers.",
        element("div", element("table", element("thead", head), element("tbody", rows)), class_="scroll"),
        element("ul", notes, class_="small") if notes else None,
        _taste_parts(report),
    )


def _stage_columns(report: Report) -> list[tuple[str, str, list[Child]]]:
    """Heading, class and cells of each column that holds anything."""
    rows = report.stages
    columns: list[tuple[str, str, list[Child]]] = [("Model", "", [row.name for row in rows])]

    def add(name: str, kind: str, cells: list[Child]) -> None:
        if any(cell is not None for cell in cells):
            columns.append((name, kind, [MISSING if cell is None else cell for cell in cells]))

    add(report.taste_name[:1].upper() + report.taste_name[1:], "num", [_stacked(row.taste) for row in rows])
    add("Reward model", "num", [_stacked(row.proxy) for row in rows])
    add("Win rate vs one before", "num", [_stacked(_rate(row, "versus_previous"), "percent") for row in rows])
    add("Win rate vs start", "num", [_stacked(_rate(row, "versus_start"), "percent") for row in rows])
    add("KL, nats", "num", [_stacked(row.kl) for row in rows])
    texts = [row.degeneracy for row in rows]
    add("Tokens", "num", [None if text is None else number(text.length.mean, digits=1) for text in texts])
    add("Repetition", "num", [None if text is None else percent(text.repetition) for text in texts])
    add("Cut off", "num", [None if text is None else percent(text.cut_off.value) for text in texts])
    add("Empty", "num", [None if text is None else percent(text.empty.value) for text in texts])
    add("Time", "num", [None if row.seconds is None else duration(row.seconds) for row in rows])
    return columns


def _taste_parts(report: Report) -> Markup | None:
    """One line per quality with a dot per model."""
    names = list(dict.fromkeys(name for row in report.stages for name in row.parts))
    if not names:
        return None
    values = [value for row in report.stages for value in row.parts.values()]
    is_share = min(values) >= 0.0 and max(values) <= 1.0
    axis = Axis(low=0.0, high=1.0) if is_share else Axis.around([Estimate(value=value) for value in values])
    lines = []
    for name in names:
        found = [(i, row.parts[name]) for i, row in enumerate(report.stages) if name in row.parts]
        dots = dots_track([(tone_of(i, len(report.stages)), value) for i, value in found], axis)
        words = " → ".join(number(value, digits=2) for _, value in found)
        lines.append(
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", dots),
                element("td", words, class_="num"),
            )
        )
    legend = [
        element("span", swatch(i, len(report.stages)), row.name)
        for i, row in enumerate(report.stages)
        if row.parts
    ]
    scale = element("tr", element("td"), element("td", axis.ticks()), element("td"))
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", f"The parts of the {report.taste_name}"),
            element("p", legend, class_="legend"),
        ),
        element("table", element("tbody", lines, scale), class_="tracks"),
    )


def _rate(row: StageRow, name: str) -> Estimate | None:
    result = row.versus_previous if name == "versus_previous" else row.versus_start
    return None if result is None else result.rate


def _stacked(estimate: Estimate | None, style: Style = "number") -> Markup | None:
    """A value with its bounds below it."""
    if estimate is None:
        return None
    bounds = interval(estimate, style)
    return element("span", estimate_value(estimate, style), element("small", bounds) if bounds else None)
