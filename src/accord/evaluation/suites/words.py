"""Words of a text: runs of word characters, and tokens in the manner of the Penn Treebank.

Leaves out what the counts below do not need: the tokens come without punctuation, and quotation
marks are not turned into other signs.
"""

import re

WORD = re.compile(r"\w+")
SEPARATORS = re.compile(r"[;@#$%&?!*\[\](){}<>\"“”„‘’«»`\u2012-\u2015\s]|\.{2,}|--|[:,](?!\d)")
"""A colon or comma stays inside "12:30" and "1,000"."""
CLITIC = re.compile(r"(?<=[^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T|'[sS]|'[mM]|'[dD])$")
JOINED = re.compile(
    r"(?i)\b(can)(not)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(wan)(na)(?=\s|$)"
)
"""Words that are two in a treebank."""


def count_words(text: str) -> int:
    """Runs of letters, digits and underscores: "don't" and "well-known" are two each."""
    return len(WORD.findall(text))


def count_capital_words(text: str) -> int:
    """Treebank tokens whose letters are all upper case.

    "WELL-KNOWN", "A" and "U.S." are one each, "DON'T" (DO, N'T) and "JOHN'S" (JOHN, 'S) are
    two; a token needs at least one letter that has case.
    """
    return sum(token.isupper() for token in split_tokens(text))


def split_tokens(text: str) -> list[str]:
    """Treebank tokens of `text` that are not punctuation marked off by the rules above."""
    tokens = []
    for chunk in SEPARATORS.sub(" ", text).split():
        joined = JOINED.sub(lambda match: " ".join(part for part in match.groups() if part), chunk)
        for piece in joined.split():
            tokens.extend(_without_clitic(piece))
    return tokens


def _without_clitic(piece: str) -> list[str]:
    stem = piece.rstrip(".")
    bare = stem[:-1] if len(stem) > 1 and stem.endswith("'") else stem
    clitic = CLITIC.search(bare)
    if clitic is None:
        return [piece]
    return [bare[: clitic.start()], clitic.group()]
