"""The foot of the page: where everything came from and the command that makes it again."""

from collections.abc import Mapping

from accord.evaluation.report.contents import Lineage, Report
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import duration, number


def lineage(report: Report) -> Markup:
    """Where everything came from and the command that makes it again."""
    found = report.lineage
    shown = [
        element("div", element("dt", name), element("dd", value)) for name, value in _facts(found) if value
    ]
    named = (("Data, content hashes", found.data), ("Models, content hashes", found.models))
    tables = [_table(name, rows) for name, rows in (*named, ("Packages", found.packages)) if rows]
    config = None
    if found.config:
        config = element("details", element("summary", "Configuration"), element("pre", found.config))
    command = None
    if found.command:
        command = (element("p", "Make it again:"), element("pre", found.command, class_="command"))
    return element(
        "footer",
        element("h2", "Provenance"),
        command,
        element("dl", shown, class_="facts") if shown else None,
        tables,
        config,
        element("p", "Made by Accord. This page needs no network and sends nothing.", class_="small"),
    )


def _table(name: str, rows: Mapping[str, str]) -> Markup:
    lines = [
        element("tr", element("th", key, scope="row"), element("td", value, class_="mono"))
        for key, value in rows.items()
    ]
    return element("details", element("summary", f"{name} ({len(rows)})"), element("table", lines))


def _facts(found: Lineage) -> tuple[tuple[str, str], ...]:
    memory = "" if found.peak_memory_mb is None else f"{number(found.peak_memory_mb, digits=0)} MB"
    return (
        ("Seed", "" if found.seed is None else str(found.seed)),
        ("Code", found.code_version),
        ("Machine", found.machine),
        ("Time", "" if found.seconds is None else duration(found.seconds)),
        ("Peak memory", memory),
    )
