"""Each instruction kept and broken, with the corners in which the published scorer is odd."""

import pytest

from accord.domain.errors import DataError
from accord.evaluation.suites.ifeval import check_answer
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


LOOSE = [
    # Kept once the first line, the last line or the asterisks are gone.
    ("keywords:existence", {"keywords": ["cat"]}, "c*a*t"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "A cat, you ask:\nno animal"),
    ("keywords:frequency", {"keyword": "war", "relation": "at least", "frequency": 2}, "w*ar war"),
    ("keywords:letter_frequency", {"letter": "q", "let_relation": "less than", "let_frequency": 1}, "q\nno"),
    (
        "language:response_language",
        {"language": "de"},
        "Here is the answer that you have asked for in the other language, and it is as follows:\n"
        "Das ist nicht gut.",
    ),
    ("length_constraints:number_sentences", {"relation": "less than", "num_sentences": 2}, "Sure. So.\nOne."),
    ("length_constraints:number_words", {"relation": "less than", "num_words": 3}, "Here it is\none two"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "Sure\n***\na\n***\nb"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "sun"},
        "Sure:\nSun is out",
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "P.*S.* x"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "* a\nb\n- c"),
    ("detectable_format:constrained_response", {}, "My answer is *no*."),
    ("detectable_format:multiple_sections", {"section_spliter": "Part", "num_sections": 1}, "P*art 1"),
    ("detectable_format:json_format", {}, 'Here you are:\n{"a": 1}'),
    ("detectable_format:title", {}, "<*<a>>"),
    ("combination:two_responses", {}, "Sure\n******\na\n******\nb"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "Sure:\nsay hi. Hi!"),
    ("startend:end_checker", {"end_phrase": "Peace!"}, "So long. Peace!\n(end of text)"),
    ("startend:quotation", {}, 'Here:\n"a"'),
    ("change_case:english_capital", {}, "Here it is:\nTHIS IS THE END"),
    ("change_case:english_lowercase", {}, "Here it is:\nthis is the end"),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "less than", "capital_frequency": 1},
        "OK\nno",
    ),
    ("punctuation:no_comma", {}, "Sure, here:\na b"),
]
NEVER_LOOSER = {
    "detectable_content:number_placeholders": ({"num_placeholders": 1}, "[a\nb*]\n"),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 1}, "*a\nb*"),
}
"""What taking lines and asterisks away can only lessen."""


@pytest.mark.parametrize(("name", "arguments", "response"), LOOSE, ids=[case[0] for case in LOOSE])
def test_broken_strictly_and_kept_loosely(name, arguments, response):
    found = check_answer("1", [name], [arguments], response)
    assert found.strict == (False,)
    assert found.loose == (True,)


def test_every_check_has_a_loose_case_or_can_have_none():
    assert {case[0] for case in LOOSE} | set(NEVER_LOOSER) == set(CHECKS)
    for name, (arguments, response) in NEVER_LOOSER.items():
        found = check_answer("1", [name], [arguments], response)
        assert (found.strict, found.loose) == ((False,), (False,))


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
