"""`accord data` as a user types it."""

import json
import re

import pytest
from typer.testing import CliRunner

from accord.cli.data import app
from accord.domain import Choice, Comparison, DataError, Judgment, Preference, Prompt
from accord.store import read_judgments, read_preferences, read_records, write_records


@pytest.fixture
def votes(tmp_path):
    """Two votes each on 30 pairs; the second shows the pair the other way round and agrees."""
    judgments = []
    for number in range(30):
        prompt = Prompt.from_text(f"question {number} [about brackets]")
        for annotator, sides in (("w1", ("good", "bad")), ("w2", ("bad", "good"))):
            comparison = Comparison(prompt=prompt, left=sides[0], right=sides[1])
            choice = Choice.LEFT if sides[0] == "good" else Choice.RIGHT
            judgments.append(Judgment(comparison=comparison, annotator_id=annotator, choice=choice))
    path = tmp_path / "votes.jsonl"
    write_records(path, judgments)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


def test_inspect_shows_what_is_in_a_file(votes):
    result = run("inspect", votes)
    assert result.exit_code == 0, result.output
    for part in ("60 judgment records from 60 rows", "30, of which 30 repeat", "annotators", "50.0%"):
        assert part in result.output
    assert "question 0 [about brackets]" in result.output


def test_inspect_prints_one_json_object(votes):
    result = run("inspect", votes, "--json", "--against", votes)
    shown = json.loads(result.stdout)
    assert (shown["rows"], shown["prompts"], shown["annotators"]["annotators"]) == (60, 30, 2)
    assert shown["leakage"] == [{"against": str(votes), "prompts": 30, "shared": 30, "shared_normalized": 30}]


def test_inspect_counts_the_tokens_of_a_model(votes):
    # the tiny model reads bytes: "good" is 4 tokens, "bad" 3, half of each side is either
    lengths = json.loads(run("inspect", votes, "--json", "--model", "tiny").stdout)["lengths"]
    assert lengths["left"]["tokens"]["mean"] == 3.5


def test_convert_turns_votes_into_preferences(votes, tmp_path):
    out = tmp_path / "out" / "preferences.csv"
    result = run("convert", votes, out, "--to", "preference")
    assert result.exit_code == 0, result.output
    assert "30 preference rows from 60 judgment records" in " ".join(result.output.split())
    preferences = read_preferences(out)
    assert len(preferences) == 30
    assert {(one.chosen, one.rejected, one.p_chosen) for one in preferences} == {("good", "bad", 1.0)}


def test_convert_without_a_format_loses_nothing(votes, tmp_path):
    run("convert", votes, tmp_path / "copy.parquet")
    assert read_judgments(tmp_path / "copy.parquet") == read_judgments(votes)


def test_convert_counts_the_rows_it_leaves_out_and_writes_nothing_when_it_may_not(votes, tmp_path):
    with votes.open("a") as stream:
        stream.write("{broken\n")
    refused = run("convert", votes, tmp_path / "out.jsonl")
    assert isinstance(refused.exception, DataError)
    assert "votes.jsonl:61: not valid JSON" in str(refused.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["votes.jsonl"]
    result = run("convert", votes, tmp_path / "out.jsonl", "--skip-bad")
    assert result.exit_code == 0, result.output
    assert "1 of 61 rows left out" in " ".join(result.output.split())
    assert len(read_records(tmp_path / "out.jsonl").records) == 60


def test_convert_can_make_plain_prompts_user_turns(tmp_path):
    record = Preference(prompt=Prompt.from_raw("Hi"), chosen="a", rejected="b")
    write_records(tmp_path / "plain.jsonl", [record], format="preference")
    refused = run("convert", tmp_path / "plain.jsonl", tmp_path / "hh.jsonl", "--to", "hh")
    assert "read with as_chat" in str(refused.exception)
    result = run("convert", tmp_path / "plain.jsonl", tmp_path / "hh.jsonl", "--to", "hh", "--as-chat")
    assert result.exit_code == 0, result.output
    row = json.loads((tmp_path / "hh.jsonl").read_text())
    assert row["chosen"] == "\n\nHuman: Hi\n\nAssistant: a"


def test_votes_without_texts_convert_to_nothing_that_needs_texts(tmp_path):
    vote = {"question_id": 8, "model_a": "x", "model_b": "y", "turn": 1, "judge": "w", "winner": "tie"}
    (tmp_path / "votes.jsonl").write_text(json.dumps(vote))
    refused = run("convert", tmp_path / "votes.jsonl", tmp_path / "out.jsonl", "--to", "preference")
    assert "Only --to accord keeps such records" in str(refused.exception)


def test_split_writes_two_sides_that_share_no_prompt(votes, tmp_path):
    out = tmp_path / "sides"
    result = run("split", votes, "--out", out, "--test-share", "0.3", "--seed", "1")
    assert result.exit_code == 0, result.output
    sides = {name: read_judgments(out / f"{name}.jsonl") for name in ("train", "test")}
    prompts = {name: {one.comparison.prompt for one in side} for name, side in sides.items()}
    assert not prompts["train"] & prompts["test"]
    assert len(sides["train"]) + len(sides["test"]) == 60
    words = re.sub(r"\W+", " ", result.output)
    assert f"test {len(sides['test'])} {len(prompts['test'])} 0" in words
    leakage = json.loads(run("inspect", out, "--json").stdout)["leakage"]
    assert [(one["against"], one["shared"]) for one in leakage] == [("test", 0)]


def test_split_can_convert_and_an_empty_side_writes_nothing(votes, tmp_path):
    result = run("split", votes, "--out", tmp_path / "sides", "--to", "preference", "--test-share", "0.3")
    assert result.exit_code == 0, result.output
    assert read_records(tmp_path / "sides").format.name == "preference"
    refused = run("split", votes, "--out", tmp_path / "none", "--test-share", "0.00001")
    assert "no prompt fell on the test side" in str(refused.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["inspect", "convert", "split"])
def test_help_shows_examples_line_by_line(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    examples = [line for line in result.output.splitlines() if f"accord data {command} " in line]
    assert len(examples) >= 2
