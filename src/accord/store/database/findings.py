"""What a check of the whole store found: how much was looked at, and what does not hold, in words."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Row, Select, Table, select

from accord.store.database.tables import chain

PAGE = 1000
"""Rows that are looked at together."""
MOST_TOLD = 10
"""Broken rows that are named; all are counted."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one invariant."""

    number: int
    name: str
    n_checked: int
    """Rows, or whatever the invariant is about."""
    n_broken: int
    told: tuple[str, ...]
    """The first of what does not hold."""


@dataclass
class Probe:
    """Counts while one invariant is checked."""

    n_checked: int = 0
    n_broken: int = 0
    told: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        """Count one thing that was looked at; `what` says what is wrong where it does not hold."""
        self.n_checked += 1
        if not holds:
            self.blame(what)

    def blame(self, what: str) -> None:
        """Count something broken."""
        self.n_broken += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(what)

    def none_of(
        self, connection: Connection, query: Select[Any] | CompoundSelect[Any], what: Callable[[Any], str]
    ) -> None:
        """Each row of the query is something broken."""
        for row in connection.execute(query):
            self.blame(what(row))

    def finding(self, number: int, name: str) -> Finding:
        """What is known in the end."""
        return Finding(
            number=number, name=name, n_checked=self.n_checked, n_broken=self.n_broken, told=tuple(self.told)
        )


def pages_of(
    connection: Connection, table: Table, query: Select[Any] | None = None
) -> Iterator[list[Row[Any]]]:
    """The rows of a table by its first key, page by page: memory stays flat."""
    key = next(iter(table.primary_key.columns))
    query = select(table) if query is None else query
    last: Any = None
    while True:
        more = query if last is None else query.where(key > last)
        page = list(connection.execute(more.order_by(key).limit(PAGE)))
        if not page:
            return
        yield page
        last = page[-1]._mapping[key]


def actions_on(connection: Connection, ids: Iterable[str]) -> dict[str, Counter[tuple[str, str]]]:
    """Of each id, how often which (entity, action) befell it, from the chain of events."""
    found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in events_on(connection, list(ids)):
        found[row.entity_id][row.entity, row.action] += 1
    return found


def events_on(connection: Connection, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The events of some ids, in order."""
    query = select(chain).where(chain.c.entity_id.in_(ids)).order_by(chain.c.number)
    return connection.execute(query).all() if ids else []
