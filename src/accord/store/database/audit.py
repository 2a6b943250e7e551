"""The chain of events: every change of state, in one order, each sealed with the hash of the one before.

A row that was changed, left out or put in later breaks the chain from there on. What the chain does not
guard against: somebody who can write to the database and rewrites all of it; keep a copy of the newest
hash elsewhere for that.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from accord.domain.errors import StoreError
from accord.store.database.engine import WAITING, Database, insert_rows
from accord.store.database.tables import FIRST_HASH, chain, chain_head, item, judgment
from accord.store.database.upkeep_tables import stream

PAGE = 10_000
"""Events that are verified at one time."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One change of state, before it has its place in the chain."""

    at_ms: int
    actor: str
    """Who did it: a user's id, or the part of the system."""
    action: str
    entity: str
    """The table."""
    entity_id: str
    facts: Mapping[str, Any]
    """What a reader needs beside the row itself, as JSON."""
    stream: str | None = None
    """The project among whose judgments it is read; not part of what is sealed."""


@dataclass(frozen=True, kw_only=True)
class ChainReport:
    """What verifying found."""

    n_events: int
    last_hash: str


def append_events(connection: Connection, events: list[Event]) -> None:
    """Put events at the end of the chain. Call it last in a transaction: the end is locked until commit."""
    waiting: list[Event] | None = connection.get_execution_options().get(WAITING)
    if waiting is not None:
        waiting += events
        return
    if events:
        _append(connection, events)


def append_waiting(connection: Connection) -> None:
    """Put the events of all transactions within `Database.together` at the end; call it last in there."""
    waiting: list[Event] = connection.get_execution_options()[WAITING]
    if waiting:
        _append(connection, waiting)


def _append(connection: Connection, events: list[Event]) -> None:
    head = connection.execute(select(chain_head.c.number, chain_head.c.hash).with_for_update()).one()
    number, previous = int(head.number), str(head.hash)
    rows = []
    for entry in events:
        number += 1
        row = _row(number, entry, previous)
        previous = row["hash"]
        rows.append(row)
    insert_rows(connection, chain, rows)
    places = [
        {"project_id": entry.stream, "number": row["number"]}
        for entry, row in zip(events, rows, strict=True)
        if entry.stream is not None
    ]
    if places:
        insert_rows(connection, stream, places)
    connection.execute(update(chain_head).values(number=number, hash=previous))


def list_streams(connection: Connection) -> None:
    """Make the places of all judgments in the chain anew, for a store from before they were kept."""
    connection.execute(delete(stream))
    connection.execute(insert(stream).from_select(["project_id", "number"], streams()))


def streams() -> Select[Any]:
    """The query for them: project and number of each event by which a judgment was taken."""
    return (
        select(item.c.project_id, chain.c.number)
        .join(judgment, judgment.c.id == chain.c.entity_id)
        .join(item, item.c.id == judgment.c.item_id)
        .where(chain.c.entity == "judgment", chain.c.action == "submit")
    )


def verify_chain(database: Database) -> ChainReport:
    """Read the whole chain and check every link; raises `StoreError` at the first that does not hold.

    The chain is read as it is at one moment: people may go on working.
    """
    number, previous = 0, FIRST_HASH
    with database.moment() as connection:
        while True:
            page = connection.execute(
                select(chain).where(chain.c.number > number).order_by(chain.c.number).limit(PAGE)
            ).all()
            if not page:
                break
            for row in page:
                number += 1
                if row.number != number:
                    raise StoreError(f"event {number} is missing; the next one is {row.number}")
                entry = Event(
                    at_ms=row.at_ms,
                    actor=row.actor,
                    action=row.action,
                    entity=row.entity,
                    entity_id=row.entity_id,
                    facts=json.loads(row.facts),
                )
                if row.previous_hash != previous or row.hash != _row(number, entry, previous)["hash"]:
                    raise StoreError(
                        f"event {number} ({row.action} {row.entity} {row.entity_id}) does not follow from "
                        f"the one before: it was changed after it was written"
                    )
                previous = row.hash
        head = connection.execute(select(chain_head)).one()
    if (head.number, head.hash) != (number, previous):
        raise StoreError(f"the chain ends at event {number}, but {head.number} were written")
    return ChainReport(n_events=number, last_hash=previous)


def seal_of(payload: Mapping[str, Any]) -> str:
    """SHA-256 of a judgment's payload, 64 hexadecimal digits: kept in the chain, which seals it."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _row(number: int, entry: Event, previous: str) -> dict[str, Any]:
    facts = json.dumps(entry.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    sealed = [
        number, entry.at_ms, entry.actor, entry.action, entry.entity, entry.entity_id, facts, previous,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(sealed, ensure_ascii=False).encode()).hexdigest()
    return {
        "number": number,
        "at_ms": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "entity": entry.entity,
        "entity_id": entry.entity_id,
        "facts": facts,
        "previous_hash": previous,
        "hash": digest,
    }
