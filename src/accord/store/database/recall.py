"""Judgments that are called back: they stay where they are and count for nothing from then on.

A recall is an event in the chain, so that it is sealed with everything else and judgments themselves are
never changed. Leaves out what was made of the judgments (`accord.pipeline.lineage`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, literal, select

from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import StoreError
from accord.store.database.audit import Event, append_events
from accord.store.database.engine import Database
from accord.store.database.tables import assignment, chain, content, definition, item, judgment, project, user

RECALL = "recall"
"""Entity of the events."""


@dataclass(frozen=True, kw_only=True)
class JudgmentOrigin:
    """Where one judgment came from, without the name of whoever gave it."""

    id: str
    project: str
    annotator: str
    """Pseudonym: the same for all judgments of one account."""
    source: str
    revision: int
    received_ms: int
    guideline_version: int | None
    schema_version: int | None
    shown: tuple[str, ...]
    """The candidates as they stood on screen."""
    prompt: str
    """The last message."""
    values: Any
    """What was answered, in terms of the item."""
    is_void: bool
    void_reason: str = ""


def pseudonym(user_id: str) -> str:
    """A name that says nothing of the person and stays the same."""
    return "annotator-" + hashlib.sha256(user_id.encode()).hexdigest()[:8]


def pseudonyms(database: Database) -> dict[str, str]:
    """Handle to pseudonym of every account; an erased one's handle gives what it was before."""
    with database.read() as connection:
        rows = connection.execute(select(user.c.handle, user.c.id))
        return {row.handle: pseudonym(row.id) for row in rows}


def voided(database: Database) -> dict[str, str]:
    """Judgment id to the reason of its recall."""
    with database.read() as connection:
        # Said in the statement itself, or SQLite overlooks the index of these few events.
        is_recall = chain.c.entity == literal(RECALL, literal_execute=True)
        rows = connection.execute(select(chain.c.entity_id, chain.c.facts).where(is_recall))
        return {row.entity_id: str(json.loads(row.facts)["reason"]) for row in rows}


def void(
    database: Database, judgment_ids: Sequence[str], reason: str, *, actor: str, clock: Clock | None = None
) -> int:
    """Call judgments back; how many were not called back before. An unknown id or no reason is refused."""
    if not reason.strip():
        raise StoreError("a recall needs a reason; say why the judgments no longer count")
    before = voided(database)
    now = int((clock or SystemClock()).now().timestamp() * 1000)
    new = [one for one in dict.fromkeys(judgment_ids) if one not in before]
    with database.write() as connection:
        for one in new:
            if not connection.execute(select(judgment.c.id).where(judgment.c.id == one)).first():
                raise StoreError(f"there is no judgment {one!r}; nothing was called back")
        events = [
            Event(
                at_ms=now,
                actor=actor,
                action="void",
                entity=RECALL,
                entity_id=one,
                facts={"reason": reason},
            )
            for one in new
        ]
        append_events(connection, events)
    return len(new)


def find_judgments(
    database: Database,
    *,
    annotator: str | None = None,
    guideline: int | None = None,
    project_name: str | None = None,
) -> list[str]:
    """Ids of an annotator's judgments (handle, id or pseudonym), or of all under a guideline's version.

    With both, those that fit both. An annotator or project that does not exist is refused.
    """
    if annotator is None and guideline is None:
        raise StoreError("say whose judgments, or under which guideline version")
    query = (
        select(judgment.c.id)
        .join(assignment, assignment.c.id == judgment.c.assignment_id)
        .join(project, project.c.id == assignment.c.project_id)
        .order_by(judgment.c.received_ms, judgment.c.id)
    )
    with database.read() as connection:
        if annotator is not None:
            query = query.where(judgment.c.user_id == _user_id(connection, annotator))
        if project_name is not None:
            if not connection.execute(select(project.c.id).where(project.c.name == project_name)).first():
                raise StoreError(f"there is no project {project_name!r}")
            query = query.where(project.c.name == project_name)
        if guideline is not None:
            query = query.join(definition, definition.c.id == assignment.c.guideline_id).where(
                definition.c.version == guideline
            )
        return [row.id for row in connection.execute(query)]


def origin_of(database: Database, judgment_id: str) -> JudgmentOrigin:
    """Everything about one judgment but the person; an unknown id raises `StoreError`."""
    schema, guideline = definition.alias("schema"), definition.alias("guideline")
    with database.read() as connection:
        row = connection.execute(
            select(
                judgment, assignment.c.presentation, project.c.name, content.c.body,
                schema.c.version.label("schema_version"), guideline.c.version.label("guideline_version"),
            )
            .join(assignment, assignment.c.id == judgment.c.assignment_id)
            .join(project, project.c.id == assignment.c.project_id)
            .join(item, item.c.id == judgment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .outerjoin(schema, schema.c.id == assignment.c.schema_id)
            .outerjoin(guideline, guideline.c.id == assignment.c.guideline_id)
            .where(judgment.c.id == judgment_id)
        ).first()  # fmt: skip
    if row is None:
        raise StoreError(f"there is no judgment {judgment_id!r} in this store")
    reason = voided(database).get(judgment_id)
    candidates = row.body["candidates"]
    return JudgmentOrigin(
        id=row.id,
        project=row.name,
        annotator=pseudonym(row.user_id),
        source=row.source,
        revision=row.revision,
        received_ms=row.received_ms,
        guideline_version=row.guideline_version,
        schema_version=row.schema_version,
        shown=tuple(candidates[place]["text"] for place in row.presentation["permutation"]),
        prompt=row.body["messages"][-1]["content"],
        values=row.payload.get("values", row.payload),
        is_void=reason is not None,
        void_reason=reason or "",
    )


def _user_id(connection: Connection, annotator: str) -> str:
    rows = connection.execute(select(user.c.id, user.c.handle)).all()
    for row in rows:
        if annotator in (row.id, row.handle, pseudonym(row.id)):
            return str(row.id)
    raise StoreError(f"there is no annotator {annotator!r} in this store")
