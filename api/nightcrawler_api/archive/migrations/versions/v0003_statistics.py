"""An index with all that statistics need, so that they do not read the rows themselves."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the index again with more columns. A migration stays as it was, whatever `tables` has later."""
    op.drop_index("ix_executions_started", table_name="executions")
    op.create_index(
        "ix_executions_started",
        "executions",
        [
            "namespace_id",
            "started_at",
            "created_at",
            "name",
            "status",
            "workflow",
            "duration",
            "wait",
            "environment",
            "executor",
            "cost",
            "currency",
        ],
    )
