"""The keys of the annotation page: one key for each action, which everybody may change, and no key for two.

Digits, Enter's meaning in a text field, Tab and Escape are not for the changing: they do what they do
everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from accord.domain.errors import DataError


@dataclass(frozen=True)
class Action:
    """Something a key does."""

    name: str
    key: str
    """As the browser names it: a small letter, a sign, or a name such as `Enter`."""
    words: str
    """What it does, in English; the catalog has it in other languages."""


ACTIONS = (
    Action("submit", "Enter", "Submit"),
    Action("left", "ArrowLeft", "One grade toward A"),
    Action("right", "ArrowRight", "One grade toward B"),
    Action("skip", "s", "Skip, then the number of a reason"),
    Action("guidelines", "g", "Guidelines"),
    Action("diff", "d", "Show where the answers differ"),
    Action("raw", "r", "Answers as they were written"),
    Action("scroll", "y", "Scroll the answers together, linked or apart"),
    Action("side", "x", "The other answer, on a narrow screen"),
    Action("edit", "e", "To the text field, or to marking words"),
    Action("finish", "f", "Finish a conversation"),
    Action("undo", "u", "Take the last judgment up again"),
    Action("history", "h", "My last 50"),
    Action("break", "b", "Take a break"),
    Action("keys", "?", "Keys"),
)
"""Every action that a key has on the page, in the order in which they are listed."""
DEFAULTS: Mapping[str, str] = MappingProxyType({action.name: action.key for action in ACTIONS})
NAMED = frozenset(
    {"Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Backspace", "Delete"}
)
"""Keys with a name that may be taken."""


def keys_of(changes: object) -> dict[str, str]:
    """Action to key: the defaults, with somebody's changes that still hold together."""
    if not isinstance(changes, Mapping):
        return dict(DEFAULTS)
    try:
        return checked_keys(changes)
    except DataError:
        return dict(DEFAULTS)


def checked_keys(changes: Mapping[str, object]) -> dict[str, str]:
    """Action to key after changes; raises `DataError` that names both actions a key would have."""
    keys = dict(DEFAULTS)
    for name, key in changes.items():
        if name not in keys:
            raise DataError(f"there is no action {name!r}; there are: {', '.join(keys)}")
        if not isinstance(key, str) or not _may_be_taken(key):
            raise DataError(
                f"the key {key!r} cannot be taken; expected a letter, a sign or Enter and the like"
            )
        keys[name] = key.lower() if len(key) == 1 else key
    owner: dict[str, str] = {}
    for name, key in keys.items():
        if key in owner:
            raise DataError(f"the key {key!r} would do two things: {owner[key]} and {name}; choose another")
        owner[key] = name
    return keys


def _may_be_taken(key: str) -> bool:
    return key in NAMED or (len(key) == 1 and key.isprintable() and not key.isspace() and not key.isdigit())
