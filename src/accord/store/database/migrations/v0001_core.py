"""The core path: people, content, work, judgments, the chain of events."""

import sqlalchemy as sa
from alembic import op

from accord.store.database.tables import guard_statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The core path: people, content, work, judgments, the chain of events."""
    _content()
    _event()
    _event_head()
    _project()
    _user()
    _definition()
    _item()
    _role_binding()
    _session()
    _gold()
    _slot()
    _assignment()
    _draft()
    _judgment()
    for name in ("content", "definition", "judgment", "event"):
        for statement in guard_statements(name, op.get_bind().dialect.name):
            op.execute(statement)


def _content() -> None:
    op.create_table(
        "content",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_content"),
    )


def _event() -> None:
    op.create_table(
        "event",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("entity_id", sa.String(length=36), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_event"),
    )
    op.create_index("ix_event_entity_id", "event", ["entity_id"], unique=False)


def _event_head() -> None:
    op.create_table(
        "event_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_head"),
    )
    op.execute(f"INSERT INTO event_head (id, number, hash) VALUES (1, 0, '{'0' * 64}')")


def _project() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.UniqueConstraint("name", name="uq_project_name"),
    )


def _user() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("handle", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("skills", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("n_failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("handle", name="uq_user_handle"),
    )


def _definition() -> None:
    op.create_table(
        "definition",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_definition_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_definition"),
        sa.UniqueConstraint("project_id", "kind", "version", name="uq_definition_project_id_kind_version"),
    )


def _item() -> None:
    op.create_table(
        "item",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("n_candidates", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["content_hash"], ["content.hash"], name="fk_item_content_hash"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_item_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_item"),
    )
    op.create_index("ix_item_listing", "item", ["project_id", "state", "id"], unique=False)


def _role_binding() -> None:
    op.create_table(
        "role_binding",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_role_binding_user_id"),
        sa.PrimaryKeyConstraint("user_id", "project_id", name="pk_role_binding"),
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_session_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_session"),
    )


def _gold() -> None:
    op.create_table(
        "gold",
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("expected", sa.JSON(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_gold_item_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_gold_project_id"),
        sa.PrimaryKeyConstraint("item_id", name="pk_gold"),
    )
    op.create_index("ix_gold_project_id", "gold", ["project_id"], unique=False)


def _slot() -> None:
    op.create_table(
        "slot",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("required_skill", sa.String(length=100), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_slot_item_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_slot_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_slot"),
        sa.UniqueConstraint("item_id", "number", name="uq_slot_item_id_number"),
    )
    op.create_index(
        "ix_slot_open",
        "slot",
        ["project_id", sa.text("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _assignment() -> None:
    op.create_table(
        "assignment",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("slot_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("lease_token", sa.String(length=36), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("leased_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("active_ms", sa.BigInteger(), nullable=False),
        sa.Column("skip_reason", sa.String(length=200), nullable=True),
        sa.Column("presentation", sa.JSON(), nullable=False),
        sa.Column("schema_id", sa.String(length=36), nullable=True),
        sa.Column("guideline_id", sa.String(length=36), nullable=True),
        sa.CheckConstraint("active_ms >= 0", name="ck_assignment_active_ms"),
        sa.ForeignKeyConstraint(["guideline_id"], ["definition.id"], name="fk_assignment_guideline_id"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_assignment_item_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_assignment_project_id"),
        sa.ForeignKeyConstraint(["schema_id"], ["definition.id"], name="fk_assignment_schema_id"),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name="fk_assignment_slot_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_assignment_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_assignment"),
    )
    op.create_index("ix_assignment_item_id", "assignment", ["item_id"], unique=False)
    op.create_index(
        "ix_assignment_lease",
        "assignment",
        ["project_id", "lease_until_ms"],
        unique=False,
        sqlite_where=sa.text("state IN ('leased', 'opened')"),
        postgresql_where=sa.text("state IN ('leased', 'opened')"),
    )
    op.create_index("ix_assignment_user_id", "assignment", ["user_id"], unique=False)
    op.create_index(
        "uq_assignment_item_user",
        "assignment",
        ["item_id", "user_id"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('expired', 'released')"),
        postgresql_where=sa.text("state NOT IN ('expired', 'released')"),
    )
    op.create_index(
        "uq_assignment_live_slot",
        "assignment",
        ["slot_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('leased', 'opened')"),
        postgresql_where=sa.text("state IN ('leased', 'opened')"),
    )


def _draft() -> None:
    op.create_table(
        "draft",
        sa.Column("assignment_id", sa.String(length=36), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("saved_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_draft_assignment_id"),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_draft"),
    )


def _judgment() -> None:
    op.create_table(
        "judgment",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("assignment_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_judgment_assignment_id"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_judgment_item_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_judgment_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_judgment"),
        sa.UniqueConstraint("assignment_id", "revision", name="uq_judgment_assignment_id_revision"),
        sa.UniqueConstraint("user_id", "key", name="uq_judgment_user_id_key"),
    )
    op.create_index("ix_judgment_item_id", "judgment", ["item_id"], unique=False)
    op.create_index("ix_judgment_user_id", "judgment", ["user_id"], unique=False)
