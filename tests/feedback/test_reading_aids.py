"""Code in color, formulas, changed paragraphs, reading time: what helps to read, and harms nobody."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain.errors import DataError
from accord.feedback.changes import paragraphs_of
from accord.feedback.keys import ACTIONS, DEFAULTS, checked_keys, keys_of
from accord.feedback.markdown import render_markdown
from accord.feedback.mathematics import ATTRIBUTES, ELEMENTS, MAX_CHARS, render_formula
from accord.feedback.reading import expected_reading_ms


def test_formulas_become_mathml_in_each_way_models_write_them():
    for text in ("$x^2$", r"\(x^2\)", "$$x^2$$", r"\[x^2\]"):
        assert "<msup><mi>x</mi><mn>2</mn></msup>" in str(render_markdown(text)), text


def test_prices_are_no_formulas():
    assert "<math" not in str(render_markdown("It costs $5 and then $10 more."))


@pytest.mark.parametrize(
    "formula",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\text{<script>alert(1)</script>}",
        r"\style{background:url(https://elsewhere.example)}{x}",
        r"\unicode{<img src=x>}",
    ],
)
def test_a_formula_cannot_point_elsewhere_or_run(formula):
    made = render_formula(formula)
    assert "<script" not in made
    assert "<img" not in made
    assert not re.search(r"<[^>]*(?:href|style|src|on\w+)\s*=", made)


@given(st.text(alphabet=r"\abcdefghijklmnopqrstuvwxyz{}[]^_&%$#<>\"'123 ", max_size=40))
def test_any_formula_gives_only_elements_of_the_list(text):
    made = render_formula(text)
    tags = re.findall(r"</?([a-z]+)", made)
    assert set(tags) <= ELEMENTS | {"code"}
    names = {name for tag in re.findall(r"<[a-z]+([^>]*)>", made) for name in re.findall(r"([\w-]+)=", tag)}
    assert names <= ATTRIBUTES | {"class", "dir"}


def test_what_is_no_formula_stays_as_it_was_written():
    assert render_formula(r"\left(") == '<code class="formula" dir="ltr">\\left(</code>'
    assert "<code" in render_formula("x" * (MAX_CHARS + 1))


def test_code_is_colored_by_class_names_and_never_by_style():
    made = str(render_markdown("```python\ndef f(): return '<b>'\n```"))
    assert '<span class="hl-k">def</span>' in made
    assert "&lt;b&gt;" in made
    assert "style=" not in made


def test_code_in_an_unknown_language_is_plain():
    assert "<span" not in str(render_markdown("```nosuch\nx = 1\n```"))


def test_each_block_reads_in_its_own_direction():
    assert str(render_markdown("שלום\n\nhello")).count('<p dir="auto">') == 2


def test_paragraphs_that_are_new_or_read_otherwise_are_marked():
    old = "# Title\n\nFirst.\n\nSecond."
    new = "# Title\n\nFirst, but better.\n\nSecond.\n\nThird."
    assert [one.is_changed for one in paragraphs_of(new, old)] == [False, True, False, True]
    assert [one.is_changed for one in paragraphs_of(new, None)] == [False] * 4
    assert [one.is_changed for one in paragraphs_of(old, old)] == [False] * 3


def test_code_in_a_guideline_stays_one_block():
    assert len(paragraphs_of("Look:\n\n```\na\n\nb\n```\n\nEnd.", None)) == 3


def test_expected_reading_time_by_hand():
    # 238 words at 238 words a minute is a minute; half of it is expected of who judges
    assert expected_reading_ms(["word " * 238]) == 30_000
    # two code lines of 700 ms, the fences themselves count nothing
    assert expected_reading_ms(["```\na = 1\nb = 2\n```"]) == 1400
    # 17 signs are 10 words: 10 / 238 minutes, halved
    assert expected_reading_ms(["日" * 17]) == pytest.approx(10 / 238 * 30_000, abs=1)
    assert expected_reading_ms([]) == 0


def test_no_two_actions_share_a_key():
    assert len(set(DEFAULTS.values())) == len(ACTIONS)


def test_a_key_for_two_actions_is_refused_and_both_are_named():
    with pytest.raises(DataError, match=r"'s' would do two things: .*skip.*guidelines|guidelines.*skip"):
        checked_keys({"guidelines": "s"})


@pytest.mark.parametrize("key", ["1", " ", "Tab", "Escape", "", "ab", 3])
def test_keys_that_are_not_for_the_taking(key):
    with pytest.raises(DataError, match="cannot be taken"):
        checked_keys({"skip": key})


def test_two_keys_can_be_swapped_and_capitals_are_the_same_keys():
    keys = checked_keys({"skip": "G", "guidelines": "S"})
    assert (keys["skip"], keys["guidelines"]) == ("g", "s")


def test_changes_that_do_not_hold_together_any_more_count_for_nothing():
    assert keys_of({"skip": "g"}) == DEFAULTS
    assert keys_of({"gone": "q"}) == DEFAULTS
    assert keys_of(None) == DEFAULTS
