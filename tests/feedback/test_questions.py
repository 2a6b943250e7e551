"""What answers mean: screen terms to item terms, and what is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain.errors import ConfigError, DataError
from accord.feedback.items import content_of, present, sentence_bounds, shown
from accord.feedback.live import LIVE_KINDS
from accord.feedback.questions import Presented
from accord.feedback.schema import KINDS, TaskSchema, parse_schema

SWAPPED = Presented(candidates=("second", "first"), permutation=(1, 0))
STRAIGHT = Presented(candidates=("first", "second"), permutation=(0, 1))


def task(*questions: dict, kind: str | None = None, **more: dict) -> TaskSchema:
    data: dict = {"title": "t", "questions": list(questions), **more}
    return parse_schema(data if kind is None else {**data, "kind": kind}, "test")


@pytest.mark.parametrize(
    ("choice", "straight", "swapped"),
    [(1, 3, -3), (3, 1, -1), (4, 0, 0), (7, -3, 3)],
)
def test_grade_is_turned_with_the_sides(choice, straight, swapped):
    schema, answers = task(kind="pairwise"), {"preference": {"choice": choice}}
    assert schema.values_of(answers, STRAIGHT)["preference"] == {"strength": straight, "both_bad": False}
    assert schema.values_of(answers, SWAPPED)["preference"] == {"strength": swapped, "both_bad": False}


def test_both_bad_is_not_a_tie():
    values = task(kind="pairwise").values_of({"preference": {"choice": 0}}, STRAIGHT)
    assert values["preference"] == {"strength": 0, "both_bad": True}


def test_a_tie_is_refused_where_the_question_has_none():
    schema = task({"id": "q", "kind": "comparison", "tie": False, "both_bad": False, "scale": 3})
    with pytest.raises(DataError, match=r"expected \{\"choice\": one of 1, 3\}"):
        schema.values_of({"q": {"choice": 2}}, STRAIGHT)


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_ranking_names_candidates_whatever_the_order_on_screen(permutation, best_first):
    presented = Presented(candidates=tuple("abcd"), permutation=tuple(permutation))
    places = [list(permutation).index(candidate) for candidate in best_first]
    groups = [[places[0], places[1]], [places[2]]]
    values = task(kind="ranking").values_of({"order": {"groups": groups}}, presented)
    assert values["order"] == [sorted(best_first[:2]), [best_first[2]]]


def test_ratings_follow_their_candidates():
    assert task(kind="rating").values_of({"helpfulness": [5, 2]}, SWAPPED) == {"helpfulness": [2, 5]}


def test_span_carries_its_quote_and_candidate():
    mark = {"place": 0, "start": 0, "end": 3, "label": "unsafe"}
    (value,) = task(kind="spans").values_of({"faults": [mark]}, SWAPPED)["faults"]
    assert value == {"candidate": 1, "start": 0, "end": 3, "quote": "sec", "label": "unsafe", "note": ""}


def test_support_is_asked_of_each_sentence():
    presented = Presented(
        candidates=("A. B.", "C."), permutation=(1, 0), sentences=(((0, 2), (3, 5)), ((0, 2),))
    )
    answer = {"0": ["supported", "not_found"], "1": ["contradicted"]}
    values = task(kind="grounded").values_of({"support": answer}, presented)
    assert values["support"] == [["contradicted"], ["supported", "not_found"]]


@pytest.mark.parametrize(
    ("kind", "answers", "message"),
    [
        ("pairwise", {"preference": {"choice": 8}}, "expected"),
        ("pairwise", {"preference": {"choice": True}}, "expected"),
        ("pairwise", {"preference": "A"}, "expected"),
        ("pairwise", {}, "'preference' has no answer"),
        ("pairwise", {"preference": {"choice": 1}, "x": 1}, "no question 'x'"),
        ("pairwise", [], "expected an object"),
        ("ranking", {"order": {"groups": [[0], [0]]}}, "at most once"),
        ("ranking", {"order": {"groups": [[]]}}, "no empty group"),
        ("ranking", {"order": {"groups": "ab"}}, "expected"),
        ("ranking", {"order": {"groups": [[2]]}}, "expected"),
        ("rating", {"helpfulness": [1]}, "2 whole numbers"),
        ("rating", {"helpfulness": [0, 5]}, "from 1 to 5"),
        ("safety", {"safety": "fine"}, "one of safe"),
        ("demonstration", {"answer": "   "}, "characters"),
        ("demonstration", {"answer": 3}, "a text"),
        ("spans", {"faults": [{"place": 0, "start": 3, "end": 3, "label": "unsafe"}]}, "inside the text"),
        ("spans", {"faults": [{"place": 0, "start": 0, "end": 99, "label": "unsafe"}]}, "inside the text"),
        ("spans", {"faults": "none"}, "list of marks"),
        ("grounded", {"support": {"0": ["supported"]}}, "sentences"),
    ],
)
def test_answer_that_does_not_fit_is_refused_with_its_question(kind, answers, message):
    with pytest.raises(DataError, match=message):
        task(kind=kind).values_of(answers, STRAIGHT)


def test_all_answers_that_do_not_fit_are_named_together():
    schema = task({"id": "a", "kind": "rating"}, {"id": "b", "kind": "text"})
    with pytest.raises(DataError, match=r"'a'.*; question 'b'"):
        schema.values_of({"a": 9, "b": 9}, STRAIGHT)


def test_every_kind_of_task_is_a_valid_schema_and_survives_being_shown():
    for kind in KINDS:
        live = {"live": {"models": [{"name": "a"}]}} if kind in LIVE_KINDS else {}
        schema = task(kind=kind, **live)
        assert [question["id"] for question in schema.shown()["questions"]] == [q["id"] for q in KINDS[kind]]


def test_own_question_replaces_the_one_of_its_kind():
    schema = task({"id": "preference", "kind": "comparison", "scale": 3}, kind="pairwise")
    assert [question["scale"] for question in schema.shown()["questions"]] == [3]


def test_all_problems_of_a_schema_are_shown_together():
    with pytest.raises(ConfigError) as caught:
        parse_schema(
            {
                "kind": "pairwize",
                "colour": 1,
                "questions": [
                    {"kind": "text"},
                    {"id": "a", "kind": "slider"},
                    {"id": "b", "kind": "comparison", "scale": 4},
                    {"id": "c", "kind": "rating", "lowest": 1},
                    {"id": "d", "kind": "choice", "options": [{"value": "x"}]},
                ],
            },
            "project.toml",
        )
    assert len(caught.value.problems) == 7


def test_annotators_see_texts_and_not_who_wrote_them():
    content = content_of(
        {
            "prompt": "Hello?",
            "candidates": [{"text": "one", "model": "secret-7b"}, {"text": "two", "model": "secret-8b"}],
            "meta": {"source": "secret"},
        }
    )
    page = shown(content, present(content, (1, 0)))
    assert page["candidates"] == ["two", "one"]
    assert "secret" not in str(page)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "candidates": ["a", "b"]},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"messages": [{"role": "user", "content": "q"}], "left": "a", "right": "b"},
        {
            "prompt": [{"role": "user", "content": "q"}],
            "chosen": [{"role": "assistant", "content": "a"}],
            "rejected": [{"role": "assistant", "content": "b"}],
        },
    ],
)
def test_pairs_are_read_in_all_their_shapes(row):
    content = content_of(row)
    assert content["messages"] == [{"role": "user", "content": "q"}]
    assert [one["text"] for one in content["candidates"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no 'messages' or 'prompt'"),
        ({"prompt": "q", "candidates": "ab"}, "expected a list"),
        ({"prompt": "q", "candidates": [3]}, "expected a text"),
        ({"messages": [{"role": "robot", "content": "q"}]}, "role"),
        ({"prompt": "a\x00b"}, "null character"),
    ],
)
def test_row_that_is_no_item_is_refused(row, message):
    with pytest.raises(DataError, match=message):
        content_of(row)


def test_sentences_are_found_with_their_bounds():
    text = 'One. "Two!" three\n\nFour?'
    assert [text[start:end] for start, end in sentence_bounds(text)] == ["One.", '"Two!', "three", "Four?"]


@given(st.text(max_size=200))
def test_sentences_lie_in_order_inside_the_text_and_lose_no_letter(text):
    bounds = sentence_bounds(text)
    assert all(0 <= start < end <= len(text) for start, end in bounds)
    assert all(one[1] <= two[0] for one, two in pairwise(bounds))
