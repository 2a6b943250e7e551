"""Nothing that was not made as markup can become markup."""

from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from accord.evaluation.report.markup import Markup, decimal, element, join


def test_text_is_escaped_and_markup_is_kept():
    inner = element("b", "1 < 2")
    assert element("p", inner, " & <i>") == "<p><b>1 &lt; 2</b> &amp; &lt;i&gt;</p>"


def test_attributes_are_escaped_and_renamed():
    assert (
        element("a", class_="x", data_gain='"><script>')
        == '<a class="x" data-gain="&quot;&gt;&lt;script&gt;"></a>'
    )


def test_absent_attributes_are_left_out_and_true_is_bare():
    assert element("p", a=None, b=False, hidden=True) == "<p hidden></p>"


def test_void_elements_have_no_end():
    assert element("meta", name="viewport") == '<meta name="viewport">'


def test_children_nest_and_none_is_nothing():
    assert join(["a", None, ["b", Markup("<br>")], 3]) == "ab<br>3"


def test_coordinates_have_two_decimals_and_no_negative_zero():
    assert (decimal(1.0), decimal(2.345678), decimal(-0.001)) == ("1", "2.35", "0")


def test_half_a_surrogate_pair_can_be_written():
    assert element("p", "a\ud83d").encode("utf-8") == b"<p>a?</p>"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_text_comes_back_as_it_was(text):
    written = join(text)
    assert "<" not in written
    assert unescape(written) == text or "\r" in text or any(ord(sign) < 32 for sign in text)
