"""Markdown as safe HTML: what people and models wrote is formatted, and never becomes markup of its own.

HTML in the text stays text. Images and links are not made: the first would be loaded from elsewhere, the
second would hide where they lead; both stay as they were written.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

ADDRESSES = ["image", "link", "autolink", "reference", "html_block", "html_inline"]
"""Rules of the writer that would make an address or foreign markup."""

ANCHOR = re.compile(r"\s*\{#([a-z][a-z0-9_-]{0,60})\}$")
"""What a heading may end in to be a place on the page."""
ANCHOR_PREFIX = "guide-"
"""Before every anchor, so that none takes an id that the page itself uses."""


def render_markdown(text: str) -> Markup:
    """CommonMark with tables and strikethrough; line breaks are kept.

    A heading that ends in `{#name}` gets the id `guide-name`.
    """
    writer = MarkdownIt("commonmark", {"html": False, "breaks": True})
    writer.enable(["table", "strikethrough"]).disable(ADDRESSES)
    writer.core.ruler.push("anchors", _anchors)
    return Markup(writer.render(text))


def _anchors(state: StateCore) -> None:
    for opening, inline in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type != "heading_open" or not inline.children:
            continue
        last = inline.children[-1]
        found = ANCHOR.search(last.content) if last.type == "text" else None
        if found:
            opening.attrSet("id", ANCHOR_PREFIX + found[1])
            last.content = last.content[: found.start()]
