"""Formatting that cannot be turned against its reader."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.feedback.markdown import render_markdown

TAGS = "p|em|strong|h[1-6]|ul|ol|li|blockquote|pre|code|hr|br|s|table|thead|tbody|tr|th|td"
MADE = rf"</?(?:{TAGS})(?: [^<>]*)?/?>"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://elsewhere.example/pixel.png)",
        "[click](javascript:alert(1))",
        "[click](https://elsewhere.example)",
        "<https://elsewhere.example>",
        "[a]: https://elsewhere.example\n\n[a] ![a]",
        '<a href="x">',
        "`<b>` and\n\n    <i>\n",
    ],
)
def test_nothing_is_loaded_linked_or_run(text):
    made = re.sub(MADE, "", str(render_markdown(text)))
    assert "<" not in made


@given(st.text(alphabet="<>&\"'`*_[]()!|~#- \nabjs:/x", max_size=80))
def test_only_own_tags_without_addresses_come_out(text):
    made = str(render_markdown(text))
    assert "<" not in re.sub(MADE, "", made)
    assert not re.search(r"<[^>]*(?:href|src|on\w+)=", made)


def test_usual_forms_are_formatted():
    made = str(render_markdown("**a** *b* `c`\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n1. one\n"))
    assert all(tag in made for tag in ("<strong>", "<em>", "<code>", "<table>", "<ol>"))


def test_nothing_that_was_written_disappears():
    assert "https://elsewhere.example" in str(render_markdown("[a]: https://elsewhere.example"))


def test_line_breaks_are_kept():
    assert "<br" in str(render_markdown("one\ntwo"))


def test_a_heading_may_carry_an_anchor_that_cannot_meet_an_id_of_the_page():
    made = str(render_markdown("## Be *brief* {#task}\n\ntext {#task}\n\n## {#x} in the middle"))
    assert ' id="guide-task">Be <em>brief</em></h2>' in made
    assert "text {#task}" in made
    assert "{#x} in the middle" in made
    assert 'id="' not in str(render_markdown('## a {#"onclick=x}'))
