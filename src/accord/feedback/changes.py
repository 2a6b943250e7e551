"""What has changed between two versions of a guideline, paragraph by paragraph."""

import difflib
import re
from dataclasses import dataclass

from markupsafe import Markup

from accord.feedback.markdown import render_markdown


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A block of a guideline as it is shown."""

    html: Markup
    is_changed: bool
    """True where it is new or reads otherwise than in the earlier version."""


def paragraphs_of(text: str, earlier: str | None) -> list[Paragraph]:
    """The blocks of a guideline, marked against an earlier version; without one nothing is marked."""
    blocks = _blocks(text)
    if earlier is None:
        return [Paragraph(html=render_markdown(block), is_changed=False) for block in blocks]
    kept: set[int] = set()
    matcher = difflib.SequenceMatcher(None, _blocks(earlier), blocks, autojunk=False)
    for match in matcher.get_matching_blocks():
        kept.update(range(match.b, match.b + match.size))
    return [
        Paragraph(html=render_markdown(block), is_changed=number not in kept)
        for number, block in enumerate(blocks)
    ]


def _blocks(text: str) -> list[str]:
    """Text cut at empty lines outside code fences; a list stays whole while its lines follow each other."""
    blocks: list[list[str]] = [[]]
    is_code = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        if not line.strip() and not is_code:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return [joined for block in blocks if (joined := re.sub(r"[ \t]+\n", "\n", "\n".join(block)).rstrip())]
