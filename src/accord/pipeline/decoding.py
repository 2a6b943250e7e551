"""Plain TOML values into typed config dataclasses, gathering every problem instead of stopping at the first.

Knows `int float str bool Path`, enums, `Literal`, `X | None`, tuples, lists, `dict[str, X]`, nested
dataclasses and unions of dataclasses told apart by their field `type`. Reads no files; see `configuration`.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

from accord.domain.errors import AccordError, ConfigError

NONE_WORD: Final = "none"
"""TOML has no null: in a field that may be None this string stands for it."""

SCALARS: Final = (bool, int, float, str)


class _Invalid:
    """Marks a value whose problem is already on the list."""


INVALID: Final = _Invalid()


@dataclasses.dataclass
class Decoder:
    """One decoding of one config; `problems` grows as values turn out not to fit."""

    root: type
    problems: list[str] = dataclasses.field(default_factory=list)

    def decode(self, value: Any, annotation: Any, path: str, *, base: Any = None) -> Any:
        """`value` as `annotation`, or `INVALID` after noting why not.

        `base` is the default of the field: a table changes only the keys it names.
        """
        origin = typing.get_origin(annotation)
        if annotation is Any:
            return value
        if origin is typing.Annotated:
            return self.decode(value, typing.get_args(annotation)[0], path, base=base)
        if origin in (typing.Union, types.UnionType):
            return self._decode_union(value, annotation, path, base)
        if origin is Literal:
            return self._decode_choice(value, typing.get_args(annotation), annotation, path)
        if origin in (tuple, list):
            return self._decode_sequence(value, annotation, path)
        if origin in (dict, Mapping):
            return self._decode_mapping(value, annotation, path)
        if dataclasses.is_dataclass(annotation):
            return self._decode_table(value, typing.cast(type, annotation), path, base)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            chosen = self._decode_choice(
                value, tuple(member.value for member in annotation), annotation, path
            )
            return chosen if chosen is INVALID else annotation(chosen)
        return self._decode_scalar(value, annotation, path)

    def _decode_scalar(self, value: Any, annotation: Any, path: str) -> Any:
        if annotation is Path and isinstance(value, str):
            return Path(value).expanduser()
        if annotation is float and type(value) is int:
            return float(value)
        if annotation in SCALARS and type(value) is annotation:
            return value
        return self._mismatch(value, annotation, path)

    def _decode_choice(self, value: Any, choices: tuple[Any, ...], annotation: Any, path: str) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        return self._mismatch(value, annotation, path, hint=nearest(value, choices))

    def _decode_sequence(self, value: Any, annotation: Any, path: str) -> Any:
        if not isinstance(value, list):
            return self._mismatch(value, annotation, path)
        make = typing.get_origin(annotation)
        inner = typing.get_args(annotation)
        if make is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
            if len(value) != len(inner):
                return self._mismatch(value, annotation, path)
            kinds = inner
        else:
            kinds = (inner[0],) * len(value)
        items = [
            self.decode(item, kind, f"{path}[{i}]")
            for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
        ]
        return INVALID if any(item is INVALID for item in items) else make(items)

    def _decode_mapping(self, value: Any, annotation: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self._mismatch(value, annotation, path)
        kind = typing.get_args(annotation)[1]
        items = {key: self.decode(item, kind, join(path, key)) for key, item in value.items()}
        return INVALID if any(item is INVALID for item in items.values()) else items

    def _decode_union(self, value: Any, annotation: Any, path: str, base: Any) -> Any:
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        is_optional = len(members) < len(typing.get_args(annotation))
        if is_optional and value in (None, NONE_WORD):
            return None
        if len(members) == 1:
            return self.decode(value, members[0], path, base=base)
        tables = [member for member in members if dataclasses.is_dataclass(member)]
        if tables and isinstance(value, dict):
            return self._decode_variant(value, typing.cast(list[type], tables), path, base)
        for member in members:
            attempt = Decoder(self.root)
            decoded = attempt.decode(value, member, path)
            if not attempt.problems:
                return decoded
        return self._mismatch(value, annotation, path)

    def _decode_variant(self, value: dict[str, Any], members: list[type], path: str, base: Any) -> Any:
        by_name = {variant_name(member): member for member in members}
        kind = value.get("type", None if base is None else variant_name(type(base)))
        if isinstance(kind, str) and kind in by_name:
            return self._decode_table(value, by_name[kind], path, base)
        known = ", ".join(repr(name) for name in by_name)
        seen = "it is missing" if kind is None else f"got {kind!r}"
        hint = nearest(kind, tuple(by_name))
        self.problems.append(f"{join(path, 'type')}: expected one of {known}; {seen}{hint}")
        return INVALID

    def _decode_table(self, value: Any, kind: type, path: str, base: Any) -> Any:
        if not isinstance(value, dict):
            return self._mismatch(value, kind, path)
        annotations = typing.get_type_hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        for key in value:
            if key not in fields:
                self.problems.append(self._unknown_key(key, tuple(fields), path))
        before = len(self.problems)
        arguments: dict[str, Any] = {}
        for name, field in fields.items():
            default = getattr(base, name) if type(base) is kind else default_of(field)
            if name in value:
                decoded = self.decode(value[name], annotations[name], join(path, name), base=default)
                # Where a value does not fit, its default stands in, so that the other values are checked too.
                arguments[name] = default if decoded is INVALID else decoded
            elif default is not dataclasses.MISSING:
                arguments[name] = default
            else:
                expected = describe(annotations[name])
                self.problems.append(f"{join(path, name)}: missing; it has no default, set it to {expected}")
        if len(arguments) < len(fields) or any(value is dataclasses.MISSING for value in arguments.values()):
            return INVALID
        made = self._construct(kind, arguments, path)
        return made if len(self.problems) == before else INVALID

    def _construct(self, kind: type, arguments: dict[str, Any], path: str) -> Any:
        try:
            return kind(**arguments)
        except ConfigError as error:
            self.problems.extend(join(path, problem) for problem in error.problems)
        except (AccordError, ValueError) as error:
            self.problems.append(f"{path}: {error}" if path else str(error))
        return INVALID

    def _unknown_key(self, key: str, siblings: tuple[str, ...], path: str) -> str:
        elsewhere = [name for name in dotted_names(self.root) if name.rpartition(".")[2] == key]
        close = [join(path, name) for name in difflib.get_close_matches(key, siblings, n=1)]
        if elsewhere or close:
            return f"{join(path, key)}: unknown key; did you mean '{(elsewhere or close)[0]}'?"
        return f"{join(path, key)}: unknown key; known here: {', '.join(siblings) or 'no keys'}"

    def _mismatch(self, value: Any, annotation: Any, path: str, *, hint: str = "") -> _Invalid:
        seen = f"{value!r} ({type(value).__name__})"
        if isinstance(value, dict):
            seen = f"a table with keys {', '.join(value)}"
        self.problems.append(f"{path or 'config'}: expected {describe(annotation)}, got {seen}{hint}")
        return INVALID


def join(path: str, key: str) -> str:
    """The dotted path of `key` below `path`."""
    return f"{path}.{key}" if path else key


def nearest(value: Any, choices: tuple[Any, ...]) -> str:
    """`; did you mean 'x'?` for the choice that looks most like `value`, or nothing."""
    close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """The default of a dataclass field, or `dataclasses.MISSING`."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def variant_name(kind: type) -> str:
    """The value of the field `type` that picks this dataclass out of a union."""
    for field in dataclasses.fields(kind):
        if field.name == "type":
            return str(default_of(field))
    raise TypeError(f"{kind.__name__} stands in a union of configs and needs a field `type` with a default")


def table_types(annotation: Any) -> list[type]:
    """The dataclasses that a field of this annotation may hold, one for each variant."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return [annotation]
    return [kind for inner in typing.get_args(annotation) for kind in table_types(inner)]


def dotted_names(kind: type, path: str = "") -> Iterator[str]:
    """Every dotted key of a config type, variants of a union one after the other."""
    annotations = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield join(path, field.name)
        for inner in table_types(annotations[field.name]):
            yield from dotted_names(inner, join(path, field.name))


def describe(annotation: Any) -> str:
    """An annotation in the words of someone who writes TOML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return f'"{NONE_WORD}"'
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(member) for member in inner))
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in inner)
    if origin in (tuple, list):
        if origin is list or (len(inner) == 2 and inner[1] is Ellipsis):
            return f"a list of {describe(inner[0])}"
        return f"a list of {len(inner)} values ({', '.join(describe(member) for member in inner)})"
    if origin in (dict, Mapping) or dataclasses.is_dataclass(annotation):
        return "a table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(repr(member.value) for member in annotation)
    words = {bool: "true or false", int: "int", float: "float", str: "string", Path: "path"}
    return words.get(annotation, str(annotation))
