"""How somebody wants his pages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """How somebody wants his pages: theme, language, keys."""
    op.create_table(
        "setting",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_setting_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_setting"),
    )
