"""Verdicts of a judge and votes of people, read from two files and matched by item.

Rows have an item (`item`, `pair`, `id`, or the column that is named) and a winner (`winner`, `verdict`,
`label`, or the column that is named), in the same words on both sides: both files must mean the same side by
the same word. Exported comparisons (`prompt`, `left`, `right`, `choice`) are items by their texts, whichever
stood left, so that what a model judged in a loop is held against people without any joining.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain import content_hash
from accord.domain.errors import DataError
from accord.evaluation.suites.source import Source, read_source

ITEM_COLUMNS = ("item", "item_id", "pair", "pair_id", "id")
WINNER_COLUMNS = ("winner", "verdict", "label", "choice")
COMPARISON = frozenset({"prompt", "left", "right", "choice"})
"""Columns of an exported comparison."""
TIE = "tie"


@dataclass(frozen=True, kw_only=True)
class Votes:
    """What a judge and people said of the same items."""

    verdicts: Mapping[str, str | None]
    """Item to the judge's word; None where the row has none."""
    people: Mapping[str, tuple[str, ...]]
    """Item to people's words."""
    digests: tuple[str, str]
    """SHA-256 of both files."""


def read_votes(
    verdicts: str | Path, people: str | Path, *, item: str | None = None, winner: str | None = None
) -> Votes:
    """Read both files; an item judged twice, or a person's row without a word, raises `DataError`.

    Of exported comparisons, in which a pair may be asked again, a judge's first verdict stands.
    """
    first, second = read_source(verdicts), read_source(people)
    said: dict[str, str | None] = {}
    is_exported = item is None and winner is None and _is_exported(first)
    for key, word, line in _words(first, item, winner):
        if key in said and is_exported:
            continue
        if key in said:
            raise DataError(f"item {key!r} has a second verdict; keep one", path=first.path, line=line)
        said[key] = word
    votes: dict[str, list[str]] = defaultdict(list)
    for key, word, line in _words(second, item, winner):
        if word is None:
            raise DataError(f"item {key!r} has no winner; expected a word", path=second.path, line=line)
        votes[key].append(word)
    judged = {word for word in said.values() if word}
    if judged and judged.isdisjoint(word for row in votes.values() for word in row):
        named = ", ".join(map(repr, sorted(judged)[:3]))
        raise DataError(f"says {named}, which no person ever does; use the same words", path=first.path)
    return Votes(
        verdicts=said,
        people={key: tuple(row) for key, row in votes.items()},
        digests=(first.digest, second.digest),
    )


def _words(source: Source, item: str | None, winner: str | None) -> list[tuple[str, str | None, int]]:
    if not source.rows:
        raise DataError("has no rows", path=source.path)
    if item is None and winner is None and _is_exported(source):
        pairs = zip(source.rows, source.lines, strict=True)
        return [(*_compared(row, source.path, line), line) for row, line in pairs]
    key = _column(source, item, ITEM_COLUMNS, "item")
    word = _column(source, winner, WINNER_COLUMNS, "winner")
    found = []
    for row, line in zip(source.rows, source.lines, strict=True):
        if row.get(key) in (None, ""):
            raise DataError(f"{key!r} is empty; expected the item", path=source.path, line=line)
        given = row.get(word)
        found.append((str(row[key]), None if given in (None, "") else str(given), line))
    return found


def _is_exported(source: Source) -> bool:
    return bool(source.rows) and source.rows[0].keys() >= COMPARISON


def _compared(row: Mapping[str, Any], path: str, line: int) -> tuple[str, str]:
    """The pair whichever answer stood left, and which of them won: `first` by its text, or `second`."""
    texts = [json.dumps(row.get(side), ensure_ascii=False, sort_keys=True) for side in ("left", "right")]
    choice = str(row.get("choice"))
    if choice not in ("left", "right", TIE, "both_bad"):
        raise DataError(f"choice is {choice!r}; expected left, right, tie or both_bad", path=path, line=line)
    key = content_hash([row.get("prompt"), sorted(texts)])[:16]
    if choice not in ("left", "right"):
        return key, TIE
    return key, "first" if texts[choice == "right"] == min(texts) else "second"


def _column(source: Source, named: str | None, usual: tuple[str, ...], what: str) -> str:
    names = list(source.rows[0])
    if named is not None and named in names:
        return named
    if named is None:
        for one in usual:
            if one in names:
                return one
    wanted = f"{named!r}" if named is not None else f"one of {', '.join(usual)}, or name it by --{what}"
    raise DataError(f"has no {what} column; expected {wanted}; found {', '.join(names)}", path=source.path)
