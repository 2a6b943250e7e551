"""Markdown as safe HTML: what people and models wrote is formatted, and never becomes markup of its own.

HTML in the text stays text. Images and links are not made: the first would be loaded from elsewhere, the
second would hide where they lead; both stay as they were written. Code is colored by class names, formulas
become MathML, and each block reads in the direction of its own text.
"""

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from accord.feedback.mathematics import render_formula

ADDRESSES = ["image", "link", "autolink", "reference", "html_block", "html_inline"]
"""Rules of the writer that would make an address or foreign markup."""
BLOCKS = frozenset(
    {"paragraph_open", "heading_open", "list_item_open", "blockquote_open", "td_open", "th_open"}
)
MAX_COLORED = 20_000
"""Characters of code that is colored; longer code is shown plain."""

ANCHOR = re.compile(r"\s*\{#([a-z][a-z0-9_-]{0,60})\}$")
"""What a heading may end in to be a place on the page."""
ANCHOR_PREFIX = "guide-"
"""Before every anchor, so that none takes an id that the page itself uses."""


def render_markdown(text: str) -> Markup:
    """CommonMark with tables, strikethrough, code in color and formulas; line breaks are kept.

    A heading that ends in `{#name}` gets the id `guide-name`.
    """
    writer = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _colored})
    writer.enable(["table", "strikethrough"]).disable(ADDRESSES)
    dollarmath_plugin(
        writer,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        double_inline=True,
        renderer=_formula_in_dollars,
    )
    texmath_plugin(writer, delimiters="brackets")
    for name in ("math_inline", "math_block", "math_inline_double", "math_block_eqno"):
        writer.add_render_rule(name, _formula)
    writer.core.ruler.push("direction", _give_direction)
    writer.core.ruler.push("anchors", _anchors)
    return Markup(writer.render(text))


def _colored(code: str, language: str, attributes: str) -> str:
    """Code as spans with class names; empty where the language is not known, then it is shown plain."""
    if not language or len(code) > MAX_COLORED:
        return ""
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="hl-")))


def _formula_in_dollars(content: str, options: dict[str, Any]) -> str:
    return render_formula(content.strip(), is_display=bool(options.get("display_mode")))


def _formula(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    is_display = token.type != "math_inline"
    made = render_formula(token.content.strip(), is_display=is_display)
    return f'<div class="formula-block">{made}</div>\n' if is_display else made


def _give_direction(state: StateCore) -> None:
    """Let every block take the direction of its first strong letter."""
    for token in state.tokens:
        if token.type in BLOCKS:
            token.attrSet("dir", "auto")


def _anchors(state: StateCore) -> None:
    for opening, inline in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type != "heading_open" or not inline.children:
            continue
        last = inline.children[-1]
        found = ANCHOR.search(last.content) if last.type == "text" else None
        if found:
            opening.attrSet("id", ANCHOR_PREFIX + found[1])
            last.content = last.content[: found.start()]
