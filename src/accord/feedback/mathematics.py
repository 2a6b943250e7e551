"""Formulas as MathML: what browsers set by themselves, without a script and without a font from elsewhere.

Only elements and attributes of a short list come out; whatever cannot be read stays as it was written.
"""

import html
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element
from markupsafe import escape

MAX_CHARS = 2000
"""Characters of a formula; a longer one stays as it was written."""
ELEMENTS = frozenset(
    {
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "mtext",
        "mspace",
        "mfrac",
        "msqrt",
        "mroot",
        "msub",
        "msup",
        "msubsup",
        "munder",
        "mover",
        "munderover",
        "mmultiscripts",
        "mprescripts",
        "mtable",
        "mtr",
        "mtd",
        "mstyle",
        "mpadded",
        "mphantom",
        "mfenced",
        "menclose",
        "none",
    }
)
ATTRIBUTES = frozenset(
    {
        "display",
        "mathvariant",
        "stretchy",
        "fence",
        "form",
        "lspace",
        "rspace",
        "minsize",
        "maxsize",
        "linethickness",
        "accent",
        "accentunder",
        "columnalign",
        "rowalign",
        "displaystyle",
        "scriptlevel",
        "movablelimits",
        "separator",
        "symmetric",
        "width",
        "height",
        "depth",
    }
)
"""No address, no style, no color: a formula cannot point elsewhere or pose as something else."""


def render_formula(text: str, *, is_display: bool = False) -> str:
    """A TeX formula as safe markup; the formula itself, as code, where it cannot be set."""
    written = f'<code class="formula" dir="ltr">{escape(text)}</code>'
    if len(text) > MAX_CHARS:
        return written
    try:
        made = convert_to_element(text, display="block" if is_display else "inline")
        inner = "".join(_markup(made))
    except Exception:  # the reader of TeX raises many kinds of error; none may take the page down
        return written
    return inner if inner else written


def _markup(element: Element) -> Iterator[str]:
    if element.tag not in ELEMENTS:
        raise ValueError(f"element {element.tag}")
    attributes = [(name, value) for name, value in element.attrib.items() if name in ATTRIBUTES]
    yield f"<{element.tag}"
    yield "".join(f' {name}="{escape(value)}"' for name, value in attributes)
    yield ">"
    if element.text:
        yield str(escape(html.unescape(element.text)))
    for child in element:
        yield from _markup(child)
        if child.tail and child.tail.strip():
            yield str(escape(html.unescape(child.tail)))
    yield f"</{element.tag}>"
