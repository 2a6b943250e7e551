"""Markdown as safe HTML: what people and models wrote is formatted, and never becomes markup of its own.

HTML in the text stays text. Images and links are not made: the first would be loaded from elsewhere, the
second would hide where they lead; both stay as they were written.
"""

from markdown_it import MarkdownIt
from markupsafe import Markup

ADDRESSES = ["image", "link", "autolink", "reference", "html_block", "html_inline"]
"""Rules of the writer that would make an address or foreign markup."""


def render_markdown(text: str) -> Markup:
    """CommonMark with tables and strikethrough; line breaks are kept."""
    writer = MarkdownIt("commonmark", {"html": False, "breaks": True})
    writer.enable(["table", "strikethrough"]).disable(ADDRESSES)
    return Markup(writer.render(text))
