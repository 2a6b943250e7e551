"""Setting work out: people, projects, versions of what defines them, items with their slots."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import StoreError
from accord.domain.ids import IdSource, TimeOrderedIds
from accord.domain.judgments import Source
from accord.store.database.audit import Event, append_events
from accord.store.database.copying import FROM_ROWS, copy_new_rows
from accord.store.database.engine import ROWS_AT_A_TIME, Database, insert_rows
from accord.store.database.hidden import GOLD_PURPOSE
from accord.store.database.states import ItemState, Purpose, SlotState
from accord.store.database.tables import content, definition, gold, item, project, slot, user
from accord.store.database.tally import Kind, count, count_slot

ITEMS_AT_A_TIME = 1000
"""Items written in one transaction; a broken import keeps whole batches."""


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """Something to be judged."""

    content: Mapping[str, Any]
    """What is shown, as JSON; equal contents are stored once."""
    n_candidates: int = 2
    """Answers that are shown in an order drawn for each annotator."""
    overlap: int = 1
    """How many people judge it."""
    priority: int = 0
    """Higher comes first."""
    required_skill: str | None = None
    """Only annotators who have it are asked."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Skill to how many of the `overlap` judgments only those who have it are asked for; the others are for
    `required_skill`."""
    purpose: Purpose = Purpose.PRIMARY
    """What its slots are for."""


@dataclass(frozen=True)
class Projects:
    """Writes what the queue then hands out."""

    database: Database
    clock: Clock
    ids: IdSource

    @classmethod
    def of(cls, database: Database) -> "Projects":
        """With the machine's own clock and ids ordered by time."""
        return cls(database, SystemClock(), TimeOrderedIds())

    def add_user(self, handle: str, *, source: Source = Source.HUMAN, skills: Sequence[str] = ()) -> str:
        """A new annotator's id; a handle that is taken is refused."""
        row = {"handle": handle, "source": source.value, "skills": sorted(skills)}
        return self._add_named(user, "user", row, f"the handle {handle!r}")

    def add_project(self, name: str) -> str:
        """A new project's id; a name that is taken is refused."""
        return self._add_named(project, "project", {"name": name}, f"the project name {name!r}")

    def add_definition(self, project_id: str, kind: str, body: Mapping[str, Any]) -> str:
        """The next version of a project's task schema or guideline; older versions stay as they are."""
        new_id, now = self.ids.new(), self._now_ms()
        with self.database.write() as connection:
            if connection.execute(select(project.c.id).where(project.c.id == project_id)).first() is None:
                raise StoreError(f"there is no project {project_id!r}")
            of_kind = (definition.c.project_id == project_id) & (definition.c.kind == kind)
            newest = connection.execute(select(func.max(definition.c.version)).where(of_kind)).scalar()
            version = (newest or 0) + 1
            row = {
                "id": new_id,
                "project_id": project_id,
                "kind": kind,
                "version": version,
                "body": dict(body),
                "body_hash": hash_of(body),
                "created_ms": now,
            }
            connection.execute(insert(definition).values(row))
            facts = {"kind": kind, "version": version, "hash": row["body_hash"]}
            append_events(connection, [_event(now, "publish", "definition", new_id, facts)])
        return new_id

    def add_items(self, project_id: str, items: Iterable[NewItem]) -> list[str]:
        """Items with an open slot for each judgment that is wanted; ids in the order given."""
        made: list[str] = []
        batch: list[NewItem] = []
        for one in items:
            batch.append(_checked(one))
            if len(batch) == ITEMS_AT_A_TIME:
                made += self._add_batch(project_id, batch)
                batch = []
        return made + (self._add_batch(project_id, batch) if batch else [])

    def add_gold(
        self,
        project_id: str,
        one: NewItem,
        expected: Mapping[str, Any],
        *,
        explanation: str = "",
        tier: str = "hidden",
        exposure_cap: int | None = None,
    ) -> str:
        """An item whose answer is known; `expected` is by question, in terms of the item.

        It has no slots of its own: the queue makes one for each annotator who is to meet it. `tier` is
        hidden, training or test; after `exposure_cap` people nobody meets it.
        """
        if tier not in GOLD_PURPOSE:
            raise StoreError(f"the tier is {tier!r}; expected one of {', '.join(GOLD_PURPOSE)}")
        new_id, now, body_hash = self.ids.new(), self._now_ms(), hash_of(one.content)
        row = {
            "id": new_id,
            "project_id": project_id,
            "content_hash": body_hash,
            "n_candidates": one.n_candidates,
            "state": ItemState.QUEUED.value,
            "priority": one.priority,
            "created_ms": now,
        }
        known = {
            "item_id": new_id,
            "project_id": project_id,
            "expected": dict(expected),
            "explanation": explanation,
            "tier": tier,
            "exposure_cap": exposure_cap,
        }
        with self.database.write() as connection:
            keep_content(connection, {body_hash: dict(one.content)})
            connection.execute(insert(item).values(row))
            count(connection, project_id, Kind.ITEM, ItemState.QUEUED)
            connection.execute(insert(gold).values(known))
            append_events(connection, [_event(now, "add", "gold", new_id, {"hash": body_hash})])
        return new_id

    def _add_batch(self, project_id: str, batch: Sequence[NewItem]) -> list[str]:
        now = self._now_ms()
        ids = [self.ids.new() for _ in batch]
        hashes = [hash_of(one.content) for one in batch]
        items, slots, events = [], [], []
        for item_id, body_hash, one in zip(ids, hashes, batch, strict=True):
            shared = {"project_id": project_id, "priority": one.priority}
            items.append(
                {
                    "id": item_id,
                    "content_hash": body_hash,
                    "n_candidates": one.n_candidates,
                    "state": ItemState.QUEUED.value,
                    "created_ms": now,
                    **shared,
                }
            )
            slots += [
                {
                    "id": self.ids.new(),
                    "item_id": item_id,
                    "number": number,
                    "purpose": one.purpose.value,
                    "required_skill": skill,
                    "state": SlotState.OPEN.value,
                    **shared,
                }
                for number, skill in enumerate(_skills(one))
            ]
            events.append(_event(now, "add", "item", item_id, {"hash": body_hash, "overlap": one.overlap}))
        bodies = {key: dict(one.content) for key, one in zip(hashes, batch, strict=True)}
        with self.database.write() as connection:
            keep_content(connection, bodies)
            insert_rows(connection, item, items)
            insert_rows(connection, slot, slots)
            count(connection, project_id, Kind.ITEM, ItemState.QUEUED, len(items))
            for skill in (skill for one in batch for skill in _skills(one)):
                count_slot(connection, project_id, skill, SlotState.OPEN)
            append_events(connection, events)
        return ids

    def _add_named(self, table: Any, entity: str, row: dict[str, Any], what: str) -> str:
        new_id, now = self.ids.new(), self._now_ms()
        try:
            with self.database.write() as connection:
                connection.execute(insert(table).values(id=new_id, created_ms=now, **row))
                append_events(connection, [_event(now, "add", entity, new_id, {})])
        except IntegrityError as error:
            raise StoreError(f"{what} is taken; choose another") from error
        return new_id

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def hash_of(body: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a body, 64 hexadecimal digits."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def keep_content(connection: Connection, bodies: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep contents by their hash, inside the caller's transaction; what is there already stays."""
    is_sqlite = connection.dialect.name == "sqlite"
    dialect = sqlite if is_sqlite else postgresql
    rows = [{"hash": key, "body": body} for key, body in bodies.items()]
    if not is_sqlite and len(rows) >= FROM_ROWS:
        copy_new_rows(connection, content, rows)
        return
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        statement = dialect.insert(content).values(rows[start : start + ROWS_AT_A_TIME])
        connection.execute(statement.on_conflict_do_nothing())


def _event(now: int, action: str, entity: str, entity_id: str, facts: Mapping[str, Any]) -> Event:
    return Event(at_ms=now, actor="setup", action=action, entity=entity, entity_id=entity_id, facts=facts)


def _skills(one: NewItem) -> list[str | None]:
    """What each of an item's slots asks for, quotas first."""
    asked = [skill for skill, count in sorted(one.quotas.items()) for _ in range(count)]
    return [*asked, *([one.required_skill] * (one.overlap - len(asked)))]


def _checked(one: NewItem) -> NewItem:
    if sum(one.quotas.values()) > one.overlap or any(count < 1 for count in one.quotas.values()):
        raise StoreError(
            f"quotas are {dict(one.quotas)} of {one.overlap} judgments; expected 1 or more each, and no more "
            "than these together"
        )
    if one.overlap < 1 or one.n_candidates < 0:
        raise StoreError(
            f"an item needs an overlap of 1 or more and 0 or more candidates, got {one.overlap} and "
            f"{one.n_candidates}"
        )
    return one
