"""People's votes on the very answers that are compared, whichever side they stood on."""

import json
import math

import pytest

from accord.cli.main import run_command
from accord.domain.errors import EvaluationError
from accord.domain.judgments import Choice, Comparison, Judgment, Source
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.evaluation.comparison.judging import judge_pairs
from accord.evaluation.judges import PeopleJudge

PROMPTS = [Prompt.from_text(f"q{i}") for i in range(3)]


def said(prompt, left, right, choice, person, source=Source.HUMAN):
    comparison = Comparison(prompt=PROMPTS[prompt], left=left, right=right)
    return Judgment(comparison=comparison, annotator_id=person, choice=choice, source=source)


def answers(*texts):
    return [Completion(text=text, finish_reason=FinishReason.STOP) for text in texts]


def test_votes_are_averaged_whichever_side_an_answer_stood_on():
    judge = PeopleJudge.from_judgments(
        [
            said(0, "new", "old", Choice.LEFT, "ada"),
            said(0, "old", "new ", Choice.LEFT, "bob"),
            said(0, "old", "new", Choice.TIE, "cyd"),
            said(1, "old", "new", Choice.RIGHT, "ada"),
            said(1, "other", "old", Choice.RIGHT, "ada"),
            said(1, "old", "new", Choice.LEFT, "robot", Source.SIMULATED),
        ]
    )
    assert judge.name == "people, 5 votes by 3"
    found = judge_pairs(judge, PROMPTS, answers("new", "new", "new"), answers("old", "old", "old"))
    # (1 + 0 + 1/2) / 3; 1; nobody looked at the third
    assert found.preferences[:2] == (0.5, 1.0)
    assert math.isnan(found.preferences[2])
    assert found.swap_consistency is None


def test_no_person_is_an_error_and_other_answers_have_no_verdict():
    with pytest.raises(EvaluationError, match="1 by models or simulated"):
        PeopleJudge.from_judgments([said(0, "a", "b", Choice.LEFT, "x", Source.MODEL)])
    judge = PeopleJudge.from_judgments([said(0, "a", "b", Choice.LEFT, "x")])
    found = judge.prefer(PROMPTS, answers("c", "c", "c"), answers("b", "b", "b"))
    assert all(math.isnan(one) for one in found)


def test_compare_takes_exported_judgments(tmp_path, capsys):
    from accord.store import write_records

    sides = {}
    for side in ("new", "old"):
        sides[side] = tmp_path / f"{side}.jsonl"
        rows = [{"prompt": f"q{i}", "response": f"{side} {i}"} for i in range(12)]
        sides[side].write_text("".join(json.dumps(row) + "\n" for row in rows))
    judgments = []
    for i in range(12):
        comparison = Comparison(prompt=Prompt.from_text(f"q{i}"), left=f"old {i}", right=f"new {i}")
        choice = Choice.RIGHT if i < 9 else Choice.LEFT
        judgments.append(Judgment(comparison=comparison, annotator_id="ada", choice=choice))
    votes = tmp_path / "votes.jsonl"
    write_records(votes, judgments)
    words = ["evaluate", "compare", str(sides["new"]), str(sides["old"]), "--judge", f"people:{votes}"]
    assert run_command([*words, "--json", "--out", str(tmp_path / "out")]) == 2
    found = json.loads(capsys.readouterr().out)
    rate = next(one for one in found["measurements"] if (one["metric"], one["slice"]) == ("win_rate", "all"))
    assert rate["estimate"]["value"] == 0.75
    page = (tmp_path / "out" / "report.html").read_text()
    assert "people, 12 votes by 1" in page
    assert "uncorrected by people" not in page
