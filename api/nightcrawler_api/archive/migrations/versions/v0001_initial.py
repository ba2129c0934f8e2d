"""The first tables: workflows, revisions, executions and their steps."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    _archive()
    _workflows()
    _executions()
    _steps()


def _archive() -> None:
    archive = op.create_table(
        "archive",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("removals", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archive"),
    )
    op.bulk_insert(archive, [{"id": 1, "name": secrets.token_hex(8), "removals": 0}])
    op.create_table(
        "namespaces",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_namespaces"),
        sa.UniqueConstraint("cluster", "name", name="uq_namespaces_cluster_name"),
    )


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("namespace_id", sa.Integer, nullable=False),
        sa.Column("uid", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("creator", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name="fk_workflows_namespace_id"),
        sa.UniqueConstraint("namespace_id", "uid", name="uq_workflows_namespace_id_uid"),
    )
    op.create_table(
        "workflow_tags",
        sa.Column("workflow_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("tag", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "tag", name="pk_workflow_tags"),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_workflow_tags_workflow_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_workflow_tags_tag", "workflow_tags", ["tag"])
    op.create_table(
        "revisions",
        sa.Column("namespace_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("workflow_uid", _NAME, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("namespace_id", "name", name="pk_revisions"),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name="fk_revisions_namespace_id"),
    )
    op.create_index("ix_revisions_workflow", "revisions", ["namespace_id", "workflow_uid"])


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("namespace_id", sa.Integer, nullable=False),
        sa.Column("uid", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("workflow", _NAME, nullable=False),
        sa.Column("workflow_uid", _NAME),
        sa.Column("status", _NAME, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.BigInteger, nullable=False),
        sa.Column("wait", sa.BigInteger),
        sa.Column("environment", _NAME),
        sa.Column("executor", _NAME),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("scheduled_at", sa.BigInteger),
        sa.Column("rerun_of", sa.Text),
        sa.Column("revision", _NAME),
        sa.Column("progress", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("cost", sa.Double),
        sa.Column("currency", sa.Text),
        sa.Column("usage", sa.Text),
        sa.Column("archived_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name="fk_executions_namespace_id"),
        sa.UniqueConstraint("namespace_id", "uid", name="uq_executions_namespace_id_uid"),
        sqlite_autoincrement=True,
    )
    by_creation = ("created_at", "name")
    for name, *columns in (
        ("created", *by_creation, "status", "started_at", "executor", "environment", "workflow_uid"),
        ("status", "status", *by_creation),
        ("workflow", "workflow", *by_creation, "status", "workflow_uid"),
        ("environment", "environment", *by_creation, "status"),
        ("executor", "executor", *by_creation, "status"),
        ("started", "started_at", *by_creation, "status", "workflow", "duration", "wait"),
        ("ended", "ended_at", *by_creation),
        ("duration", "duration", *by_creation),
        ("name", "name"),
        ("revision", "revision"),
    ):
        op.create_index(f"ix_executions_{name}", "executions", ["namespace_id", *columns])


def _steps() -> None:
    op.create_table(
        "documents",
        sa.Column("execution_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_documents"),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name="fk_documents_execution_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "steps",
        sa.Column("execution_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("disruptions", sa.Integer, nullable=False),
        sa.Column("preemptions", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("job_name", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("earlier_seconds", sa.BigInteger, nullable=False),
        sa.Column("usage", sa.Text),
        sa.Column("attempts", sa.Text),
        sa.PrimaryKeyConstraint("execution_id", "position", name="pk_steps"),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name="fk_steps_execution_id", ondelete="CASCADE"
        ),
    )
