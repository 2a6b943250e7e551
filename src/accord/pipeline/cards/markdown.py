"""Markdown with a YAML head, as model hubs read it. The same values give the same text, byte for byte."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from accord.evaluation.intervals import Estimate


def front_matter(values: Mapping[str, Any]) -> str:
    """The head between two lines of dashes; empty values are left out, texts are quoted."""
    return "---\n" + "".join(_yaml(name, value, 0) for name, value in values.items()) + "---\n"


def _yaml(name: str, value: Any, depth: int) -> str:
    indent = "  " * depth
    if value is None or value == "" or (isinstance(value, Mapping | Sequence) and not len(value)):
        return ""
    if isinstance(value, Mapping):
        inner = "".join(_yaml(key, one, depth + 1) for key, one in value.items())
        return f"{indent}{name}:\n{inner}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{indent}{name}:\n" + "".join(_item(one, depth) for one in value)
    return f"{indent}{name}: {_scalar(value)}\n"


def _item(value: Any, depth: int) -> str:
    indent = "  " * depth
    if not isinstance(value, Mapping):
        return f"{indent}- {_scalar(value)}\n"
    lines = "".join(_yaml(key, one, depth + 1) for key, one in value.items())
    return f"{indent}- {lines[2 * (depth + 1) :]}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    # A JSON string is a YAML one too.
    return json.dumps(str(value), ensure_ascii=False)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; what could end a cell is escaped. No rows give no table."""
    if not rows:
        return ""
    lines = [_row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(escape(str(cell)) for cell in cells) + " |"


def escape(text: str) -> str:
    """A text on one line, without what Markdown would take for markup of a table or a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def shown(estimate: Estimate | None, *, digits: int = 2, unit: str = "") -> str:
    """A number with its interval and what it rests on."""
    if estimate is None or not math.isfinite(estimate.value):
        return "not measured"
    text = _fixed(estimate.value, digits)
    if estimate.has_interval:
        text += f" [{_fixed(estimate.low, digits)}, {_fixed(estimate.high, digits)}]"
    return f"{text}{unit}, n = {estimate.n}"


def _fixed(value: float, digits: int) -> str:
    """With so many digits, and no sign before a nought."""
    text = f"{value:.{digits}f}"
    return text if float(text) else text.lstrip("-")


def stated(text: str) -> str:
    """A fact of the config, or that nobody stated it."""
    return " ".join(text.split()) or "not stated"
