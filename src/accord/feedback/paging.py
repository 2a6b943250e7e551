"""Lists in pages: where a page ends is a cursor, from which the next goes on, whatever came in meanwhile.

A cursor holds the place of the last row in the order of its list. It is no secret and opens no door: who may
see the list may see every page of it. Leaves out how a list is read.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement, literal, tuple_

from accord.domain.errors import DataError

MOST = 200
"""Rows of one page."""
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of this page at most.")]
After = Annotated[
    str | None, Query(max_length=1000, description="The `next` of the page before; left out, the first page.")
]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows of a list, and from where it goes on."""

    rows: list[Any]
    next: str | None
    """The cursor of the page behind this; nothing where there is none."""

    def told(self, name: str) -> dict[str, Any]:
        """The page as an answer, its rows under this name."""
        return {name: self.rows, "next": self.next}


def page_of(rows: Sequence[Any], limit: int, place: Callable[[Any], Sequence[int | str]]) -> Page:
    """A page of `limit` rows, of which one more was asked for; `place` is where in its order a row stands."""
    kept = list(rows[:limit])
    return Page(rows=kept, next=cursor_of(place(kept[-1])) if len(rows) > limit else None)


def cursor_of(place: Sequence[int | str]) -> str:
    """The place of a row, in letters that need no escaping."""
    text = json.dumps(list(place), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type[int] | type[str]) -> list[Any]:
    """The place a cursor says, its parts of these kinds; raises `DataError` for what is no such cursor."""
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _strange(cursor) from error
    if not isinstance(found, list) or list(map(type, found)) != list(kinds):
        raise _strange(cursor)
    if any(isinstance(one, int) and abs(one) >= 2**63 for one in found):
        raise _strange(cursor)
    if any(isinstance(one, str) and not _is_storable(one) for one in found):
        raise _strange(cursor)
    return found


def is_below(
    columns: Sequence[ColumnElement[Any]], cursor: str, *kinds: type[int] | type[str]
) -> ColumnElement[bool]:
    """Whether a row comes behind the cursor in a list that goes down by these columns."""
    place = read_cursor(cursor, *kinds)
    here = [literal(one, column.type) for one, column in zip(place, columns, strict=True)]
    return tuple_(*columns) < tuple_(*here)


def _is_storable(text: str) -> bool:
    """Whether a database can hold it: no NUL, and no half of a character."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _strange(cursor: str) -> DataError:
    return DataError(
        f"after is {cursor[:80]!r}; expected the `next` of an earlier page of this list, or nothing"
    )
