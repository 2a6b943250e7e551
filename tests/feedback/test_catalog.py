"""One catalog: every word of the pages in every language, and none that no page says."""

import re
from pathlib import Path

import pytest

from accord.feedback import review_pages
from accord.feedback.catalog import LANGUAGES, preferred_language, words_of
from accord.feedback.keys import ACTIONS
from accord.feedback.lead_pages import STATES
from accord.feedback.own_pages import STATES as STANDS
from accord.feedback.rooms import SKIP_REASONS
from accord.feedback.standing import NUDGES
from accord.feedback.workflow import CAUSES, REASONS

FEEDBACK = Path(__file__).parents[2] / "src/accord/feedback"
SPOKEN = re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)*)"')
REASON = re.compile(r'(?:text=|PersonState\.\w+: )"([^"]+)"')


def said_by_pages() -> set[str]:
    files = [*(FEEDBACK / "templates").glob("*.html"), *(FEEDBACK / "static").glob("*.js")]
    texts = {text for file in files for text in SPOKEN.findall(file.read_text(encoding="utf-8"))}
    settings = (FEEDBACK / "templates/settings.html").read_text(encoding="utf-8")
    names = re.findall(r'"\w+": "([A-Z][^"]+)"', settings)
    reasons = REASON.findall((FEEDBACK / "gate.py").read_text(encoding="utf-8"))
    biases = re.findall(r'"(The \w+ answer wins)"', (FEEDBACK / "dashboard.py").read_text(encoding="utf-8"))
    roles = ["user", "assistant", "system", "tool"]
    return {
        *texts,
        *names,
        *reasons,
        *roles,
        *biases,
        *STATES.values(),
        *STANDS.values(),
        *review_pages.STANDS.values(),
        *review_pages.KINDS.values(),
        *(words for words, _ in review_pages.VERDICTS.values()),
        *REASONS.values(),
        *CAUSES.values(),
        *NUDGES.values(),
        *(action.words for action in ACTIONS),
        *(text for _, text in SKIP_REASONS),
    }


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_every_word_of_the_pages_is_in_the_catalog(language):
    assert said_by_pages() - set(words_of(language).texts) == set()


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_the_catalog_holds_nothing_that_no_page_says(language):
    assert set(words_of(language).texts) - said_by_pages() == set()


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_a_translation_fills_in_the_same_places(language):
    for english, other in words_of(language).texts.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", other)), english


def test_values_are_filled_in_and_an_unknown_text_stays_english():
    assert words_of("de")("Answer {letter}", letter="A") == "Antwort A"
    assert words_of("de")("not in any catalog {n}", n=3) == "not in any catalog 3"
    assert words_of("xx").language == "en"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("fr, en;q=0.5, de;q=0.7", "de"),
        ("", "en"),
        ("de;q=0", "en"),
        (";;;q=x,,", "en"),
    ],
)
def test_the_first_language_the_pages_speak_is_taken(header, language):
    assert preferred_language(header) == language
