"""Rows as other tools write them, turned into rows that `content_of` takes: nothing of the texts is lost.

TRL's rows whose prompt is only the common beginning of two conversations, transcripts in the style of
Anthropic's HH, and what Argilla and Label Studio export. Judgments that come along are not taken for ours;
they stay in `meta`.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accord.domain.errors import DataError
from accord.store.exchange.format import FileContext
from accord.store.exchange.preference import PREFERENCE
from accord.store.exchange.transcripts import TRANSCRIPTS

PROMPT_NAMES = ("messages", "prompt", "instruction", "question", "conversation", "chat", "input", "text")
"""Fields that may hold what was asked, the first that is there."""
ANSWER_NAME = re.compile(r"(?:response|completion|generation|answer|output|candidate|reply)s?[-_ ]?\w{0,3}$")
"""A field that holds an answer; several are taken in the order of their names."""
PASSAGE_NAMES = ("passages", "context", "contexts", "documents")
ROLES: Mapping[str, str] = MappingProxyType(
    {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
)
"""How other tools name who speaks."""
Row = Mapping[str, Any]


def shape_of(row: Row) -> str:
    """The name of the shape a row has, one of `SHAPES`; `accord` where nothing else fits."""
    if isinstance(row.get("fields"), Mapping):
        return "argilla"
    if isinstance(row.get("data"), Mapping):
        return "label-studio"
    pair = row.get("chosen"), row.get("rejected")
    if all(isinstance(side, str) and side.lstrip().startswith("Human:") for side in pair):
        return "hh"
    if "prompt" not in row and "messages" not in row and all(isinstance(side, list | str) for side in pair):
        return "trl"
    return "accord"


def usual_row(row: Row, shape: str = "auto") -> Row:
    """A row as `content_of` takes it; raises `DataError` for one that does not have that shape."""
    read = SHAPES.get(shape_of(row) if shape == "auto" else shape)
    if read is None:
        raise DataError(f"there is no format {shape!r}; formats are auto, {', '.join(SHAPES)}")
    return read(row)


def _accord(row: Row) -> Row:
    made = dict(row)
    for name in ("messages", "prompt", "chosen", "rejected", "candidates", "completions", "passages", "gold"):
        value = made.get(name)
        if isinstance(value, str) and value[:1] in ("[", "{"):
            made[name] = _parsed(value)  # a table holds lists as their JSON
    if not made.get("messages"):
        made.pop("messages", None)
    return made


def _pair(row: Row, form: Any) -> Row:
    (record,) = form.read_row(row, FileContext(path=Path("rows"), name="rows"))
    made = {
        "messages": [{"role": one.role, "content": one.content} for one in record.prompt.messages],
        "chosen": record.chosen,
        "rejected": record.rejected,
    }
    kept = {name: row[name] for name in ("language", "gold", "explanation") if name in row}
    return {**made, **kept, **({"meta": dict(record.meta)} if record.meta else {})}


def _trl(row: Row) -> Row:
    if "prompt" in row and not isinstance(row.get("chosen"), list):
        return _accord(row)
    return _pair(_accord(row), PREFERENCE)


def _hh(row: Row) -> Row:
    leading = {name: "\n\n" + str(row[name]).lstrip() for name in ("chosen", "rejected") if name in row}
    return _pair({**row, **leading}, TRANSCRIPTS)


def _argilla(row: Row) -> Row:
    fields = row.get("fields")
    if not isinstance(fields, Mapping):
        raise DataError("the row has no 'fields'; expected a record as Argilla exports it")
    meta = {"argilla": str(row.get("id", "")), **_mapping(row.get("metadata"))}
    for name in ("responses", "suggestions"):
        if row.get(name):
            meta[name] = row[name]
    return {**_named(fields), "meta": meta}


def _label_studio(row: Row) -> Row:
    data = row.get("data")
    if not isinstance(data, Mapping):
        raise DataError("the row has no 'data'; expected a task as Label Studio exports it")
    meta = {"label_studio": row.get("id"), **_mapping(row.get("meta"))}
    for name in ("annotations", "predictions"):
        if row.get(name):
            meta[name] = row[name]
    return {**_named(data), "meta": meta}


def _named(fields: Row) -> dict[str, Any]:
    """Prompt, answers and passages told by the names of fields."""
    prompt_name = next((name for name in PROMPT_NAMES if fields.get(name)), None)
    if prompt_name is None:
        names = ", ".join(fields) or "none"
        raise DataError(f"no field holds the prompt; expected one of {', '.join(PROMPT_NAMES)}, got {names}")
    made: dict[str, Any] = {"messages": _messages(fields[prompt_name])}
    if "chosen" in fields and "rejected" in fields:
        made |= {"chosen": fields["chosen"], "rejected": fields["rejected"]}
    else:
        answers: list[Any] = []
        for name in sorted(set(fields) - {prompt_name}):
            if not ANSWER_NAME.match(name.lower()):
                continue
            value = fields[name]
            answers += value if isinstance(value, list) else [value]
        made["candidates"] = [one for one in answers if one is not None]
    passages = next((fields[name] for name in PASSAGE_NAMES if fields.get(name)), None)
    if passages is not None:
        made["passages"] = passages
    return made


def _messages(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise DataError(f"the prompt is {type(value).__name__}; expected a text or a list of messages")
    made = []
    for one in value:
        if not isinstance(one, Mapping):
            raise DataError(f"message {one!r}: expected an object with a role and a content")
        role = str(one.get("role", one.get("from", one.get("author", "user")))).lower()
        text = one.get("content", one.get("value", one.get("text")))
        made.append({"role": ROLES.get(role, role), "content": text})
    return made


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


SHAPES: Mapping[str, Callable[[Row], Row]] = MappingProxyType(
    {"accord": _accord, "trl": _trl, "hh": _hh, "argilla": _argilla, "label-studio": _label_studio}
)
"""Name of a format to what reads it."""
FORMATS = ("auto", *SHAPES)
