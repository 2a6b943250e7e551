"""Checks a config's fields and says everything that is wrong with them at once."""

from collections.abc import Iterable
from typing import NamedTuple

from accord.domain import ConfigError


class Check(NamedTuple):
    """One field, whether its value is fine, and what it must be."""

    name: str
    is_fine: bool
    expected: str


def check_settings(source: str, config: object, checks: Iterable[tuple[str, bool, str]]) -> None:
    """Raise ConfigError with every check that fails, the value seen and what was expected."""
    problems = [
        f"{check.name} must be {check.expected}, got {getattr(config, check.name)!r}"
        for check in (Check(*each) for each in checks)
        if not check.is_fine
    ]
    if problems:
        raise ConfigError(source, problems)
