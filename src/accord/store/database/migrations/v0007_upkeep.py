"""Requests that were answered under a key of their sender, and counters of projects."""

import sqlalchemy as sa
from alembic import op

from accord.store.database.tally import recount

revision = "0007"
down_revision = "0006"
ID = sa.String(length=36)
HASH = sa.String(length=64)


def upgrade() -> None:
    """Keys of requests with their answers, and counters of what is there already."""
    op.create_table(
        "answered_request",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("route", sa.String(length=300), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_answered_request_user_id"),
        sa.PrimaryKeyConstraint("user_id", "key_hash", name="pk_answered_request"),
    )
    op.create_index("ix_answered_request_expires_ms", "answered_request", ["expires_ms"])
    op.create_table(
        "tally",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_tally_project_id"),
        sa.PrimaryKeyConstraint("project_id", "kind", "name", name="pk_tally"),
    )
    recount(op.get_bind())
