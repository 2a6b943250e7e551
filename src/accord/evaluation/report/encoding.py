"""A report as JSON and back: exact, deterministic, strict about unknown keys.

NaN becomes null and the infinities become the words "inf" and "-inf", so that the file is
JSON for every reader. Works for any tree of dataclasses, tuples, mappings and plain values.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from accord.domain.errors import EvaluationError
from accord.evaluation.report.contents import Report

Record = TypeVar("Record")

SCHEMA = 1
"""Raised when the meaning of a field changes."""


def report_to_json(report: Report) -> str:
    """The report as JSON text, keys in the order of the records, ending in a newline."""
    return json.dumps({"schema": SCHEMA, **encode(report)}, indent=1) + "\n"


def report_from_json(text: str) -> Report:
    """The report that `report_to_json` wrote; raises `EvaluationError` on anything else."""
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise EvaluationError(
            f"this is not a report: {error}. Expected the JSON written by Accord."
        ) from error
    if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
        raise EvaluationError(
            f'this is not a report of schema {SCHEMA}; expected an object with "schema": {SCHEMA}'
        )
    return decode(tree, Report)


def encode(value: Any) -> Any:
    """Records, mappings, sequences and numbers as what `json` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else f"{value}"
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [encode(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    raise EvaluationError(f"a report holds plain numbers and text, got {type(value).__name__}: {value!r}")


def decode(value: Any, kind: type[Record], *, path: str = "report") -> Record:
    """The record of type `kind` that `encode` made `value` from."""
    if not isinstance(value, dict):
        raise EvaluationError(f"{path} must be an object for {kind.__name__}, got {value!r}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise EvaluationError(
            f"{path} has unknown keys {', '.join(unknown)}; expected those of {kind.__name__}"
        )
    fields = {name: _decode(item, hints[name], f"{path}.{name}") for name, item in value.items()}
    try:
        return kind(**fields)
    except TypeError as error:
        raise EvaluationError(f"{path} is incomplete: {error}") from error


def _decode(value: Any, hint: Any, path: str) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return decode(value, typing.cast(type, hint), path=path)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _decode(value, _without_none(arguments), path)
    if origin is typing.Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        return _decode_choice(value, hint, path)
    if origin is tuple:
        return _decode_tuple(value, arguments, path)
    if origin is not None and issubclass(origin, Mapping):
        _require(isinstance(value, dict), "an object", value, path)
        return {key: _decode(item, arguments[1], f"{path}.{key}") for key, item in value.items()}
    return _decode_plain(value, hint, path)


def _decode_tuple(value: Any, arguments: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), "a list", value, path)
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    _require(len(kinds) == len(value), f"{len(kinds)} items", value, path)
    return tuple(
        _decode(item, kind, f"{path}[{i}]") for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _decode_choice(value: Any, hint: Any, path: str) -> Any:
    is_literal = typing.get_origin(hint) is typing.Literal
    allowed = typing.get_args(hint) if is_literal else tuple(member.value for member in hint)
    _require(value in allowed, " or ".join(map(str, allowed)), value, path)
    return value if is_literal else hint(value)


def _decode_plain(value: Any, hint: Any, path: str) -> Any:
    if hint is float:
        if value is None or value in ("inf", "-inf"):
            return math.nan if value is None else float(value)
        _require(isinstance(value, int | float) and not isinstance(value, bool), "a number", value, path)
        return float(value)
    is_fitting = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    _require(is_fitting, f"a {hint.__name__}", value, path)
    return value


def _without_none(arguments: tuple[Any, ...]) -> Any:
    return next(argument for argument in arguments if argument is not type(None))


def _require(is_met: bool, expected: str, value: Any, path: str) -> None:
    if not is_met:
        raise EvaluationError(f"{path} must be {expected}, got {value!r}")
