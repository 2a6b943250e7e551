"""Every figure of an inspection, counted by hand on small files."""

import json

import pytest

from accord.domain import (
    Choice,
    Comparison,
    Completion,
    DataError,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Verdict,
)
from accord.store import find_leakage, inspect_file, write_records
from accord.store.inspection import Spread, spread_of


def demonstration(prompt, completion):
    return Demonstration(prompt=Prompt.from_text(prompt), completion=completion)


def vote(left, right, choice, annotator):
    comparison = Comparison(prompt=Prompt.from_text("Hi"), left=left, right=right)
    return Judgment(comparison=comparison, annotator_id=annotator, choice=choice)


def test_counts_lengths_and_samples(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        demonstration("one two", "abc"),
        demonstration("one two", "abc"),  # a duplicate, and a repeated prompt
        demonstration("one two", " "),  # empty but for a space
        demonstration("x", "abcde f"),
    ]
    write_records(path, records)
    with path.open("a") as stream:
        stream.write("{broken\n")
    seen = inspect_file(path, tokenizer_length=lambda text: 2 * len(text))
    assert (seen.rows, seen.records, seen.skipped) == (5, 4, 1)
    assert (seen.format, seen.kind) == ("accord_demonstration", "demonstration")
    assert (seen.prompts, seen.repeated_prompts, seen.duplicates, seen.empty_completions) == (2, 1, 1, 1)
    assert seen.ties is None
    assert seen.annotators is None
    assert seen.fields == {"prompt": 4, "completion": 4}
    characters = seen.lengths["completion"]["characters"]
    # lengths 3, 3, 1, 7: mean 3.5, middle between 3 and 3
    assert (characters.min, characters.mean, characters.p50, characters.max) == (1, 3.5, 3, 7)
    assert seen.lengths["completion"]["words"].max == 2
    assert seen.lengths["completion"]["tokens"].max == 14
    assert [sample["completion"] for sample in seen.samples] == ["abc", " ", "abcde f"]


def test_percentiles_are_interpolated():
    # of 0 to 100 the p-th percentile is p
    assert spread_of(range(101)) == Spread(n=101, min=0, mean=50, p50=50, p90=90, p99=99, max=100)
    assert spread_of([1, 2]).p50 == 1.5


def test_judgments_show_annotators_ties_and_position(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes = [
        vote("a", "b", Choice.LEFT, "w1"),
        vote("b", "a", Choice.LEFT, "w2"),  # the same pair, shown the other way round
        vote("a", "b", Choice.TIE, "w3"),
        vote("a", "c", Choice.RIGHT, "w1"),
    ]
    write_records(path, votes)
    seen = inspect_file(path)
    assert seen.ties == 1
    assert seen.balance == {"left": 0.5, "right": 0.25, "tie": 0.25}
    assert seen.annotators is not None
    assert seen.annotators.annotators == 3
    # w1 2, w2 1, w3 1; pair ab 3 votes, pair ac 1
    assert (seen.annotators.records_each.max, seen.annotators.records_each.min) == (2, 1)
    assert (seen.annotators.records_per_item.max, seen.annotators.records_per_item.mean) == (3, 2)


def test_preferences_show_how_often_the_longer_answer_is_chosen(tmp_path):
    path = tmp_path / "a.jsonl"
    prompt = Prompt.from_text("Hi")
    pairs = [("long", "a", 1.0), ("a", "long", 1.0), ("long", "b", 0.5), ("aa", "bb", 0.9)]
    write_records(
        path,
        [Preference(prompt=prompt, chosen=one, rejected=other, p_chosen=p) for one, other, p in pairs],
    )
    seen = inspect_file(path)
    assert seen.ties == 1
    assert seen.balance == {"chosen_is_as_long": 0.25, "chosen_is_longer": 0.5, "chosen_is_shorter": 0.25}


def test_verdicts_show_their_balance_and_completions_have_no_prompts(tmp_path):
    prompt = Prompt.from_text("Hi")
    verdicts = [Verdict(prompt=prompt, completion="a", is_desirable=number == 0) for number in range(4)]
    write_records(tmp_path / "a.jsonl", verdicts)
    assert inspect_file(tmp_path / "a.jsonl").balance == {"bad": 0.75, "good": 0.25}
    write_records(tmp_path / "b.jsonl", [Completion(text="a")])
    assert inspect_file(tmp_path / "b.jsonl").prompts == 0


def test_leakage_counts_prompts_word_for_word_and_but_for_case_and_spaces(tmp_path):
    here = [Prompt.from_text(text) for text in ("same", "Same  Words", "new", "same")]
    there = [Prompt.from_text(text) for text in ("same", "same words")]
    leakage = find_leakage(here, there)
    assert (leakage.prompts, leakage.shared, leakage.shared_normalized) == (3, 1, 2)
    assert not leakage.is_clean
    write_records(tmp_path / "a.jsonl", here)
    write_records(tmp_path / "b.jsonl", there)
    [seen] = inspect_file(tmp_path / "a.jsonl", against=tmp_path / "b.jsonl").leakage
    assert (seen.against, seen.shared) == (str(tmp_path / "b.jsonl"), 1)


def test_splits_of_a_folder_are_held_against_each_other(tmp_path):
    write_records(tmp_path / "train.jsonl", [Prompt.from_text("a"), Prompt.from_text("b")])
    write_records(tmp_path / "test.jsonl", [Prompt.from_text("b")])
    [leakage] = inspect_file(tmp_path).leakage
    assert (leakage.against, leakage.shared) == ("test", 1)
    [leakage] = inspect_file(tmp_path, split="test").leakage
    assert (leakage.against, leakage.prompts, leakage.shared) == ("train", 1, 1)


def test_an_inspection_is_plain_json(tmp_path):
    write_records(tmp_path / "a.jsonl", [vote("a", "b", Choice.LEFT, "w1")])
    shown = inspect_file(tmp_path / "a.jsonl", against=tmp_path / "a.jsonl").to_json()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["leakage"][0]["shared"] == 1


def test_a_file_without_a_usable_row_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="1 of 1 rows cannot be used"):
        inspect_file(tmp_path / "a.jsonl")
