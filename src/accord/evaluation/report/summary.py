"""A report as a few lines of plain text for a terminal; the caller prints them."""

from accord.evaluation.report.contents import Report, StageRow
from accord.evaluation.report.headline import SIMULATED
from accord.evaluation.report.numerals import MISSING, number, percent, with_interval
from accord.evaluation.report.sections import gaming_words


def summary_lines(report: Report) -> list[str]:
    """Title, headline numbers, what each stage bought, where gaming starts, findings."""
    lines = [report.title]
    if report.subtitle:
        lines.append(report.subtitle)
    if report.is_simulated:
        lines.append(SIMULATED.split(":")[0] + ".")
    if report.cards:
        lines.append("")
        width = max(len(card.label) for card in report.cards)
        for card in report.cards:
            before = "" if card.before is None else f"{with_interval(card.before, card.style)} -> "
            marks = "".join(f"  ({mark.label} {_mark(mark.value, card.style)})" for mark in card.marks)
            lines.append(
                f"  {card.label:<{width}}  {before}{with_interval(card.estimate, card.style)}{marks}"
            )
    if report.stages:
        lines += ["", *_stage_table(report)]
    if report.frontier is not None:
        lines += ["", gaming_words(report.frontier, report.taste_name)]
    if report.notes:
        lines += ["", *(f"- {note}" for note in report.notes)]
    return lines


def _stage_table(report: Report) -> list[str]:
    """Aligned columns; a column that holds nothing is left out."""
    names = ("model", report.taste_name, "win rate vs start", "KL, nats", "tokens", "cut off")
    rows = [_stage_cells(row) for row in report.stages]
    kept = [i for i in range(len(names)) if any(row[i] != MISSING for row in rows)]
    table = [[names[i] for i in kept], *([row[i] for i in kept] for row in rows)]
    widths = [max(len(row[j]) for row in table) for j in range(len(kept))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _stage_cells(row: StageRow) -> list[str]:
    versus = None if row.versus_start is None else row.versus_start.rate
    text = row.degeneracy
    return [
        row.name,
        with_interval(row.taste),
        with_interval(versus, "percent"),
        with_interval(row.kl),
        MISSING if text is None else number(text.length.mean, digits=1),
        MISSING if text is None else percent(text.cut_off.value),
    ]


def _mark(value: float, style: str) -> str:
    return percent(value) if style == "percent" else number(value)
