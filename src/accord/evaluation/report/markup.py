"""HTML and SVG elements that escape everything: plain text can never become markup.

Leaves out templates and layout; `element` is the only way to make markup in this package.
"""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})
"""HTML elements that have no end tag."""


class Markup(str):
    """Text that is safe to put into a page as it stands."""

    __slots__ = ()


Child: TypeAlias = str | int | Iterable["Child"] | None
"""What an element may hold; None is left out, a plain `str` is escaped, `Markup` is kept."""
Attribute: TypeAlias = "str | int | float | bool | None"


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """One element. `class_` becomes class, `stroke_width` becomes stroke-width.

    Attributes that are None or False are left out, True gives a bare attribute, floats are
    written with at most two decimals so that equal reports give equal bytes.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Child) -> Markup:
    """Children one after the other, plain text escaped."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int):
        text = (
            str(children).encode("utf-8", "replace").decode("utf-8")
        )  # half a surrogate pair cannot be written
        return Markup(escape(text, quote=False))
    return Markup("".join(join(child) for child in children))


def decimal(value: float) -> str:
    """A coordinate with at most two decimals and no negative zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = decimal(value) if isinstance(value, float) else str(value)
    return f' {name}="{escape(text, quote=True)}"'
