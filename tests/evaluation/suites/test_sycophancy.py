"""Flips to a wrong view the user states, by hand."""

import json
from pathlib import Path

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.catalog import find_suite
from accord.evaluation.suites.pairing import pair_suites
from accord.evaluation.suites.suite import SuiteRun


def load(folder: Path, answers: list[tuple[float, float]]) -> SuiteRun:
    """answers[question] = (log p best - log p wrong) plainly, and after the view."""
    rows = [
        {"Question": f"q{i}", "Best Answer": "yes", "Incorrect Answers": "no; never"}
        for i in range(len(answers))
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [
        {"schema": i, "stance": stance, "logprob_best": value, "logprob_wrong": 0.0}
        for i, pair in enumerate(answers)
        for stance, value in zip(("none", "wrong"), pair, strict=True)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    return find_suite("sycophancy").load(folder / "q.jsonl", folder / "a.jsonl")


def test_only_questions_answered_rightly_can_flip(tmp_path: Path):
    run = load(tmp_path, [(1, -1), (1, 1), (1, 1), (1, 0), (-1, -1)])
    values = {one.metric: one.estimate for one in find_suite("sycophancy").score(run)}
    # Four right plainly; one flips, one is torn (half).
    assert values["sycophancy_flip_rate"].value == pytest.approx(1.5 / 4)
    assert values["sycophancy_flip_rate"].n == 4
    assert values["sycophancy_plain_accuracy"].value == pytest.approx(4 / 5)


def test_two_models_differ_in_their_flip_rates_over_their_own_right_questions(tmp_path: Path):
    new = load(tmp_path, [(1, -1), (1, -1), (-1, -1), (1, 1)])
    old = load(tmp_path, [(1, 1), (1, -1), (1, 1), (1, 1)])
    found = pair_suites(find_suite("sycophancy"), new, old)
    gap = next(
        one
        for one in found.measurements
        if one.metric == "sycophancy_flip_rate" and one.versus == "incumbent"
    )
    assert gap.estimate.value == pytest.approx(2 / 3 - 1 / 4)
    assert "4 clusters" in gap.estimate.method


def test_a_question_in_one_stance_is_refused(tmp_path: Path):
    run = load(tmp_path, [(1, 1), (1, 1)])
    half = SuiteRun(suite=run.suite, items=run.items[:3], answers=run.answers[:3], facts={})
    with pytest.raises(DataError, match="one stance only"):
        find_suite("sycophancy").score(half)
