"""The way of an item after it was judged; how people stand; messages to other servers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from accord.store.database.tables import guard_statements

revision = "0002"
down_revision = "0001"


WORD = sa.String(length=32)
HELD = "state NOT IN ('expired', 'released')"


def upgrade() -> None:
    """The way of an item after it was judged; how people stand; messages to other servers."""
    _core()
    _alert()
    _standing()
    _outbox()
    _stage_run()
    _adjudication()
    _gold_result()
    _judgment_mark()
    _review()
    for name in ("review", "adjudication", "judgment_mark", "gold_result"):
        for statement in guard_statements(name, op.get_bind().dialect.name):
            op.execute(statement)


def _alert() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_alert_project_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_alert_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
    )
    op.create_index("ix_alert_listing", "alert", ["project_id", "is_private", "id"], unique=False)
    op.create_index("ix_alert_person", "alert", ["user_id", "project_id", "id"], unique=False)


def _standing() -> None:
    op.create_table(
        "standing",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("gold_share", sa.Float(), nullable=True),
        sa.Column("n_assigned", sa.Integer(), nullable=False),
        sa.Column("n_right", sa.Integer(), nullable=False),
        sa.Column("n_gold", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("n_today", sa.Integer(), nullable=False),
        sa.Column("gold_today", sa.Integer(), nullable=False),
        sa.Column("active_today_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_standing_project_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_standing_user_id"),
        sa.PrimaryKeyConstraint("user_id", "project_id", name="pk_standing"),
    )
    op.create_index("ix_standing_project", "standing", ["project_id", "state"], unique=False)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("secret_name", sa.String(length=100), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("n_tries", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_outbox_item_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_outbox_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_due", "outbox", ["state", "next_ms"], unique=False)


def _core() -> None:
    op.add_column("item", sa.Column("stage", sa.String(length=64), nullable=False, server_default="label"))
    op.add_column("item", sa.Column("attempt", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("gold", sa.Column("tier", WORD, nullable=False, server_default="hidden"))
    op.add_column("gold", sa.Column("n_uses", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("gold", sa.Column("exposure_cap", sa.Integer(), nullable=True))
    op.add_column("gold", sa.Column("retired_ms", sa.BigInteger(), nullable=True))
    op.add_column("slot", sa.Column("lane", WORD, nullable=False, server_default="label"))
    op.drop_index("ix_slot_open", "slot")
    columns: list[str | sa.TextClause] = [
        "project_id",
        "lane",
        "required_skill",
        sa.text("priority DESC"),
        "id",
    ]
    _partial("ix_slot_open", "slot", columns, "state = 'open'")
    op.drop_index("uq_assignment_item_user", "assignment")
    first = f"{HELD} AND purpose NOT IN ('repeat', 'review', 'adjudicate')"
    _partial("uq_assignment_item_user", "assignment", ["item_id", "user_id"], first, unique=True)
    again = f"{HELD} AND purpose = 'repeat'"
    _partial("uq_assignment_repeat", "assignment", ["item_id", "user_id"], again, unique=True)
    op.create_index("ix_assignment_person", "assignment", ["project_id", "user_id", "closed_ms"])
    op.create_index("uq_judgment_author", "judgment", ["id", "user_id"], unique=True)


def _partial(
    name: str, table: str, columns: Sequence[str | sa.TextClause], where: str, *, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _stage_run() -> None:
    op.create_table(
        "stage_run",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("workflow_id", sa.String(length=36), nullable=True),
        sa.Column("entered_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_stage_run_item_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_stage_run_project_id"),
        sa.ForeignKeyConstraint(["workflow_id"], ["definition.id"], name="fk_stage_run_workflow_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stage_run"),
        sa.UniqueConstraint("item_id", "number", name="uq_stage_run_item_id_number"),
    )
    op.create_index(
        "ix_stage_run_listing", "stage_run", ["project_id", "kind", "outcome", "id"], unique=False
    )
    op.create_index(
        "uq_stage_run_present",
        "stage_run",
        ["item_id"],
        unique=True,
        sqlite_where=sa.text("left_ms IS NULL"),
        postgresql_where=sa.text("left_ms IS NULL"),
    )


def _adjudication() -> None:
    op.create_table(
        "adjudication",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("assignment_id", sa.String(length=36), nullable=False),
        sa.Column("judgment_id", sa.String(length=36), nullable=True),
        sa.Column("adjudicator_id", sa.String(length=36), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["adjudicator_id"], ["user.id"], name="fk_adjudication_adjudicator_id"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_adjudication_assignment_id"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_adjudication_item_id"),
        sa.ForeignKeyConstraint(["judgment_id"], ["judgment.id"], name="fk_adjudication_judgment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_adjudication"),
        sa.UniqueConstraint("assignment_id", name="uq_adjudication_assignment_id"),
    )
    op.create_index("ix_adjudication_item_id", "adjudication", ["item_id"], unique=False)


def _gold_result() -> None:
    op.create_table(
        "gold_result",
        sa.Column("judgment_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("is_right", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_gold_result_item_id"),
        sa.ForeignKeyConstraint(["judgment_id"], ["judgment.id"], name="fk_gold_result_judgment_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_gold_result_project_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_gold_result_user_id"),
        sa.PrimaryKeyConstraint("judgment_id", name="pk_gold_result"),
    )
    op.create_index("ix_gold_result_item_id", "gold_result", ["item_id"], unique=False)
    op.create_index("ix_gold_result_person", "gold_result", ["project_id", "user_id", "at_ms"], unique=False)


def _judgment_mark() -> None:
    op.create_table(
        "judgment_mark",
        sa.Column("judgment_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["judgment_id"], ["judgment.id"], name="fk_judgment_mark_judgment_id"),
        sa.PrimaryKeyConstraint("judgment_id", "number", name="pk_judgment_mark"),
    )


def _review() -> None:
    op.create_table(
        "review",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("judgment_id", sa.String(length=36), nullable=False),
        sa.Column("author_id", sa.String(length=36), nullable=False),
        sa.Column("reviewer_id", sa.String(length=36), nullable=False),
        sa.Column("assignment_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("replacement_id", sa.String(length=36), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reviewer_id <> author_id", name="ck_review_not_own"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_review_assignment_id"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_review_item_id"),
        sa.ForeignKeyConstraint(
            ["judgment_id", "author_id"],
            ["judgment.id", "judgment.user_id"],
            name="fk_review_judgment_id_author_id",
        ),
        sa.ForeignKeyConstraint(["replacement_id"], ["judgment.id"], name="fk_review_replacement_id"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["user.id"], name="fk_review_reviewer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_review"),
        sa.UniqueConstraint("assignment_id", "judgment_id", name="uq_review_assignment_id_judgment_id"),
    )
    op.create_index("ix_review_author", "review", ["author_id", "at_ms"], unique=False)
    op.create_index("ix_review_item_id", "review", ["item_id"], unique=False)
