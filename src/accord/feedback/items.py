"""Items as they are stored, from the shapes in which people have them, and as an annotator sees them.

An item's content is messages, candidates (texts with what is known of them) and passages. What annotators
must not know (which model wrote a candidate, further facts) stays in the content and never leaves with
`shown`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain.errors import DataError
from accord.feedback.questions import Presented

ROLES = ("system", "user", "assistant", "tool")
MAX_CHARS = 1_000_000
"""Characters of one text of an item."""
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
"""What names a language: a tag as BCP 47 has it."""
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+")
"""Where a sentence ends: behind its mark and closing quotes, or at a line's end."""


def content_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item's content from a row: `messages` or `prompt`, then `candidates`, or a pair, or a response.

    Candidates come as `candidates` or `completions` (texts, or objects with `text`), as `left` and `right`,
    as `chosen` and `rejected`, or as one `response`; `passages` as texts or objects with `title` and `text`;
    `language` is the tag of what the texts are written in. `topic` is what a conversation with a live model
    is to be about: for the annotator, never said to a model; with it there need be no messages.
    Raises `DataError`.
    """
    candidates = [_candidate(one) for one in _candidates(row)]
    passages = row.get("passages", row.get("context", []))
    if isinstance(passages, str):
        passages = [passages]
    if not isinstance(passages, Sequence):
        raise DataError(f"passages are {type(passages).__name__}; expected a list")
    topic = _text(row.get("topic", ""), "topic")
    has_messages = not topic or any(row.get(name) for name in ("messages", "prompt"))
    content: dict[str, Any] = {"messages": _messages(row) if has_messages else [], "candidates": candidates}
    if topic:
        content["topic"] = topic
    if passages:
        content["passages"] = [_passage(one) for one in passages]
    language = row.get("language")
    if language is not None:
        if not isinstance(language, str) or not LANGUAGE.fullmatch(language):
            raise DataError(f"language is {language!r}; expected a tag such as en, de or pt-BR")
        content["language"] = language
    meta = row.get("meta")
    if meta is not None:
        content["meta"] = meta
    return content


def present(content: Mapping[str, Any], permutation: Sequence[int]) -> Presented:
    """The candidates in the order in which they stand on screen."""
    texts = tuple(content["candidates"][candidate]["text"] for candidate in permutation)
    return Presented(
        candidates=texts,
        permutation=tuple(permutation),
        sentences=tuple(sentence_bounds(text) for text in texts),
    )


def shown(content: Mapping[str, Any], presented: Presented) -> dict[str, Any]:
    """What an annotator may see, and nothing else."""
    return {
        **({"topic": content["topic"]} if content.get("topic") else {}),
        "language": content.get("language", ""),
        "messages": [{"role": one["role"], "content": one["content"]} for one in content["messages"]],
        "passages": [
            {"title": one.get("title", ""), "text": one["text"]} for one in content.get("passages", [])
        ],
        "candidates": list(presented.candidates),
        "sentences": [[list(bounds) for bounds in found] for found in presented.sentences],
    }


def sentence_bounds(text: str) -> tuple[tuple[int, int], ...]:
    """[sentence] Begin and end in characters; spaces between sentences belong to none."""
    bounds, start = [], 0
    ends = [(found.start(), found.end()) for found in SENTENCE_END.finditer(text)] + [(len(text), len(text))]
    for end, following in ends:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if right > left:
            bounds.append((left, right))
        start = following
    return tuple(bounds)


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    given = row.get("messages", row.get("prompt"))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, Sequence) or not given:
        raise DataError("the row has no 'messages' or 'prompt'; expected a text or a list of messages")
    made = []
    for one in given:
        if not isinstance(one, Mapping) or one.get("role") not in ROLES:
            raise DataError(f"message {one!r}: expected a role of {', '.join(ROLES)} and a content")
        made.append({"role": one["role"], "content": _text(one.get("content"), "a message's content")})
    return made


def _candidates(row: Mapping[str, Any]) -> list[Any]:
    for name in ("candidates", "completions"):
        if name in row:
            given = row[name]
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise DataError(f"{name} is {type(given).__name__}; expected a list")
            return list(given)
    for pair in (("left", "right"), ("chosen", "rejected")):
        if pair[0] in row and pair[1] in row:
            return [row[name] for name in pair]
    for name in ("response", "completion"):
        if name in row:
            return [row[name]]
    return []


def _candidate(given: Any) -> dict[str, Any]:
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given):
        given = given[-1]  # a conversation: its last message is the answer
    if isinstance(given, Mapping):
        rest = {name: value for name, value in given.items() if name not in ("text", "content", "role")}
        return {"text": _text(given.get("text", given.get("content")), "a candidate's text"), **rest}
    return {"text": _text(given, "a candidate")}


def _passage(given: Any) -> dict[str, str]:
    if isinstance(given, Mapping):
        text = _text(given.get("text"), "a passage's text")
        return {"title": _text(given.get("title", ""), "a passage's title"), "text": text}
    return {"title": "", "text": _text(given, "a passage")}


def _text(given: Any, what: str) -> str:
    if not isinstance(given, str):
        raise DataError(f"{what} is {given!r}; expected a text")
    if len(given) > MAX_CHARS:
        raise DataError(f"{what} has {len(given)} characters; expected at most {MAX_CHARS}")
    if "\x00" in given:
        raise DataError(f"{what} holds a null character, which no database takes; remove it")
    return given
