"""The reference pages, made from the code: commands, configuration, metrics. `make docs` writes them.

Each page is a function that returns its text, so that a test can compare it with the file.
Written by hand are only the sentences at the top of each page.
"""

import ast
import dataclasses
import importlib
import inspect
import itertools
import json
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.main import get_command

import accord
from accord.cli.main import COMMANDS, app
from accord.domain.files import write_text_atomic
from accord.pipeline.decoding import default_of, describe, table_types

HELP_WIDTH = 96


def command_page() -> str:
    """`docs/cli.md`: the help of every command, as it is printed."""
    parts = [
        "# Commands",
        "",
        "Generated from the commands themselves by `make docs`; a test keeps it fresh.",
        "Results go to stdout, notes and errors to stderr. Exit codes: 0 done, 1 error, 2 wrong command line",
        "or config, 3 people must judge first, 130 stopped by Ctrl-C.",
    ]
    for path, command in walk_commands():
        context = command.make_context(path, [], resilient_parsing=True, terminal_width=HELP_WIDTH)
        parts += ["", f"## {path}", "", "```text", context.get_help().rstrip(), "```"]
    return "\n".join(parts) + "\n"


def walk_commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name: the root, then each command and what is below it."""
    yield "accord", get_command(app)
    for entry in COMMANDS:
        yield from _walk(f"accord {entry.name}", entry.load())


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(f"{path} {name}", inner)


def configuration_page() -> str:
    """`docs/configuration.md`: every key of every config, its type, default and meaning."""
    roots = file_roots()
    parts = [
        "# Configuration",
        "",
        "Generated from the config classes by `make docs`; a test keeps it fresh.",
        "",
        "A command that takes a config reads one TOML file:",
        "",
        *(f"- `{command}`: [{kind.__name__}](#{kind.__name__.lower()})" for command, kind in roots.items()),
        "",
        "Each table of the file is one class below, each key one field.",
        "`--set a.b=c` changes one key on top of the file; `c` is a TOML value, a string needs no quotes.",
        "Keys left out keep their defaults. Where a field may be empty, the string `none` empties it.",
        "A field that takes one of several tables tells them apart by the key `type`.",
        "All problems of a config are reported together, and nothing runs before they are gone.",
        "Relative paths count from the folder the command is called in.",
    ]
    places: dict[type, list[str]] = {}
    for kind in roots.values():
        for found, where in config_places(kind).items():
            places.setdefault(found, []).extend(where)
    others = sorted(
        set(config_classes()) - set(roots.values()), key=lambda kind: (kind.__name__, kind.__module__)
    )
    for kind in [*roots.values(), *others]:
        parts += ["", *_config_section(kind, sorted(set(places.get(kind, []))))]
    return "\n".join(parts) + "\n"


def file_roots() -> dict[str, type]:
    """Each command that reads a config file, and the class of the whole file."""
    from accord.pipeline.charter.principles import Charter
    from accord.pipeline.jobs import KINDS
    from accord.pipeline.plan import SpineConfig
    from accord.pipeline.rounds.plan import LoopConfig

    roots: dict[str, type] = {
        "accord run": SpineConfig,
        "accord run (rounds)": LoopConfig,
        "accord policy": Charter,
    }
    return {**roots, **{f"accord train {name}": kind for name, kind in KINDS.items()}}


def _config_section(kind: type, places: list[str]) -> list[str]:
    where = ", ".join(f"`[{place}]`" for place in places if place) or "the top of the file"
    docs = field_docs(kind)
    annotations = typing.get_type_hints(kind)
    lines = [
        f"## {kind.__name__}",
        "",
        f"{inspect.cleandoc(kind.__doc__ or '').splitlines()[0]}",
        "",
        f"In a file: {where}." if places else f"From Python: `{kind.__module__}`.",
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for field in dataclasses.fields(kind):
        annotation = annotations[field.name]
        tables = table_types(annotation)
        shape = " or ".join(f"[{inner.__name__}](#{inner.__name__.lower()})" for inner in tables)
        default = _shown_default(field, is_choice=len(tables) > 1)
        meaning = " ".join(docs.get(field.name, "").split()).replace("|", "\\|")
        lines.append(f"| `{field.name}` | {shape or describe(annotation)} | {default} | {meaning} |")
    return lines


def _shown_default(field: "dataclasses.Field[Any]", *, is_choice: bool) -> str:
    default = default_of(field)
    if default is dataclasses.MISSING:
        return "must be given"
    if default is None:
        return "none"
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        own = {inner.name: default_of(inner) for inner in dataclasses.fields(default)}
        values = {name: getattr(default, name) for name in own}
        changed = ", ".join(f"{name} = {_value(values[name])}" for name in own if values[name] != own[name])
        name = type(default).__name__ if is_choice else ""
        return f"{name} with `{changed}`".strip() if changed else name or "its defaults"
    return f"`{_value(default)}`"


def _value(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if dataclasses.is_dataclass(value):
        return type(value).__name__
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


def metric_page() -> str:
    """`docs/metrics.md`: every metric a run may log."""
    from accord.training.metrics import metrics_page

    return metrics_page()


def config_places(kind: type, path: str = "") -> dict[type, list[str]]:
    """Where in a run's file each config class may stand, as dotted table names."""
    places: dict[type, list[str]] = {kind: [path]}
    annotations = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        for inner in table_types(annotations[field.name]):
            for found, where in config_places(inner, f"{path}.{field.name}".lstrip(".")).items():
                places.setdefault(found, []).extend(where)
    return places


def config_classes() -> list[type]:
    """Every dataclass of the package whose name ends in Config."""
    return [
        kind
        for module in all_modules()
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and name.endswith("Config")
        and dataclasses.is_dataclass(kind)
        and kind.__module__ == module.__name__
    ]


def all_modules() -> list[ModuleType]:
    """Every module of the package, imported."""
    found = pkgutil.walk_packages(accord.__path__, "accord.")
    return [importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")]


def field_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, inherited ones too, by field name."""
    docs = {}
    for one in reversed(kind.__mro__[:-1]):
        docs.update(_own_field_docs(one))
    return docs


def _own_field_docs(kind: type) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(importlib.import_module(kind.__module__)))
    body = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    docs = {}
    for field, after in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[field.target.id] = inspect.cleandoc(str(after.value.value))
    return docs


def interface_page() -> str:
    """The description of the server's interface, as the server gives it at /openapi.json."""
    from accord.feedback.app import create_app
    from accord.store.database.engine import open_database

    database = open_database("sqlite://")
    described = create_app(database).openapi()
    database.close()
    described["info"]["version"] = "1"  # of the interface; the package's own changes with every release
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_page,
    "configuration.md": configuration_page,
    "openapi.json": interface_page,
    "metrics.md": metric_page,
}


def write_pages(folder: Path) -> None:
    """Write every page below `folder`."""
    for name, make_page in PAGES.items():
        write_text_atomic(folder / name, make_page())


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
