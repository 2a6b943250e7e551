"""Tables of an item's way after it was judged: stages, reviews, adjudications, marks, messages to others.

Reviews, adjudications, marks and results of known items are written once; triggers refuse changes. That
nobody reviews his own work is checked by the database.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from accord.store.database.tables import ID, UNCHANGING, WORD, metadata

STILL = "left_ms IS NULL"

stage_run = Table(
    "stage_run",
    metadata,
    Column("id", ID, primary_key=True),
    Column("item_id", ID, ForeignKey("item.id"), nullable=False),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("kind", WORD, nullable=False),
    Column("workflow_id", ID, ForeignKey("definition.id"), nullable=True),
    Column("entered_ms", BigInteger, nullable=False),
    Column("left_ms", BigInteger, nullable=True),
    Column("outcome", WORD, nullable=True),
    Column("facts", JSON, nullable=False),
    UniqueConstraint("item_id", "number"),
    Index("ix_stage_run_listing", "project_id", "kind", "outcome", "id"),
)
"""An item's stay in a stage: under which version of the workflow, with what outcome and on which facts."""

Index(
    "uq_stage_run_present",
    stage_run.c.item_id,
    unique=True,
    sqlite_where=text(STILL),
    postgresql_where=text(STILL),
)

review = Table(
    "review",
    metadata,
    Column("id", ID, primary_key=True),
    Column("judgment_id", ID, nullable=False),
    Column("author_id", ID, nullable=False),
    Column("reviewer_id", ID, ForeignKey("user.id"), nullable=False),
    Column("assignment_id", ID, ForeignKey("assignment.id"), nullable=False),
    Column("item_id", ID, ForeignKey("item.id"), nullable=False, index=True),
    Column("verdict", WORD, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("replacement_id", ID, ForeignKey("judgment.id"), nullable=True),
    Column("at_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["judgment_id", "author_id"], ["judgment.id", "judgment.user_id"]),
    CheckConstraint("reviewer_id <> author_id", name="not_own"),
    UniqueConstraint("assignment_id", "judgment_id"),
    Index("ix_review_author", "author_id", "at_ms"),
)
"""What a reviewer made of a judgment."""

adjudication = Table(
    "adjudication",
    metadata,
    Column("id", ID, primary_key=True),
    Column("item_id", ID, ForeignKey("item.id"), nullable=False, index=True),
    Column("assignment_id", ID, ForeignKey("assignment.id"), nullable=False, unique=True),
    Column("judgment_id", ID, ForeignKey("judgment.id"), nullable=True),
    Column("adjudicator_id", ID, ForeignKey("user.id"), nullable=False),
    Column("cause", WORD, nullable=False),
    Column("note", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""The last word on an item, or that there is none; why people differed, and by which rule it was decided."""

mark = Table(
    "judgment_mark",
    metadata,
    Column("judgment_id", ID, ForeignKey("judgment.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("status", WORD, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""A judgment's standing where it is not simply live: the last mark counts, the judgment stays as it is."""

gold_result = Table(
    "gold_result",
    metadata,
    Column("judgment_id", ID, ForeignKey("judgment.id"), primary_key=True),
    Column("item_id", ID, ForeignKey("item.id"), nullable=False, index=True),
    Column("user_id", ID, ForeignKey("user.id"), nullable=False),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False),
    Column("purpose", WORD, nullable=False),
    Column("is_right", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_gold_result_person", "project_id", "user_id", "at_ms"),
)
"""How a judgment of a known item compares with what is known."""

standing = Table(
    "standing",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("project_id", ID, ForeignKey("project.id"), primary_key=True),
    Column("state", WORD, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("gold_share", Float, nullable=True),
    Column("n_assigned", Integer, nullable=False),
    Column("n_right", Integer, nullable=False),
    Column("n_gold", Integer, nullable=False),
    Column("day", Integer, nullable=False),
    Column("n_today", Integer, nullable=False),
    Column("gold_today", Integer, nullable=False),
    Column("active_today_ms", BigInteger, nullable=False),
    Index("ix_standing_project", "project_id", "state"),
)
"""How somebody stands in a project, and counters, so that a claim counts no rows. `gold_share` is the
share of known items he is given; empty is the project's."""

alert = Table(
    "alert",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False),
    Column("user_id", ID, ForeignKey("user.id"), nullable=False),
    Column("kind", WORD, nullable=False),
    Column("is_private", Boolean, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True),
    Column("answer", Text, nullable=False, server_default=""),
    Index("ix_alert_listing", "project_id", "is_private", "id"),
    Index("ix_alert_person", "user_id", "project_id", "id"),
)
"""Something was noticed about somebody's work. A private one is for him alone. `answer` is his own word."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False),
    Column("item_id", ID, ForeignKey("item.id"), nullable=True),
    Column("url", String(2000), nullable=False),
    Column("secret_name", String(100), nullable=False),
    Column("body", JSON, nullable=False),
    Column("state", WORD, nullable=False),
    Column("n_tries", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("last_error", String(500), nullable=False),
    Index("ix_outbox_due", "state", "next_ms"),
)
"""Messages to other servers, written with the change they tell of and sent afterward."""

UNCHANGING += [review, adjudication, mark, gold_result]
