"""The page that decides: a candidate against the incumbent, gate by gate, with the evidence below."""

from accord.evaluation.report.comparison.building import (
    comparison_evidence,
    report_comparison,
    report_release,
    vote_chart,
)
from accord.evaluation.report.comparison.contents import ComparisonReport, Evidence
from accord.evaluation.report.comparison.files import (
    comparison_from_json,
    comparison_to_json,
    evidence_of,
    history_evidence,
    join_evidence,
    read_evidence,
    write_comparison,
)
from accord.evaluation.report.comparison.page import comparison_to_html

__all__ = [
    "ComparisonReport",
    "Evidence",
    "comparison_evidence",
    "comparison_from_json",
    "comparison_to_html",
    "comparison_to_json",
    "evidence_of",
    "history_evidence",
    "join_evidence",
    "read_evidence",
    "report_comparison",
    "report_release",
    "vote_chart",
    "write_comparison",
]
