"""Formats are counted by hand, and differences follow the screen."""

import math

import pytest

from accord.domain import Choice, Comparison, Judgment, Prompt
from accord.quality.bias import describe_answer, side_differences
from accord.quality.judgments import tabulate_judgments


def test_markdown_is_counted():
    text = "# Title\n\n- one **bold**\n- two\n3. three\n\n```python\nx = 1 - 2\n```\n"
    found = describe_answer(text)
    assert found["log_characters"] == pytest.approx(math.log(1 + len(text)))
    counts = {name: round(math.expm1(value)) for name, value in found.items() if name != "log_characters"}
    assert counts == {"list_items": 3, "headings": 1, "bold": 1, "code_blocks": 2}


def test_empty_and_plain_answers_have_no_format():
    assert set(describe_answer("").values()) == {0.0}
    plain = describe_answer("2 - 1 is 1. A # is a sign, and 2 ** 3 is 8.")
    assert [name for name, value in plain.items() if value] == ["log_characters"]


def test_differences_are_left_less_right():
    def judgment(annotator, left, right):
        comparison = Comparison(prompt=Prompt.from_text("Which?"), left=left, right=right)
        return Judgment(comparison=comparison, annotator_id=annotator, choice=Choice.LEFT)

    table = tabulate_judgments([judgment("ann", "long answer", "no"), judgment("bob", "no", "long answer")])
    found = side_differences(table)["log_characters"]
    expected = math.log(12) - math.log(3)
    assert found.tolist() == pytest.approx([expected, -expected])
