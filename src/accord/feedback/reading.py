"""How long reading takes at least, so that a judgment far below it can be asked about, once, kindly.

A guard, not a judge: it never refuses, and it says nothing of how well somebody judges.
"""

import re
from collections.abc import Iterable

WORDS_PER_MINUTE = 238
"""Silent reading of English prose by adults (Brysbaert 2019)."""
SHARE = 0.5
"""Of the time for every word: who judges skims."""
SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
"""Signs of scripts that put no spaces between words, or few."""
SIGNS_PER_WORD = 1.7
"""How many of them carry what one English word does."""
CODE_LINE_MS = 700
"""For each line between code fences, read slower than prose."""


def expected_reading_ms(texts: Iterable[str]) -> int:
    """Milliseconds a practiced reader needs for texts; 0 for none. Scripts without spaces count by sign."""
    total = 0.0
    for text in texts:
        prose, n_code_lines = _apart(text)
        n_signs = len(SIGNS.findall(prose))
        n_words = len(SIGNS.sub(" ", prose).split()) + n_signs / SIGNS_PER_WORD
        total += n_words / WORDS_PER_MINUTE * 60_000 * SHARE + n_code_lines * CODE_LINE_MS
    return round(total)


def _apart(text: str) -> tuple[str, int]:
    """Prose, and the number of lines within code fences."""
    prose, n_code_lines, is_code = [], 0, False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif is_code:
            n_code_lines += 1
        else:
            prose.append(line)
    return "\n".join(prose), n_code_lines
