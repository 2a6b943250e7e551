"""Words and capitalized tokens, each count by hand."""

import pytest

from accord.evaluation.suites.words import count_capital_words, count_words


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("one two", 2), ("don't", 2), ("well-known 3,000 a_b", 5), ("* - ...", 0), ("नमस्ते", 2)],
)
def test_words_are_runs_of_word_characters(text, count):
    # "3,000" is 3 and 000; "a_b" is one; an Indic vowel killer parts the word after नमस
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Nothing here", 0),
        ("A I", 2),
        ("WELL-KNOWN", 1),
        ("DON'T", 2),  # DO, N'T
        ("You DON'T.", 2),
        ("JOHN'S", 2),  # JOHN, 'S
        ("I'm", 1),  # I, 'm
        ("CANNOT", 2),  # CAN, NOT
        ("**BOLD** (WORDS) [HERE]", 3),
        ("YES/NO", 1),
        ("YES--NO...MAYBE", 3),
        ("B2B 123", 1),
        ("U.S. NASA's", 2),
        ("RED,GREEN:BLUE", 3),
        ("IT’S", 2),  # curly: IT, ’, S
    ],
)
def test_capital_tokens_by_hand(text, count):
    assert count_capital_words(text) == count
