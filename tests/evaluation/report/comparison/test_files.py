"""The same object as JSON and back, and the parts that come from a file."""

import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError, EvaluationError
from accord.evaluation.report.comparison import (
    ComparisonReport,
    comparison_from_json,
    comparison_to_html,
    comparison_to_json,
    read_evidence,
    write_comparison,
)
from accord.evaluation.report.encoding import encode


def test_json_and_back_gives_the_same_page(comparison_report: ComparisonReport):
    text = comparison_to_json(comparison_report)
    again = comparison_from_json(text)
    assert comparison_to_json(again) == text
    assert comparison_to_html(again) == comparison_to_html(comparison_report)


def test_other_json_is_refused():
    for text in ("nothing", "{}", '{"kind": "comparison", "schema": 9}'):
        with pytest.raises(EvaluationError, match="not a comparison report"):
            comparison_from_json(text)


def test_both_files_are_written(comparison_report: ComparisonReport, tmp_path: Path):
    page = write_comparison(comparison_report, tmp_path / "out")
    assert page.read_text().startswith("<!doctype html>")
    assert comparison_from_json((tmp_path / "out" / "report.json").read_text()) is not None


def test_evidence_is_read_and_bad_fields_are_named(comparison_report: ComparisonReport, tmp_path: Path):
    path = tmp_path / "e.json"
    path.write_text(json.dumps(encode(comparison_report.evidence)))
    assert encode(read_evidence(path)) == encode(comparison_report.evidence)
    path.write_text('{"votes": {"name": 3}}')
    with pytest.raises(DataError, match=r"evidence.votes.name must be a str"):
        read_evidence(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_evidence(tmp_path / "none.json")
