"""Files of answers are read and matched strictly."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.domain.errors import DataError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.evaluation.comparison.responses import (
    Responses,
    align_responses,
    read_completion,
    read_responses,
    response_row,
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(*names: str) -> list[dict[str, Any]]:
    return [{"id": name, "prompt": f"What is {name}?", "response": f"{name} is a letter."} for name in names]


def test_a_file_is_read_with_its_digest_and_without_endings(tmp_path: Path):
    found = read_responses(write(tmp_path / "old.jsonl", rows("a", "b")))
    assert found.name == "old"
    assert [one.text for one in found.prompts] == ["What is a?", "What is b?"]
    assert found.keys == ("a", "b")
    assert not found.knows_endings
    assert len(found.facts["file_sha256"]) == 64


def test_messages_system_and_endings_are_read(tmp_path: Path):
    row = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "response": "Hi",
        "finish_reason": "length",
        "domain": "greetings",
    }
    found = read_responses(write(tmp_path / "one.jsonl", [row]))
    assert found.prompts[0].id == Prompt.from_text("Hello", system="Be brief.").id
    assert found.prompts[0].meta == {"domain": "greetings"}
    assert found.completions[0].finish_reason is FinishReason.LENGTH
    assert found.knows_endings


def test_what_is_written_is_read_again(tmp_path: Path):
    prompt = Prompt.from_text("Hello", system="Be brief.")
    answer = Completion(
        text="Hi",
        token_ids=(5, 0),
        logprobs=(-0.5, -0.1),
        finish_reason=FinishReason.STOP,
        policy_version="v1",
    )
    row = response_row(prompt, answer)
    assert read_completion(json.loads(json.dumps(row))) == answer
    found = read_responses(write(tmp_path / "x.jsonl", [row]))
    assert found.prompts == (prompt,)
    assert found.completions == (answer,)
    assert found.has_ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"response": None}, "response is None"),
        ({"prompt": ""}, "prompt is ''"),
        ({"prompt": [["user"]]}, "a message is"),
        ({"finish_reason": "eos"}, "expected stop or length"),
        ({"logprobs": [0.1]}, "1 logprobs for 0 token_ids"),
    ],
)
def test_a_row_that_does_not_fit_names_its_line(tmp_path: Path, change: dict[str, Any], message: str):
    good, bad = rows("a", "b")
    path = write(tmp_path / "x.jsonl", [good, {**bad, **change}])
    with pytest.raises(DataError, match=message) as caught:
        read_responses(path)
    assert caught.value.line == 2


def test_a_prompt_that_is_there_twice_is_refused(tmp_path: Path):
    path = write(tmp_path / "x.jsonl", rows("a", "b", "a"))
    with pytest.raises(DataError, match="id 'a' is there twice, first in line 1"):
        read_responses(path)
    unnamed = [{"prompt": "Same", "response": word} for word in ("x", "y")]
    with pytest.raises(DataError, match="the prompt 'Same' is there twice"):
        read_responses(write(tmp_path / "y.jsonl", unnamed))


def test_answers_that_are_all_empty_are_refused(tmp_path: Path):
    path = write(tmp_path / "x.jsonl", [{**row, "response": " "} for row in rows("a", "b")])
    with pytest.raises(DataError, match="all 2 answers are empty"):
        read_responses(path)


def make(name: str, *letters: str, keys: tuple[str, ...] | None = None) -> Responses:
    return Responses(
        name=name,
        prompts=tuple(Prompt.from_text(one) for one in letters),
        completions=tuple(Completion(text=f"{name} {one}") for one in letters),
        keys=keys if keys is not None else letters,
    )


def test_rows_are_put_into_the_candidates_order():
    found = align_responses(make("new", "a", "b", "c"), make("old", "c", "a", "b"))
    assert [one.text for one in found.completions] == ["old a", "old b", "old c"]


def test_files_that_share_no_id_are_matched_by_prompt():
    found = align_responses(make("new", "a", "b"), make("old", "b", "a", keys=("1", "2")))
    assert [one.text for one in found.completions] == ["old a", "old b"]


def test_different_prompts_are_refused_and_named():
    with pytest.raises(DataError, match=r"1 only new, 2 only old, e.g. 'b', 'c', 'd'"):
        align_responses(make("new", "a", "b"), make("old", "a", "c", "d"))


def test_one_id_with_two_prompts_is_refused():
    with pytest.raises(DataError, match="id '1' is the prompt 'a' for new and 'b' for old"):
        align_responses(make("new", "a", keys=("1",)), make("old", "b", keys=("1",)))


def test_the_digest_does_not_depend_on_the_order_of_rows():
    assert make("new", "a", "b").digest == make("new", "b", "a").digest
    assert make("new", "a").digest != make("old", "a").digest
