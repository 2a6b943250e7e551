"""Typed configs from TOML files and `--set a.b=c`, strict, every problem shown at once; and back to TOML.

A config is a frozen dataclass beside what it configures. This module holds no settings of its own.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast

from accord.domain.errors import ConfigError
from accord.pipeline.decoding import NONE_WORD, Decoder, default_of

Config = TypeVar("Config")

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def load_config(kind: type[Config], path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read `kind` from a TOML file with `overrides` on top; either may be left out.

    Args:
        kind: the config dataclass.
        path: TOML file; its tables are the nested configs. Keys left out keep their defaults.
        overrides: `a.b=c` each, applied in order; `c` is a TOML value, or a string without quotes.

    Raises:
        ConfigError: holds ALL problems: syntax, unknown keys, wrong types, missing values.
    """
    values = {} if path is None else read_toml(path)
    return _decode(kind, values, overrides, source="command line" if path is None else str(path))


def apply_to(config: Config, overrides: Sequence[str]) -> Config:
    """`config` with `a.b=c` overrides on top: what they do not name stays as it is in `config`.

    Raises:
        ConfigError: holds all problems, as `load_config` does.
    """
    return _decode(type(config), {}, overrides, source="command line", base=config)


def _decode(
    kind: type[Config],
    values: dict[str, Any],
    overrides: Sequence[str],
    *,
    source: str,
    base: Config | None = None,
) -> Config:
    problems = [
        problem for override in overrides if (problem := apply_override(values, override)) is not None
    ]
    decoder = Decoder(kind, problems)
    config = decoder.decode(values, kind, "", base=base)
    if problems:
        raise ConfigError(source, problems)
    return cast(Config, config)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; a missing file or a syntax error is a `ConfigError` with the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), ["the file does not exist; check the path given to --config"]) from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"not a readable text file: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"not valid TOML: {error}"]) from error


def apply_override(values: dict[str, Any], override: str) -> str | None:
    """Write `a.b=c` into nested `values`; returns the problem if it does not fit, else None."""
    key, equals, text = override.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        return f"--set {override}: expected KEY=VALUE with a dotted key, such as optimization.steps=100"
    table = values
    for i, name in enumerate(names[:-1]):
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return f"--set {override}: '{'.'.join(names[: i + 1])}' holds {inner!r} and has no keys below it"
        table = inner
    table[names[-1]] = parse_value(text.strip())
    return None


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none (so that strings need no quotes)."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def config_values(config: Any) -> Any:
    """A config as plain dicts, lists and scalars that `load_config` reads back.

    None becomes the word "none", and is left out where it is the default.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {
            field.name: config_values(getattr(config, field.name))
            for field in dataclasses.fields(config)
            if field.init and not (getattr(config, field.name) is None and default_of(field) is None)
        }
    if isinstance(config, Mapping):
        return {str(key): config_values(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [config_values(value) for value in config]
    if isinstance(config, Enum):
        return config.value
    if isinstance(config, Path):
        return str(config)
    return NONE_WORD if config is None else config


def dump_config(config: Any) -> str:
    """A config as TOML text with every value written out; `load_config` gives an equal config back."""
    return dump_table(config_values(config))


def dump_table(values: Mapping[str, Any]) -> str:
    """Plain values (tables, lists, scalars without None) as TOML text."""
    return "\n".join(_toml_lines(values, ())).lstrip("\n") + "\n"


def _toml_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [
        f"{_toml_key(key)} = {_toml_value(value)}"
        for key, value in table.items()
        if not _is_table_like(value)
    ]
    for key, value in table.items():
        inner = (*path, _toml_key(key))
        if isinstance(value, Mapping):
            lines += ["", f"[{'.'.join(inner)}]", *_toml_lines(value, inner)]
        elif _is_table_like(value):
            for row in value:
                lines += ["", f"[[{'.'.join(inner)}]]", *_toml_lines(row, inner)]
    return lines


def _is_table_like(value: Any) -> bool:
    is_rows = isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)
    return isinstance(value, Mapping) or is_rows


def _toml_key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON and TOML agree on escapes, but TOML wants DEL escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return repr(value)
