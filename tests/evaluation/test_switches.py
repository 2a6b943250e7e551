"""Switches of language and form: told where they are plain, not where nothing can be told."""

import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.switches import form_of, is_other_language, measure_form_switches

ENGLISH = "Where can I find the order that I placed last week, and who will bring it to the house?"
GERMAN = "Die Bestellung ist noch nicht bei uns, aber wir werden sie mit der Post an das Haus bringen."


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        (ENGLISH, "Заказ ещё не пришёл", True),
        (ENGLISH, GERMAN, True),
        (ENGLISH, ENGLISH.upper(), False),
        (ENGLISH, "Nein", False),  # too short to be told within a script
        (ENGLISH, "42", False),  # no letters
        ("東京はどこですか", "東京", False),  # scripts that one language mixes
    ],
)
def test_languages(source, text, expected):
    assert is_other_language(source, text) is expected


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Just words - and a dash.", "prose"),
        ("- one\n- two", "list"),
        ("- only one", "prose"),
        ("# Title\n- one\n- two", "headers"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "table"),
        ('{"a": [1, 2]}', "json"),
        ("[not json", "prose"),
        ("See:\n```\nx = 1\n```", "code"),
        ("", "prose"),
    ],
)
def test_forms(text, form):
    assert form_of(text) == form


def test_a_model_that_turns_to_lists_is_told_from_one_that_mixes():
    prose, lists = ["Yes."] * 20, ["- a\n- b"] * 20
    ids = list(range(20))
    turned = measure_form_switches(lists[:10] + prose[:10], prose, ids)
    assert turned.switched.value == 0.5
    assert turned.forms == {"list": (10, 0), "prose": (10, 20)}
    # exchanging 10 pairs that differ: only all one way or all the other is as far, 2 / 2^10
    assert turned.p_value == pytest.approx(2 / 2**10, abs=0.004)
    mixed = measure_form_switches(lists[:10] + prose[:10], prose[:10] + lists[:10], ids)
    assert (mixed.switched.value, mixed.p_value) == (1.0, 1.0)
    with pytest.raises(EvaluationError, match="rows must pair"):
        measure_form_switches([], [], [])
