"""People: invitations, skills, what they read and agreed to, what is secret, calibration rounds."""

import sqlalchemy as sa
from alembic import op

from accord.store.database.tables import guard_statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """People: invitations, skills, what they read and agreed to, what is secret, calibration rounds."""
    _attribute()
    _invitation()
    _user_key()
    _user_skill()
    _calibration()
    _consent()
    _guideline_ack()
    _calibration_item()
    for name in ("guideline_ack",):
        for statement in guard_statements(name, op.get_bind().dialect.name):
            op.execute(statement)


def _attribute() -> None:
    op.create_table(
        "attribute",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_attribute_user_id"),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_attribute"),
    )


def _invitation() -> None:
    op.create_table(
        "invitation",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("skills", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=36), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name="fk_invitation_created_by"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_invitation_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_invitation"),
    )


def _user_key() -> None:
    op.create_table(
        "user_key",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_user_key_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_key"),
    )


def _user_skill() -> None:
    op.create_table(
        "user_skill",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("skill", sa.String(length=60), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("granted_by", sa.String(length=100), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_user_skill_user_id"),
        sa.PrimaryKeyConstraint("user_id", "skill", "source", name="pk_user_skill"),
    )


def _calibration() -> None:
    op.create_table(
        "calibration",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("n_people", sa.Integer(), nullable=False),
        sa.Column("guideline_id", sa.String(length=36), nullable=True),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("next_guideline_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["guideline_id"], ["definition.id"], name="fk_calibration_guideline_id"),
        sa.ForeignKeyConstraint(
            ["next_guideline_id"], ["definition.id"], name="fk_calibration_next_guideline_id"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_calibration_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_calibration"),
    )
    op.create_index("ix_calibration_project_id", "calibration", ["project_id"], unique=False)


def _consent() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("definition_id", sa.String(length=36), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["definition_id"], ["definition.id"], name="fk_consent_definition_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_consent_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
    )
    op.create_index("ix_consent_person", "consent", ["user_id", "definition_id"], unique=False)


def _guideline_ack() -> None:
    op.create_table(
        "guideline_ack",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("definition_id", sa.String(length=36), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["definition_id"], ["definition.id"], name="fk_guideline_ack_definition_id"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_guideline_ack_user_id"),
        sa.PrimaryKeyConstraint("user_id", "definition_id", name="pk_guideline_ack"),
    )


def _calibration_item() -> None:
    op.create_table(
        "calibration_item",
        sa.Column("calibration_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["calibration_id"], ["calibration.id"], name="fk_calibration_item_calibration_id"
        ),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_calibration_item_item_id"),
        sa.PrimaryKeyConstraint("calibration_id", "item_id", name="pk_calibration_item"),
    )
