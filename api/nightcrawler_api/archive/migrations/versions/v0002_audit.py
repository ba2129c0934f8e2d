"""Audit records, and the changes that have one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "audit_records",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("namespace_id", sa.Integer, nullable=False),
        sa.Column("key", _NAME, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("caller", _NAME, nullable=False),
        sa.Column("caller_id", _NAME, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("action", _NAME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("workflow", _NAME, nullable=False),
        sa.Column("uid", _NAME, nullable=False),
        sa.Column("old", sa.Text),
        sa.Column("new", sa.Text),
        sa.Column("allowed", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("request_id", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_records"),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name="fk_audit_records_namespace_id"),
        sa.UniqueConstraint("namespace_id", "key", name="uq_audit_records_namespace_id_key"),
        sqlite_autoincrement=True,
    )
    for name, *columns in (
        ("at", "at"),
        ("workflow", "workflow", "at"),
        ("caller", "caller", "at"),
        ("action", "action", "at"),
        ("request", "request_id"),
    ):
        op.create_index(f"ix_audit_records_{name}", "audit_records", ["namespace_id", *columns])
    op.create_table(
        "audit_marks",
        sa.Column("namespace_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("uid", _NAME, nullable=False),
        sa.Column("change", _NAME, nullable=False),
        sa.Column("record_id", _BIG),
        sa.PrimaryKeyConstraint("namespace_id", "uid", "change", name="pk_audit_marks"),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name="fk_audit_marks_namespace_id"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["audit_records.id"], name="fk_audit_marks_record_id", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_audit_marks_record", "audit_marks", ["record_id"])
