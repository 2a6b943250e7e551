"""Each instruction kept and broken, with the corners in which the published scorer is odd."""

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.ifeval_checks import CHECKS, compares

CASES = [
    ("keywords:existence", {"keywords": ["cat", "dog"]}, "A CATALOG for dogs", "only a cat"),
    ("keywords:existence", {"keywords": ["a(b"]}, "x a(b y", "ab"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "catalog", "a Cat!"),
    ("keywords:frequency", {"keyword": "war ", "relation": "at least", "frequency": 2}, "War wards", "war"),
    ("keywords:frequency", {"keyword": "war", "relation": "less than", "frequency": 1}, "peace", "toward"),
    ("keywords:letter_frequency", {"letter": "Q", "let_relation": "at least", "let_frequency": 2}, "Qq", "q"),
    ("keywords:letter_frequency", {"letter": "#", "let_relation": "at least", "let_frequency": 2}, "##", "#"),
    ("language:response_language", {"language": "de"}, "Das ist nicht gut.", "That is not good."),
    ("language:response_language", {"language": "hi"}, "123", "hello"),
    (
        "length_constraints:number_sentences",
        {"relation": "less than", "num_sentences": 2},
        "One.",
        "One. Two.",
    ),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 3}, "don't go", "do go"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***a *** b", "a\n\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***\n", "a *** *** b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Sun"},
        "Rain.\n\n\"Sun's out",
        "Rain.\n\nSunny",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "b"},
        "a\n\nb",
        "a\n\n\n\nb",  # two paragraphs, but the second part is blank
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a\nb] [c]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x p. s. y", "x PS y"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P. P.S", "P.S."),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n  - b", "* a\n** b"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "* a", "* a\n---"),
    ("detectable_format:constrained_response", {}, "So: My answer is no.", "My answer is No."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "*a*", "* *\n*a\n*"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* b *c*", "*a*"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1 a\nSection2",
        "SECTION 1 SECTION 2",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<a>>", "<<>>\n<< >>"),
    ("combination:two_responses", {}, "******a******b", "a******a"),
    ("combination:two_responses", {}, "a ****** b", "a****** ******b"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say Hi. "}, " say hi. Hi!", "Sure: say hi."),
    ("startend:end_checker", {"end_phrase": "Peace!"}, 'So long. peace!" ', "Peace! Bye"),
    ("startend:quotation", {}, ' "a" ', '"'),
    ("change_case:english_capital", {}, "THIS IS THE END", "THIS IS the END"),
    ("change_case:english_capital", {}, "IT IS 5 O'CLOCK", "DAS IST NICHT DAS ENDE"),
    ("change_case:english_lowercase", {}, "this is the end", "This is the end"),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "less than", "capital_frequency": 2},
        "A cat",
        "DON'T",
    ),
    ("punctuation:no_comma", {}, "a、b，c", "1,000"),
]


@pytest.mark.parametrize(("name", "arguments", "kept", "broken"), CASES)
def test_kept_and_broken(name, arguments, kept, broken):
    assert CHECKS[name](kept, arguments)
    assert not CHECKS[name](broken, arguments)


def test_every_check_has_a_case():
    assert {case[0] for case in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


def test_a_bold_phrase_counts_as_two_highlights():
    # `**a**` holds one `**...**`; single stars match the empty `**` twice: one highlight. `** a*b **` none.
    check = CHECKS["detectable_format:number_highlighted_sections"]
    assert check("**a**", {"num_highlights": 1})
    assert not check("**a**", {"num_highlights": 2})


def test_unknown_relation():
    with pytest.raises(DataError, match="at least"):
        compares(1, "at most", 2)
