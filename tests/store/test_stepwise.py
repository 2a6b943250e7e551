"""Answers in labeled steps: as TRL keeps them, as Accord does, and what is refused."""

import json

import pytest

from accord.domain import DataError, Prompt, StepLabels
from accord.store import read_prompts, read_records, write_records
from accord.store.reading import read_step_labels

ROWS = [
    {
        "prompt": "1 + 2 + 3?",
        "completions": ["1 + 2 is 3", "3 + 3 is 7"],
        "labels": [True, False],
        "judge": "a",
    },
    {"prompt": "2 + 2?", "completions": ["2 + 2 is 4", "so 4"], "labels": [0.75, None], "judge": "bo"},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_trls_stepwise_rows_are_recognized(tmp_path):
    path = write(tmp_path / "steps.jsonl", ROWS)
    file = read_records(path)
    assert file.kind is StepLabels
    first, second = read_step_labels(path)
    assert first == StepLabels(
        prompt=Prompt.from_raw("1 + 2 + 3?"),
        steps=("1 + 2 is 3", "3 + 3 is 7"),
        labels=(1.0, 0.0),
        annotator_id="a",
    )
    assert second.labels == (0.75, None)
    assert [prompt.text for prompt in read_prompts(path)] == ["1 + 2 + 3?", "2 + 2?"]


@pytest.mark.parametrize("form", ["stepwise", "accord"])
def test_rows_come_back_as_they_were(tmp_path, form):
    records = read_step_labels(write(tmp_path / "steps.jsonl", ROWS))
    write_records(tmp_path / "again.jsonl", records, format=form)
    assert read_step_labels(tmp_path / "again.jsonl") == records


def test_rankings_are_not_taken_for_steps(tmp_path):
    row = {"prompt": "q", "completions": ["a", "b"], "ranks": [1, 2], "labels": ["x", "y"]}
    assert read_records(write(tmp_path / "ranks.jsonl", [row])).kind is not StepLabels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [True]}, "2 steps and 1 labels"),
        ({"labels": [True, 1.5]}, r"in \[0, 1\]"),
        ({"labels": [True, "yes"]}, "true, false, a number"),
        ({"completions": ["a", 3]}, "a step must be text"),
        ({"completions": [], "labels": []}, "one or more steps"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, change, message):
    path = write(tmp_path / "steps.jsonl", [{**ROWS[0], **change}])
    with pytest.raises(DataError, match=message):
        read_step_labels(path, format="stepwise")
