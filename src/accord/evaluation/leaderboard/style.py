"""How an answer looks, apart from what it says: length, headers, lists, bold words of its Markdown.

Leaves out every other covariate, and the fit (`ranking.py`).
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray

LengthForm = Literal["ratio", "log"]
STYLE_NAMES = ("length", "headers", "lists", "bold")
CODE = re.compile(r"```.*?(```|\Z)", re.DOTALL)
HEADER = re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE)
LIST = re.compile(r"^\s*([-*+]|\d{1,3}[.)])\s+\S", re.MULTILINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


@dataclass(frozen=True, kw_only=True)
class Style:
    """Counts of one answer."""

    length: float
    """Tokens or characters; only ratios count."""
    headers: float
    lists: float
    """Items of lists."""
    bold: float


def measure_style(text: str) -> Style:
    """Characters of the whole answer, Markdown outside of code blocks."""
    prose = CODE.sub("", text)
    counts = [float(len(pattern.findall(prose))) for pattern in (HEADER, LIST, BOLD)]
    return Style(length=float(len(text)), headers=counts[0], lists=counts[1], bold=counts[2])


def style_difference(left: Style, right: Style, form: LengthForm = "ratio") -> tuple[float, ...]:
    """Left minus right, in the order of `STYLE_NAMES`.

    Length as (l - r) / (l + r), or as log(l / r) with one character added to each; counts as
    (l - r) / (l + r + 1). Two empty answers differ by 0.
    """
    if form == "log":
        length = float(np.log((left.length + 1) / (right.length + 1)))
    else:
        both = left.length + right.length
        length = (left.length - right.length) / both if both > 0 else 0.0
    counts = ((left.headers, right.headers), (left.lists, right.lists), (left.bold, right.bold))
    return (length, *((one - other) / (one + other + 1) for one, other in counts))


def standardized(
    differences: NDArray[np.float64], names: tuple[str, ...]
) -> tuple[FloatArray, tuple[str, ...]]:
    """Columns divided by their root mean square, so that an effect is that of a typical difference.

    Not centered: a difference of 0 stays 0, which is what "equal style" means. Columns without any
    difference are left out.
    """
    if differences.ndim != 2 or differences.shape[1] != len(names):
        raise EvaluationError(
            f"covariates have shape {differences.shape}; expected a column for each of {names}"
        )
    scale = np.sqrt((differences**2).mean(axis=0))
    kept = scale > 0
    return differences[:, kept] / scale[kept], tuple(np.array(names)[kept].tolist())
