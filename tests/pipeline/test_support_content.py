import collections
import re

import pytest

from accord.domain import DataError, Prompt
from accord.pipeline.support import QUALITIES, SYSTEM_MESSAGE, TasteWeights, load_support_task
from accord.pipeline.support.taste import _mentions, normalize_text


@pytest.fixture(scope="module")
def task():
    return load_support_task()


def rows_of(task):
    return [*task.train, *task.heldout]


def test_there_are_at_least_360_prompts_over_eight_domains_and_96_held_out(task):
    assert len(rows_of(task)) >= 360
    assert len(task.heldout) >= 96
    assert len({row.domain for row in rows_of(task)}) >= 8
    assert {row.domain for row in task.heldout} == {row.domain for row in task.train}
    assert {row.split for row in task.train} == {"train"}
    assert {row.split for row in task.heldout} == {"heldout"}


def test_ids_and_prompts_are_distinct(task):
    rows = rows_of(task)
    assert len({row.id for row in rows}) == len(rows)
    assert len({row.prompt.id for row in rows}) == len(rows)
    assert len({row.question.lower() for row in rows}) == len(rows)


def test_prompts_are_short_and_hold_notes_and_question(task):
    for row in rows_of(task):
        assert row.prompt.messages[0].content == SYSTEM_MESSAGE
        assert row.prompt.text == f"Notes: {row.notes}\nQuestion: {row.question}"
        assert len(re.findall(r"\w+|[^\w\s]", row.prompt.text)) <= 50, row.id


def test_held_out_prompts_are_no_near_duplicates_of_training_prompts(task):
    assert not {row.notes for row in task.train} & {row.notes for row in task.heldout}
    assert not {row.topic for row in task.train} & {row.topic for row in task.heldout}
    words = {row.id: set(re.findall(r"\w+", f"{row.notes} {row.question}".lower())) for row in rows_of(task)}
    for held_out in task.heldout:
        for trained in task.train:
            here, there = words[held_out.id], words[trained.id]
            assert len(here & there) / len(here | there) < 0.5, (held_out.id, trained.id)


def test_every_fact_and_distractor_stands_in_the_notes(task):
    for row in rows_of(task):
        notes = normalize_text(row.notes)
        assert 1 <= len(row.key_facts) <= 3, row.id
        for group in row.key_facts:
            assert any(_mentions(notes, pattern) for pattern in group), (row.id, group)
        for pattern in row.distractors:
            assert _mentions(notes, pattern), (row.id, pattern)
            assert pattern not in {fact for group in row.key_facts for fact in group}, row.id


def test_demonstrations_are_varied_and_answer_training_prompts(task):
    assert len(task.demonstrations) >= 60
    trained = {row.prompt.id for row in task.train}
    assert {demonstration.prompt.id for demonstration in task.demonstrations} <= trained
    assert all(12 <= len(demonstration.completion.split()) <= 35 for demonstration in task.demonstrations)
    openings = collections.Counter(
        " ".join(demonstration.completion.split()[:2]) for demonstration in task.demonstrations
    )
    assert openings.most_common(1)[0][1] <= len(task.demonstrations) / 8


def test_undemonstrated_prompts_are_the_other_training_prompts(task):
    assert len(task.undemonstrated) == len(task.train) - len({d.prompt.id for d in task.demonstrations})


def test_a_prompt_from_elsewhere_has_no_known_taste(task):
    assert task.find(task.heldout[3].prompt) is task.heldout[3]
    with pytest.raises(DataError, match="not one of"):
        task.find(Prompt.from_text("What is the capital of France?"))


def test_the_policy_names_each_principle_with_its_weight(task):
    weights = TasteWeights()
    for number, quality in enumerate(QUALITIES, start=1):
        assert re.search(rf"\| P{number} \|.*\| {getattr(weights, quality):.2f} \|", task.policy_text)
