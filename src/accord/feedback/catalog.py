"""The words of the pages in each language: one catalog, English as the key.

The language of the pages is apart from the language of what is judged: that is never translated, and carries
its own `lang` and direction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

PLACE = Path(__file__).parent / "catalog"
LANGUAGES: Mapping[str, str] = MappingProxyType({"en": "English", "de": "Deutsch"})
"""Code and own name of each language the pages speak; a further one is a file `catalog/<code>.json`."""


@dataclass(frozen=True)
class Words:
    """The pages' words in one language."""

    language: str
    texts: Mapping[str, str]
    """English to this language; empty for English itself."""

    def __call__(self, text: str, **values: object) -> str:
        """The text in this language, with `{name}` replaced; English where it has no translation."""
        said = self.texts.get(text, text)
        for name, value in values.items():
            said = said.replace("{" + name + "}", str(value))
        return said


@cache
def words_of(language: str) -> Words:
    """The catalog of a language, read once for it never changes; English for one that is not known."""
    if language not in LANGUAGES or language == "en":
        return Words("en", MappingProxyType({}))
    texts = json.loads((PLACE / f"{language}.json").read_text(encoding="utf-8"))
    return Words(language, MappingProxyType(texts))


def preferred_language(accept: str) -> str:
    """The first language of an Accept-Language header that the pages speak; else English."""
    wanted = []
    for number, part in enumerate(accept.split(",")):
        name, _, quality = part.partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((-weight, number, name.strip().lower().partition("-")[0]))
    return next((name for weight, _, name in sorted(wanted) if name in LANGUAGES and weight < 0), "en")
