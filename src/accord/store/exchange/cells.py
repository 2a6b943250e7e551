"""One value out of a row, strictly: what does not fit raises DataError with field, value and need."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain import Choice, DataError, Message, Prompt
from accord.store.exchange.format import Cells, FileContext

CONVERSATION_STARTS = ('[{"role"', '[{"content"')
"""How the JSON text of a message list begins, in files whose cells are all text."""

CHOICES = {
    **dict.fromkeys(("left", "a", "model_a", "first", "response_a"), Choice.LEFT),
    **dict.fromkeys(("right", "b", "model_b", "second", "response_b"), Choice.RIGHT),
    **dict.fromkeys(("tie", "equal", "same", "tie (inconsistent)"), Choice.TIE),
    **dict.fromkeys(("both_bad", "both bad", "tie (bothbad)", "neither"), Choice.BOTH_BAD),
}
"""How files name the outcome of a comparison. Bare numbers are left out: 0 and 1 mean different sides
in different files, so that only a format that knows its numbers reads them."""
NUMBERED_CHOICES = {"0": Choice.TIE, "1": Choice.LEFT, "2": Choice.RIGHT}

TRUE_WORDS = frozenset({"true", "1", "1.0", "yes"})
FALSE_WORDS = frozenset({"false", "0", "0.0", "no"})


def shown(value: Any) -> str:
    """A value as an error message shows it: its type, and its beginning."""
    seen = repr(value)
    return f"{type(value).__name__} {seen if len(seen) <= 60 else seen[:57] + '...'}"


def required(cells: Cells, *names: str) -> Any:
    """The value of the first of `names` that is there and not null."""
    for name in names:
        value = cells.get(name)
        if value is not None:
            return value
    wanted = " or ".join(repr(name) for name in names)
    state = "is null" if any(name in cells for name in names) else "is missing"
    raise DataError(f"field {wanted} {state}; the row has {', '.join(cells) or 'no fields'}")


def take_text(cells: Cells, *names: str) -> str:
    """Text, which may be empty. Numbers are not silently turned into text."""
    value = cells.get(names[0])
    if value is None:
        value = required(cells, *names)
    if not isinstance(value, str):
        raise DataError(f"field {names[0]!r} must be text, got {shown(value)}")
    return value


def take_label(cells: Cells, *names: str, default: str = "") -> str:
    """An identifier: text, or a number as text; `default` where it is missing or empty."""
    for name in names:
        value = cells.get(name)
        if isinstance(value, str | int | float) and value != "":
            return str(value)
    return default


def take_number(cells: Cells, *names: str, default: float | None = None) -> float:
    """A finite number, which CSV cells hold as text. Missing or empty gives `default`, if there is one."""
    value = cells.get(names[0])
    if type(value) is float and math.isfinite(value):
        return value
    if value is None or value == "":
        value = next((cells[name] for name in names if cells.get(name) not in (None, "")), default)
        value = required(cells, *names) if value is None else value
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"field {names[0]!r} must be a finite number, got {shown(value)}")
    return number


def take_flag(cells: Cells, name: str, *, default: bool | None = None) -> bool:
    """True or false: a boolean, 0 or 1, or their words in any case."""
    value = cells.get(name)
    if value in (None, "") and default is not None:
        return default
    if isinstance(value, bool):
        return value
    word = str(required(cells, name)).strip().lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise DataError(f"field {name!r} must be true or false, got {shown(value)}")


def take_list(cells: Cells, *names: str) -> list[Any]:
    """A list, or the JSON text of one."""
    value = required(cells, *names)
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, list):
        raise DataError(f"field {names[0]!r} must be a list, got {shown(value)}")
    return value


def take_mapping(cells: Cells, name: str) -> dict[str, Any]:
    """A JSON object, or the JSON text of one; empty where it is missing."""
    value = cells.get(name)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, Mapping):
        raise DataError(f"field {name!r} must be an object, got {shown(value)}")
    return dict(value)


def take_choice(cells: Cells, *names: str) -> Choice:
    """The outcome of a comparison under any of the names in `CHOICES`."""
    value = required(cells, *names)
    choice = CHOICES.get(str(value).strip().lower())
    if choice is None:
        raise DataError(f"field {names[0]!r} must be left, right, tie or both_bad, got {shown(value)}")
    return choice


def take_numbered_choice(cells: Cells, name: str) -> Choice:
    """The outcome of a comparison as a number: 1 left, 2 right, 0 a tie."""
    value = required(cells, name)
    choice = NUMBERED_CHOICES.get(str(value))
    if choice is None:
        raise DataError(f"field {name!r} must be 1, 2 or 0 for a tie, got {shown(value)}")
    return choice


def shared_length(first: Sequence[object], second: Sequence[object]) -> int:
    """How many leading items (characters, messages) two sequences share."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def rest_of(cells: Cells, *used: str) -> dict[str, Any]:
    """The fields that no record field took: they are kept as meta."""
    return {name: value for name, value in cells.items() if name not in used and value is not None}


def read_message(value: Any) -> Message:
    """One message: `role` and `content`; content may be a list of text parts."""
    if not isinstance(value, Mapping) or "role" not in value:
        raise DataError(f"a message must be an object with role and content, got {shown(value)}")
    if value.get("tool_calls"):
        raise DataError("a message holds tool calls, which Accord cannot keep; leave such rows out")
    content = value.get("content")
    if isinstance(content, list) and all(isinstance(part, Mapping) and "text" in part for part in content):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise DataError(f"the content of a message must be text, got {shown(content)}")
    return Message(value["role"], content)


def read_messages(value: list[Any]) -> tuple[Message, ...]:
    """A conversation, one message an entry."""
    return tuple(read_message(entry) for entry in value)


def write_messages(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """A conversation as `datasets` and TRL write it."""
    return [{"role": message.role, "content": message.content} for message in messages]


def conversational(value: Any, context: FileContext) -> Any:
    """`value`, decoded where a text-only file holds a conversation as JSON text."""
    if context.is_text_only and isinstance(value, str) and value.startswith(CONVERSATION_STARTS):
        return _parsed(value)
    return value


def read_prompt(value: Any, context: FileContext) -> Prompt:
    """A prompt in TRL's terms: text is continued as it stands, a message list goes through the template."""
    value = conversational(value, context)
    if isinstance(value, str):
        return Prompt.from_raw(value)
    if isinstance(value, list):
        return Prompt(messages=read_messages(value))
    raise DataError(f"a prompt must be text or a list of messages, got {shown(value)}")


def write_prompt(prompt: Prompt) -> str | list[dict[str, str]]:
    """A prompt in TRL's terms."""
    return prompt.text if prompt.is_raw else write_messages(prompt.messages)


def read_completion(value: Any, context: FileContext) -> str:
    """A completion in TRL's terms: text, or a list of exactly one assistant message."""
    value = conversational(value, context)
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise DataError(f"a completion must be text or a list with one assistant message, got {shown(value)}")
    return single_answer(read_messages(value))


def single_answer(messages: tuple[Message, ...]) -> str:
    """The text of the one assistant message that a completion is."""
    if len(messages) != 1 or messages[0].role != "assistant":
        roles = ", ".join(message.role for message in messages) or "no messages"
        raise DataError(f"a completion must be exactly one assistant message, got {roles}")
    return messages[0].content


def write_completion(prompt: Prompt, completion: str) -> str | list[dict[str, str]]:
    """A completion in TRL's terms, plain or conversational like its prompt."""
    return completion if prompt.is_raw else [{"role": "assistant", "content": completion}]


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise DataError(f"expected JSON in this cell, got {shown(value)}") from error
