"""Sentences of English text, counted as the Punkt splitter of the IFEval reference counts them.

Leaves out the trained word statistics of that splitter: what is an abbreviation, and whether a capitalized
word after one opens a sentence, is decided by short lists of our own, so that rare words may count
differently.
"""

import re
from itertools import pairwise

MARK = re.compile(r"""[.?!](?=[)";}\]*:@'({\[!?]|\s+\S)""")
"""A sign that may end a sentence: a closing or opening sign follows at once, or space and text.
Line ends alone end nothing."""
TRAILING = re.compile(r"""["'\])}]+(?=\s|--|$)\s*""", re.MULTILINE)
"""Closing signs that still belong to the sentence before."""
OPENING_SIGNS = '("`{[:;&#*@)}]-,'
INSIDE_SIGNS = frozenset(")\";}]*:@'({[!?")
NUMBER = re.compile(r"[-.,]{0,2}\d[-.,\d]*")
INITIAL = re.compile(r"[^\W\d]\.")
ELLIPSIS = re.compile(r"\.{2,}")


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABBREVIATIONS = _word_set(
    """
    mr mrs ms dr prof rev hon gen col capt lt sgt maj adm gov sen rep pres sr jr st messrs
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    co corp inc ltd bros dept univ assn vs no vol fig pp ed approx est min max ave blvd rd mt ft sq
    ala ariz ark calif colo conn del fla ga ill ind kan ky la mass md mich minn miss mo mont neb nev
    okla ore pa tenn tex va vt wash wis wyo
    ph.d b.a m.a m.d
    """
)
"""Titles, months and days, firms, streets, states: words whose period is part of them."""
ENDING_SHORT = frozenset({"etc", "e.g", "i.e", "p.s"})
"""Short forms that end a sentence all the same, as in the reference, which learned from newspapers."""
DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
"""Letters with periods between them, such as "u.s" or "p.m"."""
STARTERS = _word_set(
    """
    the this that these those there they he she it we you its their his her our my
    and but or so yet nor if in on at when while where after before although though since because
    once until unless despite during however moreover furthermore meanwhile nevertheless instead
    otherwise then thus still also another some many most each every both several such what who why
    how here now today yesterday
    """
)
"""Words that open a sentence even after an abbreviation or an ellipsis."""
PLAIN_OPENERS = _word_set(
    """
    anyway clearly finally fortunately hopefully maybe nobody nothing obviously perhaps please
    remember somehow sometimes suddenly surely thank thanks therefore unfortunately whatever
    whenever
    """
)
"""Words seldom capitalized elsewhere; they open a sentence after an abbreviation too."""
COMMON_WORDS = (
    STARTERS
    | PLAIN_OPENERS
    | _word_set(
        """
    a about above after again all also always an and another any are as at be been before being
    below between by can could did do does down during each every few for from had has have her here
    him his how into is its just let like may me might more must my never no not now of off on once
    one only or other our out over own please same shall she should such than that their them then
    those through to too two up upon us very was we were what where which who whom whose why will
    with would yes you your
    """
    )
)
"""Words that also stand in lower case: before one of them a single letter is no initial."""


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, without the space between them; blank text has none.

    Follows Kiss and Strunk 2006 with parameters trained on English newspapers: "!" and
    "?" always end a sentence, a period does after any word that is no abbreviation, and a
    list's "1." counts as a sentence of its own before a capital. A closing `**` after the
    last "!" is one more sentence, as in the reference.
    """
    pieces = _cut(text)
    sentences: list[str] = []
    borrowed = 0
    for i, (start, end) in enumerate(pieces):
        begin = start + borrowed
        borrowed = 0
        if i + 1 < len(pieces):
            following = text[pieces[i + 1][0] : pieces[i + 1][1]]
            trailing = TRAILING.match(following)
            if trailing:
                sentences.append(text[begin : pieces[i + 1][0] + len(trailing.group().rstrip())])
                borrowed = trailing.end()
                continue
        if text[begin:end]:
            sentences.append(text[begin:end])
    return sentences


def count_sentences(text: str) -> int:
    """Number of sentences of `text`."""
    return len(split_sentences(text))


def _cut(text: str) -> list[tuple[int, int]]:
    """Where pieces begin and end before closing signs are given back to the sentence they close."""
    pieces = []
    begin = 0
    for mark in _last_marks(text):
        end = mark.end()
        chunk_start = _chunk_start(text, mark.start())
        if not _is_break(text, chunk_start, end):
            continue
        pieces.append((begin, end))
        begin = end
        if text[end].isspace():
            while text[begin].isspace():
                begin += 1
    pieces.append((begin, len(text.rstrip())))
    return pieces


def _last_marks(text: str) -> list[re.Match[str]]:
    """Of several marks in one unbroken run of characters only the last counts."""
    kept: list[re.Match[str]] = []
    for mark in MARK.finditer(text):
        is_same_run = bool(kept) and not re.search(r"\s", text[kept[-1].end() : mark.start()])
        if is_same_run:
            kept[-1] = mark
        else:
            kept.append(mark)
    return kept


def _chunk_start(text: str, position: int) -> int:
    while position > 0 and not text[position - 1].isspace():
        position -= 1
    return position


def _is_break(text: str, start: int, end: int) -> bool:
    """Whether a sentence ends anywhere within text[start:end], given what follows."""
    following = _tokens(text[end:].lstrip().split(maxsplit=1)[0]) if text[end].isspace() else [text[end]]
    tokens = [*_tokens(text[start:end]), *following[:1]]
    return any(_ends_sentence(token, after) for token, after in pairwise(tokens))


def _ends_sentence(token: str, after: str) -> bool:
    if token in ("!", "?"):
        return True
    if not token.endswith("."):
        return False
    word = token[:-1].lower()
    following = after.lower().rstrip(".")
    is_upper = after[:1].isupper()
    if ELLIPSIS.fullmatch(token) or (token.endswith("..") and len(token) > 1):
        return is_upper and following in STARTERS | PLAIN_OPENERS
    if NUMBER.fullmatch(token):
        return not after[:1].islower() and after not in (";", ":", ",", ".", "!", "?")
    is_short = _is_short(word) or _is_short(word.rpartition("-")[2])
    if INITIAL.fullmatch(token):
        return not is_short and (not is_upper or following in COMMON_WORDS) and not after[:1].islower()
    if is_short:
        return is_upper and following in STARTERS | PLAIN_OPENERS
    return True


def _is_short(word: str) -> bool:
    return word not in ENDING_SHORT and (word in ABBREVIATIONS or DOTTED.fullmatch(word) is not None)


def _tokens(chunk: str) -> list[str]:
    """One unbroken run of characters as words and signs; a period stays with its word."""
    tokens = []
    position = 0
    while position < len(chunk):
        run = re.compile(r"-{2,}|\.{2,}").match(chunk, position)
        end = run.end() if run else position + 1
        if run is None and chunk[position] not in OPENING_SIGNS:
            while end < len(chunk) and not _stops_word(chunk, end):
                end += 1
        tokens.append(chunk[position:end])
        position = end
    return tokens


def _stops_word(chunk: str, position: int) -> bool:
    sign = chunk[position]
    if sign in INSIDE_SIGNS or chunk[position : position + 2] in ("--", ".."):
        return True
    if sign != ",":
        return False
    rest = chunk[position + 1 :]
    return not rest or rest[0] in INSIDE_SIGNS or rest[:2] in ("--", "..")
