"""A form that holds answers is read back as those answers."""

from hypothesis import given
from hypothesis import strategies as st

from accord.feedback.forms import answers_of, fields_of

QUESTIONS = [
    {"id": "preference", "kind": "comparison"},
    {"id": "order", "kind": "ranking"},
    {"id": "each", "kind": "rating", "per_candidate": True},
    {"id": "whole", "kind": "rating", "per_candidate": False},
    {"id": "one", "kind": "choice", "multiple": False},
    {"id": "many", "kind": "choice", "multiple": True},
    {"id": "words", "kind": "text"},
    {"id": "support", "kind": "support"},
    {"id": "faults", "kind": "spans"},
]
ANSWERS = st.fixed_dictionaries(
    {
        "preference": st.builds(lambda grade: {"choice": grade}, st.integers(0, 7)),
        "order": st.permutations([0, 1, 2]).map(lambda p: {"groups": [sorted(p[:1]), sorted(p[1:])]}),
        "each": st.lists(st.integers(1, 5), min_size=3, max_size=3),
        "whole": st.integers(1, 5),
        "one": st.sampled_from(["safe", "unsafe"]),
        "many": st.lists(st.sampled_from("abc"), min_size=1, unique=True),
        "words": st.text(min_size=1),
        "support": st.just({"0": ["yes", "no"], "1": ["no"], "2": ["yes"]}),
        "faults": st.just([{"place": 0, "start": 1, "end": 2, "label": "x", "note": "“é”"}]),
    }
)


@given(ANSWERS)
def test_fields_of_answers_read_as_the_answers(answers):
    assert answers_of(QUESTIONS, fields_of(answers, QUESTIONS), 3) == answers


def test_what_has_no_answer_has_no_field():
    assert fields_of({}, QUESTIONS) == {}
    assert answers_of(QUESTIONS, {}, 2) == {"faults": []}
