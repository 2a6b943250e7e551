"""Commands that are imported when they are called, so that the root's help starts at once."""

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


@dataclass(frozen=True, kw_only=True)
class LazyCommand:
    """Where a command is, and its line in the help of the root."""

    name: str
    summary: str
    """First line of the command's own help, repeated here so that the help needs no import."""
    module: str
    attribute: str = "app"
    """A `typer.Typer` with several commands, or one function."""

    def load(self) -> Any:
        """Import the module and make the command."""
        target = getattr(importlib.import_module(self.module), self.attribute)
        holder = typer.Typer(rich_markup_mode=None, add_completion=False)
        if isinstance(target, typer.Typer):
            holder.add_typer(target, name=self.name)
        else:
            holder.command(self.name)(target)
        return get_group(holder).commands[self.name]


def lazy_group(commands: tuple[LazyCommand, ...]) -> type[TyperGroup]:
    """A group class over `commands`, in their order."""
    by_name = {command.name: command for command in commands}

    class LazyGroup(TyperGroup):
        """Looks commands up in the table and imports the one that is called."""

        def list_commands(self, ctx: Any) -> list[str]:
            return list(by_name)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return by_name[cmd_name].load() if cmd_name in by_name else None

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(command.name, command.summary) for command in commands])

    return LazyGroup
