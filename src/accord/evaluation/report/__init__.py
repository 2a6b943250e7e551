"""One run as one picture: the `Report` object, its JSON, its page and its terminal lines."""

from accord.evaluation.report.contents import (
    AnnotatorRow,
    Answer,
    Card,
    Curve,
    Lineage,
    Mark,
    NamedWinRate,
    Report,
    RewardHealth,
    Sample,
    StageRow,
)
from accord.evaluation.report.encoding import report_from_json, report_to_json
from accord.evaluation.report.page import report_to_html, write_report
from accord.evaluation.report.summary import summary_lines

__all__ = [
    "AnnotatorRow",
    "Answer",
    "Card",
    "Curve",
    "Lineage",
    "Mark",
    "NamedWinRate",
    "Report",
    "RewardHealth",
    "Sample",
    "StageRow",
    "report_from_json",
    "report_to_html",
    "report_to_json",
    "summary_lines",
    "write_report",
]
