"""Indexes that find the newest work of a project and of a person, and the least used known item."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Work by when it was closed, work and judgments by item and person; what new ones begin with goes."""
    op.drop_index("ix_assignment_person", "assignment")
    op.create_index("ix_assignment_person", "assignment", ["project_id", "user_id", "closed_ms", "id"])
    op.create_index("ix_assignment_newest", "assignment", ["project_id", "closed_ms", "id"])
    op.create_index("ix_assignment_day", "assignment", ["user_id", "closed_ms"])
    op.create_index("ix_assignment_holder", "assignment", ["item_id", "user_id"])
    op.drop_index("ix_assignment_item_id", "assignment")
    op.drop_index("ix_assignment_user_id", "assignment")
    op.create_index("ix_judgment_giver", "judgment", ["item_id", "user_id"])
    op.drop_index("ix_judgment_item_id", "judgment")
    op.drop_index("ix_judgment_user_id", "judgment")  # the unique (user_id, key) begins with the same
    op.create_index("ix_gold_least_used", "gold", ["project_id", "tier", "n_uses", "item_id"])
    op.drop_index("ix_gold_project_id", "gold")
