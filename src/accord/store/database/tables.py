"""The tables of the core path: people, content, work, judgments, events; for SQLite and PostgreSQL alike.

Times are milliseconds since 1970 UTC. Content, definitions, judgments and events are never changed
or deleted: triggers refuse it. Capacity is a row, a slot; the two unique indexes on live assignments make
overshoot and double work impossible, whatever the code above does.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraint names, so that a migration can name what it changes."""

ID = String(36)
HASH = String(64)
WORD = String(32)

FIRST_HASH = "0" * 64
"""What the first event follows."""

metadata = MetaData(naming_convention=NAMES)


def _key(name: str, target: str, **rest: Any) -> Column[Any]:
    return Column(name, ID, ForeignKey(target), nullable=False, **rest)


user = Table(
    "user",
    metadata,
    Column("id", ID, primary_key=True),
    Column("handle", String(200), nullable=False, unique=True),
    Column("source", WORD, nullable=False),
    Column("skills", JSON, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("password_hash", String(200), nullable=True),
    Column("n_failed_logins", Integer, nullable=False, default=0),
    Column("locked_until_ms", BigInteger, nullable=False, default=0),
    Column("worked_until_ms", BigInteger, nullable=False, server_default="0"),
)
"""Who judges. `source` tells people from simulated annotators and models. Up to `worked_until_ms` time is
counted to work he did, so that two pieces of work in hand at once do not count it twice."""

project = Table(
    "project",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
)

role_binding = Table(
    "role_binding",
    metadata,
    _key("user_id", "user.id", primary_key=True),
    Column("project_id", ID, primary_key=True),
    Column("role", WORD, nullable=False),
)
"""What somebody may do in a project, or everywhere where the project is empty."""

session = Table(
    "session",
    metadata,
    Column("token_hash", HASH, primary_key=True),
    _key("user_id", "user.id"),
    Column("kind", WORD, nullable=False),
    Column("csrf", HASH, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
"""Sessions of browsers and tokens of programs; only the hash of either is kept."""

definition = Table(
    "definition",
    metadata,
    Column("id", ID, primary_key=True),
    _key("project_id", "project.id"),
    Column("kind", WORD, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("body_hash", HASH, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("project_id", "kind", "version"),
)
"""Task schemas and guidelines, each version a row."""

content = Table(
    "content",
    metadata,
    Column("hash", HASH, primary_key=True),
    Column("body", JSON, nullable=False),
)
"""What is judged, by its hash: long texts lie here alone, so that lists never touch them."""

item = Table(
    "item",
    metadata,
    Column("id", ID, primary_key=True),
    _key("project_id", "project.id"),
    Column("content_hash", HASH, ForeignKey("content.hash"), nullable=False),
    Column("n_candidates", Integer, nullable=False),
    Column("state", WORD, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("stage", String(64), nullable=False, server_default="label"),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Index("ix_item_listing", "project_id", "state", "id"),
)
"""`stage` is where in its workflow it stands; `attempt` rises when it begins anew."""

gold = Table(
    "gold",
    metadata,
    _key("item_id", "item.id", primary_key=True),
    _key("project_id", "project.id"),
    Column("expected", JSON, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("tier", WORD, nullable=False, server_default="hidden"),
    Column("n_uses", Integer, nullable=False, server_default="0"),
    Column("exposure_cap", Integer, nullable=True),
    Column("retired_ms", BigInteger, nullable=True),
    Index("ix_gold_least_used", "project_id", "tier", "n_uses", "item_id"),
)
"""Items whose answer is known: what it is, by question, and why. Annotators cannot tell them from others.
`tier` says what for: hidden checks, training (explained afterward), or the entry test. Once `n_uses` people
met it and that is its `exposure_cap`, or once it is retired, nobody meets it again."""

slot = Table(
    "slot",
    metadata,
    Column("id", ID, primary_key=True),
    _key("item_id", "item.id"),
    _key("project_id", "project.id"),
    Column("number", Integer, nullable=False),
    Column("purpose", WORD, nullable=False),
    Column("required_skill", String(100), nullable=True),
    Column("priority", Integer, nullable=False),
    Column("state", WORD, nullable=False),
    Column("lane", WORD, nullable=False, server_default="label"),
    UniqueConstraint("item_id", "number"),
)
"""One judgment that is wanted; `priority` is its item's, so that claiming reads one index. Its `lane` says
who comes for it: annotators, reviewers or adjudicators."""

Index(
    "ix_slot_open",
    slot.c.project_id,
    slot.c.lane,
    slot.c.required_skill,
    slot.c.priority.desc(),
    slot.c.id,
    sqlite_where=text("state = 'open'"),
    postgresql_where=text("state = 'open'"),
)

LIVE = "state IN ('leased', 'opened')"
HELD = "state NOT IN ('expired', 'released')"
FIRST_SIGHT = f"{HELD} AND purpose NOT IN ('repeat', 'review', 'adjudicate')"
REPEATED = f"{HELD} AND purpose = 'repeat'"

assignment = Table(
    "assignment",
    metadata,
    Column("id", ID, primary_key=True),
    _key("slot_id", "slot.id"),
    _key("item_id", "item.id"),
    _key("user_id", "user.id"),
    _key("project_id", "project.id"),
    Column("purpose", WORD, nullable=False),
    Column("state", WORD, nullable=False),
    Column("lease_token", ID, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("leased_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=True),
    Column("closed_ms", BigInteger, nullable=True),
    Column("active_ms", BigInteger, nullable=False),
    Column("skip_reason", String(200), nullable=True),
    Column("presentation", JSON, nullable=False),
    Column("schema_id", ID, ForeignKey("definition.id"), nullable=True),
    Column("guideline_id", ID, ForeignKey("definition.id"), nullable=True),
    CheckConstraint("active_ms >= 0", name="active_ms"),
)
"""A slot in somebody's hands, with what he was shown and under which versions."""

Index(
    "uq_assignment_live_slot",
    assignment.c.slot_id,
    unique=True,
    sqlite_where=text(LIVE),
    postgresql_where=text(LIVE),
)
Index(
    "uq_assignment_item_user",
    assignment.c.item_id,
    assignment.c.user_id,
    unique=True,
    sqlite_where=text(FIRST_SIGHT),
    postgresql_where=text(FIRST_SIGHT),
)
Index(
    "uq_assignment_repeat",
    assignment.c.item_id,
    assignment.c.user_id,
    unique=True,
    sqlite_where=text(REPEATED),
    postgresql_where=text(REPEATED),
)
Index(
    "ix_assignment_person",
    assignment.c.project_id,
    assignment.c.user_id,
    assignment.c.closed_ms,
    assignment.c.id,
)
Index("ix_assignment_newest", assignment.c.project_id, assignment.c.closed_ms, assignment.c.id)
Index("ix_assignment_day", assignment.c.user_id, assignment.c.closed_ms)
Index("ix_assignment_holder", assignment.c.item_id, assignment.c.user_id)
Index(
    "ix_assignment_lease",
    assignment.c.project_id,
    assignment.c.lease_until_ms,
    sqlite_where=text(LIVE),
    postgresql_where=text(LIVE),
)

judgment = Table(
    "judgment",
    metadata,
    Column("id", ID, primary_key=True),
    _key("assignment_id", "assignment.id"),
    _key("item_id", "item.id"),
    _key("user_id", "user.id"),
    Column("revision", Integer, nullable=False),
    Column("key", String(200), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("is_late", Boolean, nullable=False),
    Column("source", WORD, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("assignment_id", "revision"),
    UniqueConstraint("user_id", "key"),
    Index("uq_judgment_author", "id", "user_id", unique=True),
    Index("ix_judgment_giver", "item_id", "user_id"),
)
"""What somebody said; a correction is a further revision. `key` is made by the client: a repeated
submission is the same judgment."""

draft = Table(
    "draft",
    metadata,
    _key("assignment_id", "assignment.id", primary_key=True),
    Column("answers", JSON, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)
"""What is not yet submitted; overwritten as it grows."""

setting = Table(
    "setting",
    metadata,
    _key("user_id", "user.id", primary_key=True),
    Column("body", JSON, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""How somebody wants his pages: theme, language, keys; overwritten, for it is nobody's evidence."""

chain = Table(
    "event",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", WORD, nullable=False),
    Column("entity", WORD, nullable=False),
    Column("entity_id", ID, nullable=False, index=True),
    Column("facts", Text, nullable=False),
    Column("previous_hash", HASH, nullable=False),
    Column("hash", HASH, nullable=False),
)
"""Every change of state, each row holding the hash of the one before."""

RECALLED = "entity = 'recall'"
Index("ix_event_recall", chain.c.entity_id, sqlite_where=text(RECALLED), postgresql_where=text(RECALLED))

chain_head = Table(
    "event_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", HASH, nullable=False),
)
"""One row: the end of the chain. Writers queue for it, so that the chain has one order."""

UNCHANGING = [content, definition, judgment, chain]
"""Tables whose rows are written once; further modules of tables add theirs."""


def guard_statements(table_name: str, dialect: str) -> list[str]:
    """The statements that make updates and deletions in a table fail."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table_name}_no_{what} BEFORE {what} ON {table_name} "
            f"BEGIN SELECT RAISE(ABORT, '{table_name} rows are never changed'); END"
            for what in ("update", "delete")
        ]
    return [
        f"CREATE OR REPLACE FUNCTION {table_name}_is_unchanging() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table_name} rows are never changed'; END $$",
        f"CREATE TRIGGER {table_name}_no_change BEFORE UPDATE OR DELETE ON {table_name} "
        f"FOR EACH ROW EXECUTE FUNCTION {table_name}_is_unchanging()",
    ]


def guard_unchanging(connection: Connection) -> None:
    """Put the guards on all tables whose rows are written once."""
    for table in UNCHANGING:
        for statement in guard_statements(table.name, connection.dialect.name):
            connection.execute(text(statement))
