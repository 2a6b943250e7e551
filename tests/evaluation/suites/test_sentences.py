"""Sentences as the published scorer's splitter counts them, odd corners included."""

import pytest

from accord.evaluation.suites.sentences import count_sentences, split_sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("  \n ", 0),
        ("No sign at the end", 1),
        ("One. Two! Three?", 3),
        ("a line\nanother line\n\nand a third", 1),
        ("lower case. still two.", 2),
        ("Mr. Smith met Dr. Jones. They talked.", 2),
        ("It costs 3.50 dollars at 5 p.m. in Rome.", 1),
        ("Apples, pears, etc. and more.", 2),
        ("1. Apples are red.\n2. Pears are green.", 4),
        ("Chapter 2. apples", 1),
        ("He was born in the U.S. The year was 1900.", 2),
        ("J. Smith wrote it.", 1),
        ("Wait... The end is near.", 2),
        ("Wait... London is near.", 1),
        ("Really?! Yes.", 2),
        ("**Bold!**", 2),
        ("Wow!!", 2),
        ("Stop.Now.", 1),
        ("Plan B. The next one.", 2),
    ],
)
def test_count_by_hand(text, count):
    assert count_sentences(text) == count


def test_closing_signs_stay_with_their_sentence():
    assert split_sentences('He said "Go." Then (he left.) And so on.') == [
        'He said "Go."',
        "Then (he left.)",
        "And so on.",
    ]


def test_nothing_but_space_is_lost():
    text = 'First, a "quote!" Then 3.5 things (etc.) and -- so on... Really?? Yes.'
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
