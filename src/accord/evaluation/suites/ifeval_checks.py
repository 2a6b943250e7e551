"""The 25 verifiable instructions of IFEval (Zhou et al. 2023), each a yes or no on one response.

Leaves out reading files and counting (`ifeval.py`). Follows the published scorer where it is odd:
keywords are searched as patterns and inside other words, a bold phrase counts as two highlights,
paragraphs are found by position among the raw parts. Departs from it in three places:
a sign given as `letter` ("#", "!") is counted as it stands, where the reference draws a
letter at random; languages come from `languages.py`; sentences from `sentences.py`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.suites.languages import UNKNOWN, detect_language
from accord.evaluation.suites.sentences import count_sentences
from accord.evaluation.suites.words import count_capital_words, count_words

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments], bool]

ANSWER_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
FENCE_OPENINGS = ("```json", "```Json", "```JSON", "```")
WORD_ENDERS = ".,?!'\""
"""Signs at which the first word of a paragraph ends."""


def compares(count: int, relation: str, threshold: int) -> bool:
    """`count` is "at least" the threshold, or "less than" it."""
    if relation == "at least":
        return count >= threshold
    if relation == "less than":
        return count < threshold
    raise DataError(f"unknown relation {relation!r}; an instruction says 'at least' or 'less than'")


def has_keywords(response: str, arguments: Arguments) -> bool:
    """Every keyword occurs, in any case, also inside other words."""
    return all(_pattern(word).search(response) for word in arguments["keywords"])


def has_keyword_frequency(response: str, arguments: Arguments) -> bool:
    """The keyword occurs often, or seldom, enough; parts of words count."""
    count = len(_pattern(arguments["keyword"].strip()).findall(response))
    return compares(count, arguments["relation"], arguments["frequency"])


def avoids_words(response: str, arguments: Arguments) -> bool:
    """None of the words occurs as a word of its own, in any case."""
    return not any(
        _pattern(word, before=r"\b", after=r"\b").search(response) for word in arguments["forbidden_words"]
    )


def has_letter_frequency(response: str, arguments: Arguments) -> bool:
    """The letter, in either case, occurs often or seldom enough."""
    count = response.lower().count(arguments["letter"].strip().lower())
    return compares(count, arguments["let_relation"], arguments["let_frequency"])


def is_in_language(response: str, arguments: Arguments) -> bool:
    """The text is in the language asked for; one without letters counts as followed."""
    detected = detect_language(response)
    return detected is None or detected == arguments["language"]


def has_sentences(response: str, arguments: Arguments) -> bool:
    """Number of sentences."""
    return compares(count_sentences(response), arguments["relation"], arguments["num_sentences"])


def has_words(response: str, arguments: Arguments) -> bool:
    """Number of words, as runs of word characters."""
    return compares(count_words(response), arguments["relation"], arguments["num_words"])


def has_paragraphs(response: str, arguments: Arguments) -> bool:
    """Exactly so many parts between `***`; an empty part between two dividers fails."""
    parts = re.split(r"\s?\*{3}\s?", response)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    count = len(parts) - (not parts[0].strip())
    if len(parts) > 1:
        count -= not parts[-1].strip()
    return bool(count == arguments["num_paragraphs"])


def has_paragraph_start(response: str, arguments: Arguments) -> bool:
    """So many paragraphs between empty lines, the nth of which begins with the word.

    Blank parts do not count as paragraphs, but the nth is looked up among all parts.
    """
    parts = response.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    nth = arguments["nth_paragraph"]
    if count != arguments["num_paragraphs"] or nth > count or not parts[nth - 1].strip():
        return False
    first = parts[nth - 1].split()[0].lstrip("'").lstrip('"').lower()
    word = re.split(f"[{re.escape(WORD_ENDERS)}]", first, maxsplit=1)[0]
    return bool(word == arguments["first_word"].lower())


def has_placeholders(response: str, arguments: Arguments) -> bool:
    """At least so many `[...]` within a line."""
    return len(re.findall(r"\[.*?\]", response)) >= int(arguments["num_placeholders"])


def has_postscript(response: str, arguments: Arguments) -> bool:
    """The marker stands somewhere, in any case; spaces within "P.S." and "P.P.S" are allowed."""
    marker = arguments["postscript_marker"].strip()
    forms = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(forms.get(marker, marker.lower()), response.lower()) is not None


def has_bullets(response: str, arguments: Arguments) -> bool:
    """Exactly so many lines that begin with `-`, or with one `*` and something after it."""
    stars = len(re.findall(r"^\s*\*[^*].*$", response, flags=re.MULTILINE))
    dashes = len(re.findall(r"^\s*-.*$", response, flags=re.MULTILINE))
    return bool(stars + dashes == arguments["num_bullets"])


def has_constrained_answer(response: str, arguments: Arguments) -> bool:
    """One of the three set answers occurs, letter by letter."""
    return any(option in response for option in ANSWER_OPTIONS)


def has_highlights(response: str, arguments: Arguments) -> bool:
    """At least so many `*...*` or `**...**` in one line with something inside; a bold one may count twice."""
    single = re.findall(r"\*[^\n*]*\*", response)
    double = re.findall(r"\*\*[^\n*]*\*\*", response)
    count = sum(bool(part.strip("*").strip()) for part in single)
    count += sum(bool(part[2:-2].strip()) for part in double)
    return count >= int(arguments["num_highlights"])


def has_sections(response: str, arguments: Arguments) -> bool:
    """At least so many of the splitter followed by a number."""
    marks = re.findall(arguments["section_spliter"].strip() + r"\s?\d+", response)
    return len(marks) >= int(arguments["num_sections"])


def is_json(response: str, arguments: Arguments) -> bool:
    """The whole is JSON, with or without a fence around it."""
    text = response.strip()
    for opening in FENCE_OPENINGS:
        text = text.removeprefix(opening)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def has_title(response: str, arguments: Arguments) -> bool:
    """Something in one line between << and >>."""
    return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", response))


def has_two_responses(response: str, arguments: Arguments) -> bool:
    """Two different texts around `******`; an empty part between two dividers fails."""
    parts = [part.strip() for part in response.split("******")]
    filled = [part for part in parts if part]
    return all(parts[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeats_prompt(response: str, arguments: Arguments) -> bool:
    """Begins with the request, in any case."""
    return response.strip().lower().startswith(arguments["prompt_to_repeat"].strip().lower())


def has_ending(response: str, arguments: Arguments) -> bool:
    """Ends with the phrase, in any case; double quotation marks around the whole are ignored."""
    return response.strip().strip('"').lower().endswith(arguments["end_phrase"].strip().lower())


def is_quoted(response: str, arguments: Arguments) -> bool:
    """Begins and ends with a straight double quotation mark."""
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def is_english_upper(response: str, arguments: Arguments) -> bool:
    """Every letter with case is upper, and the text is English or cannot be told."""
    return response.isupper() and _may_be_english(response)


def is_english_lower(response: str, arguments: Arguments) -> bool:
    """Every letter with case is lower, and the text is English or cannot be told."""
    return response.islower() and _may_be_english(response)


def has_capital_words(response: str, arguments: Arguments) -> bool:
    """Number of words in capitals."""
    count = count_capital_words(response)
    return compares(count, arguments["capital_relation"], arguments["capital_frequency"])


def has_no_comma(response: str, arguments: Arguments) -> bool:
    """No ASCII comma anywhere; commas of other scripts are none."""
    return "," not in response


CHECKS: Mapping[str, Check] = {
    "change_case:capital_word_frequency": has_capital_words,
    "change_case:english_capital": is_english_upper,
    "change_case:english_lowercase": is_english_lower,
    "combination:repeat_prompt": repeats_prompt,
    "combination:two_responses": has_two_responses,
    "detectable_content:number_placeholders": has_placeholders,
    "detectable_content:postscript": has_postscript,
    "detectable_format:constrained_response": has_constrained_answer,
    "detectable_format:json_format": is_json,
    "detectable_format:multiple_sections": has_sections,
    "detectable_format:number_bullet_lists": has_bullets,
    "detectable_format:number_highlighted_sections": has_highlights,
    "detectable_format:title": has_title,
    "keywords:existence": has_keywords,
    "keywords:forbidden_words": avoids_words,
    "keywords:frequency": has_keyword_frequency,
    "keywords:letter_frequency": has_letter_frequency,
    "language:response_language": is_in_language,
    "length_constraints:nth_paragraph_first_word": has_paragraph_start,
    "length_constraints:number_paragraphs": has_paragraphs,
    "length_constraints:number_sentences": has_sentences,
    "length_constraints:number_words": has_words,
    "punctuation:no_comma": has_no_comma,
    "startend:end_checker": has_ending,
    "startend:quotation": is_quoted,
}
"""Instruction id to check."""


def _may_be_english(response: str) -> bool:
    return detect_language(response) in ("en", UNKNOWN, None)


def _pattern(word: str, *, before: str = "", after: str = "") -> re.Pattern[str]:
    """A keyword as the pattern the reference takes it for; what is no pattern is searched as it stands."""
    try:
        return re.compile(before + word + after, re.IGNORECASE)
    except re.error:
        return re.compile(before + re.escape(word) + after, re.IGNORECASE)
