"""The real files of human judgments are read whole: the counts are those their publishers state."""

import time
from collections import Counter
from pathlib import Path

import pytest

from accord.domain import Choice, Demonstration, Prompt, Source
from accord.store import (
    inspect_file,
    read_demonstrations,
    read_judgments,
    read_preferences,
    read_prompts,
    read_ratings,
    read_records,
    write_records,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the human data does not lie beside the checkout"),
]


def test_llmfao_votes_are_joined_with_their_answers():
    judgments = read_judgments(DATA / "pref_llmfao" / "comparisons.jsonl.gz")
    assert len(judgments) == 8931
    assert len({judgment.annotator_id for judgment in judgments}) == 124
    assert len({judgment.comparison.meta["pair"] for judgment in judgments}) == 2139
    assert len({judgment.comparison.prompt for judgment in judgments}) == 13
    assert {judgment.source for judgment in judgments} == {Source.HUMAN}
    assert {judgment.choice for judgment in judgments} == {Choice.LEFT, Choice.RIGHT, Choice.TIE}
    assert len(read_records(DATA / "pref_llmfao" / "pairs.jsonl.gz").records) == 2139
    assert len(read_records(DATA / "pref_llmfao" / "golden_training_pairs.jsonl.gz").records) == 7


def test_llmfao_machine_judges_are_not_counted_as_people():
    for name in ("judge_gpt3", "judge_gpt4"):
        judgments = read_judgments(DATA / "pref_llmfao" / f"{name}.jsonl.gz")
        assert len(judgments) == 2139
        assert {(one.annotator_id, one.source) for one in judgments} == {(name, Source.MODEL)}


def test_llmfao_preferences_keep_every_vote():
    preferences = read_preferences(DATA / "pref_llmfao" / "comparisons.jsonl.gz")
    assert sum(preference.provenance.votes for preference in preferences) == 8931
    # several models gave word for word the same two answers, so that there are fewer items than pairs
    items = {(one.prompt, frozenset((one.chosen, one.rejected))) for one in preferences}
    assert len(preferences) == len(items) < 2139


def test_pandalm_has_three_judgments_a_pair():
    path = DATA / "pref_pandalm"
    judgments = read_judgments(path)
    assert len(judgments) == 2997
    assert set(Counter(judgment.comparison.meta["idx"] for judgment in judgments).values()) == {3}
    assert len({judgment.comparison.meta["idx"] for judgment in judgments}) == 999
    assert {type(judgment.comparison.left) for judgment in judgments} == {str}


@pytest.mark.parametrize(
    ("folder", "name", "count"),
    [("pref_hh_harmless", "hh", 949), ("pref_hhh", "hhh", 221), ("pref_llmbar", "llmbar", 885)],
)
def test_pairs_are_read_whole(folder, name, count):
    file = read_records(DATA / folder)
    assert (file.format.name, len(file.records)) == (name, count)
    assert len(read_preferences(DATA / folder)) == count


def test_hh_prompts_end_with_the_person_and_answers_hold_no_prompt():
    preferences = read_preferences(DATA / "pref_hh_harmless")
    assert {preference.prompt.messages[-1].role for preference in preferences} == {"user"}
    # in two pairs an answer goes over several turns, which stay with it as text
    several = [one for one in preferences if "\n\nAssistant:" in one.chosen + one.rejected]
    assert len(several) == 2


def test_mtbench_votes_have_judges_and_questions_but_no_answers():
    judgments = read_judgments(DATA / "pref_mtbench_human" / "human.jsonl.gz")
    assert len(judgments) == 3355
    assert len({judgment.annotator_id for judgment in judgments}) == 65
    items = Counter(
        (
            one.comparison.meta["question_id"],
            one.comparison.meta["turn"],
            one.comparison.left,
            one.comparison.right,
        )
        for one in judgments
    )
    assert len(items) == 2396
    assert sum(count > 1 for count in items.values()) == 761
    machine = read_judgments(DATA / "pref_mtbench_human" / "gpt4_pair.jsonl.gz")
    assert len(machine) == 2400
    assert {judgment.source for judgment in machine} == {Source.MODEL}
    assert len(read_prompts(DATA / "pref_mtbench_human" / "questions.jsonl.gz")) == 80


@pytest.mark.parametrize(("name", "count"), [("seed_tasks_175", 175), ("user_oriented_252", 252)])
def test_self_instruct_demonstrations(name, count):
    demonstrations = read_demonstrations(DATA / "sft_self_instruct" / f"{name}.jsonl.gz")
    assert len(demonstrations) == count


@pytest.mark.parametrize(
    ("folder", "labels", "tasks", "workers", "values"),
    [
        ("crowd_bluebirds", 4212, 108, 39, {0, 1}),
        ("crowd_ducks", 9600, 240, 53, {0, 1}),
        ("crowd_hitspam", 42762, 5380, 153, {0, 1}),
        ("crowd_rte", 8000, 800, 164, {0, 1}),
        ("crowd_sentiment1000", 5000, 1000, 83, {0, 1}),
        ("crowd_webrating4", 92721, 11040, 825, {0, 1, 2, 3}),
    ],
)
def test_crowd_labels_are_ratings_of_tasks(folder, labels, tasks, workers, values):
    ratings = read_ratings(DATA / folder / "labels.jsonl.gz")
    assert len(ratings) == labels
    assert len({rating.completion for rating in ratings}) == tasks
    assert len({rating.annotator_id for rating in ratings}) == workers
    assert {rating.value for rating in ratings} == values


def test_a_large_csv_of_labels_is_read_whole():
    ratings = read_ratings(DATA / "crowd_google_facts" / "labels.csv.gz")
    assert len(ratings) == 216_725
    assert Counter(rating.value for rating in ratings)[2.0] == 302


def test_ratings_have_dimensions_raters_and_scores():
    affect = read_ratings(DATA / "ratings_affect" / "ratings.jsonl.gz")
    assert len(affect) == 7000
    assert len({rating.dimension for rating in affect}) == 7
    assert len({rating.annotator_id for rating in affect}) == 38
    assert len(read_ratings(DATA / "ratings_wmt_mqm" / "ende.jsonl.gz")) == 3120
    assert len(read_ratings(DATA / "ratings_wmt_mqm" / "zhen.jsonl.gz")) == 11310


def test_inspection_of_the_crowd_votes():
    seen = inspect_file(DATA / "pref_llmfao" / "comparisons.jsonl.gz")
    assert (seen.rows, seen.prompts) == (8931, 13)
    assert seen.annotators is not None
    assert seen.annotators.annotators == 124
    assert sum(seen.balance.values()) == pytest.approx(1.0)


def test_a_hundred_thousand_rows_are_read_in_seconds(tmp_path):
    prompt = Prompt.from_text("Why is the sky blue? " * 5)
    records = (Demonstration(prompt=prompt, completion=f"answer {number} " * 20) for number in range(100_000))
    write_records(tmp_path / "a.jsonl", records)
    started = time.process_time()
    assert len(read_demonstrations(tmp_path / "a.jsonl")) == 100_000
    # about 1.5 s on one core; the bound leaves room for a slower machine
    assert time.process_time() - started < 10
