"""A comparison report as files: the page, and the same object as JSON and back."""

import json
from collections.abc import Sequence
from pathlib import Path

from accord.domain.errors import DataError, EvaluationError
from accord.domain.files import write_text_atomic
from accord.evaluation.gates.history import ReleaseRecord
from accord.evaluation.gates.results_file import Results
from accord.evaluation.report.comparison.contents import ComparisonReport, Evidence
from accord.evaluation.report.comparison.history import gate_series, safety_of
from accord.evaluation.report.comparison.page import comparison_to_html
from accord.evaluation.report.encoding import decode, encode

KIND = "comparison"
SCHEMA = 1
"""Raised when the meaning of a field changes."""


def comparison_to_json(report: ComparisonReport) -> str:
    """The report as JSON text, keys in the order of the records, ending in a newline."""
    return json.dumps({"kind": KIND, "schema": SCHEMA, **encode(report)}, indent=1) + "\n"


def comparison_from_json(text: str) -> ComparisonReport:
    """The report that `comparison_to_json` wrote; raises `EvaluationError` on anything else."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise EvaluationError(f"this is not a comparison report: {error}") from error
    is_known = isinstance(tree, dict) and (tree.pop("kind", None), tree.pop("schema", None)) == (KIND, SCHEMA)
    if not is_known:
        raise EvaluationError(f"this is not a comparison report of schema {SCHEMA}")
    return decode(tree, ComparisonReport)


def read_evidence(path: Path) -> Evidence:
    """Parts of a report from a JSON object with the fields of `Evidence`; raises `DataError`."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from error
    try:
        return decode(tree, Evidence, path="evidence")
    except EvaluationError as error:
        raise DataError(str(error), path=str(path)) from error


def join_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several commands as one: series in their order, of single parts the first that is there."""
    joined = Evidence()
    for part in parts:
        joined = Evidence(
            curves=joined.curves + part.curves,
            calibration=joined.calibration or part.calibration,
            calibration_before=joined.calibration_before or part.calibration_before,
            safety=joined.safety + part.safety,
            bias=joined.bias + part.bias,
            drift=joined.drift + part.drift,
            votes=joined.votes or part.votes,
            reward_length=joined.reward_length or part.reward_length,
            history=joined.history or part.history,
        )
    return joined


def evidence_of(results: Sequence[Results]) -> Evidence:
    """The evidence that measuring commands put beside their numbers; raises `DataError`."""
    parts = []
    for one in results:
        try:
            parts.append(decode(dict(one.evidence), Evidence, path="evidence"))
        except EvaluationError as error:
            raise DataError(str(error), path=one.path) from error
    return join_evidence(parts)


def history_evidence(records: Sequence[ReleaseRecord]) -> Evidence:
    """What a history of gates shows: every gate's series, and each release in the safety plane."""
    return Evidence(history=gate_series(records), safety=safety_of(records))


def write_comparison(report: ComparisonReport, folder: Path) -> Path:
    """Write `report.html` and `report.json` into `folder`, each whole or not at all; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / "report.json", comparison_to_json(report))
    page = folder / "report.html"
    write_text_atomic(page, comparison_to_html(report))
    return page
