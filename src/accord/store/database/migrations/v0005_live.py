"""Conversations with live models, and signing in through another service."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
ID = sa.String(length=36)
HASH = sa.String(length=64)


def upgrade() -> None:
    """Turns of conversations, identities at other services, and ways there that were begun."""
    op.create_table(
        "live_turn",
        sa.Column("id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("said_ms", sa.BigInteger(), nullable=False),
        sa.Column("n_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failure", sa.String(length=300), server_default="", nullable=False),
        sa.Column("item_id", ID, nullable=True),
        sa.Column("assignment_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["conversation_id"], ["item.id"], name="fk_live_turn_conversation_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_live_turn_user_id"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_live_turn_project_id"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_live_turn_item_id"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_live_turn_assignment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_live_turn"),
        sa.UniqueConstraint(
            "conversation_id", "user_id", "number", name="uq_live_turn_conversation_id_user_id_number"
        ),
        sa.UniqueConstraint("user_id", "key", name="uq_live_turn_user_id_key"),
    )
    op.create_index("ix_live_turn_item_id", "live_turn", ["item_id"])
    op.create_table(
        "identity",
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_identity_user_id"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_identity"),
    )
    op.create_index("ix_identity_user_id", "identity", ["user_id"])
    op.create_table(
        "sign_in",
        sa.Column("state_hash", HASH, nullable=False),
        sa.Column("browser_hash", HASH, nullable=False),
        sa.Column("nonce", sa.String(length=100), nullable=False),
        sa.Column("verifier", sa.String(length=200), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_sign_in"),
    )
