"""The page that decides: a candidate against the incumbent, gate by gate, with the evidence below."""

from accord.evaluation.report.comparison.building import report_comparison, report_release
from accord.evaluation.report.comparison.contents import ComparisonReport, Evidence
from accord.evaluation.report.comparison.files import (
    comparison_from_json,
    comparison_to_json,
    evidence_of,
    join_evidence,
    read_evidence,
    write_comparison,
)
from accord.evaluation.report.comparison.page import comparison_to_html

__all__ = [
    "ComparisonReport",
    "Evidence",
    "comparison_from_json",
    "comparison_to_html",
    "comparison_to_json",
    "evidence_of",
    "join_evidence",
    "read_evidence",
    "report_comparison",
    "report_release",
    "write_comparison",
]
