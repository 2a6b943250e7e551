"""Up to when somebody's time is counted, so that work in two windows counts once."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A column of users; nothing is counted yet."""
    op.add_column("user", sa.Column("worked_until_ms", sa.BigInteger(), server_default="0", nullable=False))
