"""Where in the chain of events each project's judgments are, and which events are recalls."""

import sqlalchemy as sa
from alembic import op

from accord.store.database.audit import list_streams

revision = "0009"
down_revision = "0008"
RECALLED = sa.text("entity = 'recall'")


def upgrade() -> None:
    """Places of what is in the chain already, and an index of the recalls, which are few."""
    op.create_table(
        "stream",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_stream"),
        sqlite_with_rowid=False,
    )
    list_streams(op.get_bind())
    op.create_index(
        "ix_event_recall", "event", ["entity_id"], sqlite_where=RECALLED, postgresql_where=RECALLED
    )
