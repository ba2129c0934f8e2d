"""The tables of the archive, in SQLite and PostgreSQL alike.

Times are microseconds since 1970 in UTC, durations microseconds. `migrations` makes these tables; a test
compares the two. A facade works with a newer schema than its own too, so that two versions can run side by
side during an upgrade: a migration may add tables, and columns that may be null or have a default.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
)

HEAD: Final = "0003"
"""The newest migration, which this version needs. Migrations are numbered, so that they can be compared."""

metadata: Final = MetaData(
    naming_convention={
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BIG: Final = BigInteger().with_variant(Integer, "sqlite")
"""A key: SQLite numbers rows by a column of this very type alone."""
NAME: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its code points, which is also that of the facade's own lists."""


def _of_execution() -> Column[Any]:
    key = ForeignKey("executions.id", ondelete="CASCADE")
    return Column("execution_id", BIG, key, primary_key=True, autoincrement=False)


archive = Table(
    "archive",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Random: another database in place of this one has another.
    Column("name", Text, nullable=False),
    # How often rows were removed; what has been counted before that no longer holds.
    Column("removals", BigInteger, nullable=False),
)

namespaces = Table(
    "namespaces",
    metadata,
    Column("id", Integer, primary_key=True),
    # The UID of the cluster's namespace kube-system.
    Column("cluster", Text, nullable=False),
    Column("name", NAME, nullable=False),
    UniqueConstraint("cluster", "name"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("namespace_id", ForeignKey("namespaces.id"), nullable=False),
    Column("uid", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # When the cluster was first seen to have it no longer.
    Column("deleted_at", BigInteger),
    UniqueConstraint("namespace_id", "uid"),
)

workflow_tags = Table(
    "workflow_tags",
    metadata,
    Column(
        "workflow_id",
        BIG,
        ForeignKey("workflows.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("tag", NAME, primary_key=True),
    Index("ix_workflow_tags_tag", "tag"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("namespace_id", ForeignKey("namespaces.id"), primary_key=True, autoincrement=False),
    Column("name", NAME, primary_key=True),
    Column("workflow_uid", NAME, nullable=False),
    # The workflow's when it was created.
    Column("generation", BigInteger, nullable=False),
    Column("created_at", BigInteger),
    # The ControllerRevision's data, as JSON.
    Column("data", Text, nullable=False),
    Index("ix_revisions_workflow", "namespace_id", "workflow_uid"),
)

executions = Table(
    "executions",
    metadata,
    # In the order in which rows become visible: there is one writer at a time.
    Column("id", BIG, primary_key=True),
    Column("namespace_id", ForeignKey("namespaces.id"), nullable=False),
    Column("uid", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    # Whether a later execution had the same name.
    Column("superseded", Boolean, nullable=False, server_default=false()),
    Column("workflow", NAME, nullable=False),
    # Of the Workflow that owned it; null if none did.
    Column("workflow_uid", NAME),
    # completed, failed or cancelled.
    Column("status", NAME, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # When its first step started, else its creation; `wait` is null if none did.
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("duration", BigInteger, nullable=False),
    Column("wait", BigInteger),
    Column("environment", NAME),
    Column("executor", NAME),
    Column("trigger", Text, nullable=False),
    Column("scheduled_at", BigInteger),
    Column("rerun_of", Text),
    Column("revision", NAME),
    Column("progress", Text),
    # Why it failed, or how it was cancelled.
    Column("message", Text),
    # What it has cost; null where its Environment has no prices.
    Column("cost", Double),
    Column("currency", Text),
    # What it used, in percent, as JSON; null if nothing was measured.
    Column("usage", Text),
    Column("archived_at", BigInteger, nullable=False),
    UniqueConstraint("namespace_id", "uid"),
    # Each has what its lists are filtered and counted by, so that the rows themselves need not be read.
    Index(
        "ix_executions_created",
        "namespace_id",
        "created_at",
        "name",
        "status",
        "started_at",
        "executor",
        "environment",
        "workflow_uid",
    ),
    Index("ix_executions_status", "namespace_id", "status", "created_at", "name"),
    Index(
        "ix_executions_workflow", "namespace_id", "workflow", "created_at", "name", "status", "workflow_uid"
    ),
    Index("ix_executions_environment", "namespace_id", "environment", "created_at", "name", "status"),
    Index("ix_executions_executor", "namespace_id", "executor", "created_at", "name", "status"),
    Index(
        "ix_executions_started",
        "namespace_id",
        "started_at",
        "created_at",
        "name",
        "status",
        "workflow",
        "duration",
        "wait",
        # With these, all that statistics need.
        "environment",
        "executor",
        "cost",
        "currency",
    ),
    Index("ix_executions_ended", "namespace_id", "ended_at", "created_at", "name"),
    Index("ix_executions_duration", "namespace_id", "duration", "created_at", "name"),
    Index("ix_executions_name", "namespace_id", "name"),
    Index("ix_executions_revision", "namespace_id", "revision"),
    sqlite_autoincrement=True,  # or it would give the number of a removed row again
)

documents = Table(
    "documents",
    metadata,
    _of_execution(),
    # The execution as the facade knew it, as JSON, without its steps; apart, so that rows are small.
    Column("document", Text, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    _of_execution(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("disruptions", Integer, nullable=False),
    Column("preemptions", Integer, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("job_name", Text),
    Column("exit_code", Integer),
    Column("reason", Text),
    Column("message", Text),
    # For how long its earlier attempts ran.
    Column("earlier_seconds", BigInteger, nullable=False),
    # What its last attempt used, in percent, as JSON; null if nothing was measured.
    Column("usage", Text),
    # The attempts that were kept for the trace, as JSON; null if none were.
    Column("attempts", Text),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("namespace_id", ForeignKey("namespaces.id"), nullable=False),
    # Of the record, wherever else it is.
    Column("key", NAME, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("caller", NAME, nullable=False),
    # Issuer and subject; empty without identity.
    Column("caller_id", NAME, nullable=False),
    # A JSON list.
    Column("roles", Text, nullable=False),
    # rest, schedule or cluster.
    Column("origin", Text, nullable=False),
    Column("action", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", NAME, nullable=False),
    Column("workflow", NAME, nullable=False),
    Column("uid", NAME, nullable=False),
    # What was before and is after, as JSON, as far as it differs.
    Column("old", Text),
    Column("new", Text),
    Column("allowed", Boolean, nullable=False),
    # The HTTP status; 0 of what did not come over REST.
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", NAME, nullable=False),
    UniqueConstraint("namespace_id", "key"),
    Index("ix_audit_records_at", "namespace_id", "at"),
    Index("ix_audit_records_workflow", "namespace_id", "workflow", "at"),
    Index("ix_audit_records_caller", "namespace_id", "caller", "at"),
    Index("ix_audit_records_action", "namespace_id", "action", "at"),
    Index("ix_audit_records_request", "namespace_id", "request_id"),
    sqlite_autoincrement=True,
)

audit_marks = Table(
    "audit_marks",
    metadata,
    Column("namespace_id", ForeignKey("namespaces.id"), primary_key=True, autoincrement=False),
    # Of the object that was changed, and how: its generation, or a word.
    Column("uid", NAME, primary_key=True),
    Column("change", NAME, primary_key=True),
    # Null if it was made before there were records, or the record is gone.
    Column("record_id", BIG, ForeignKey("audit_records.id", ondelete="SET NULL")),
    Index("ix_audit_marks_record", "record_id"),
)
