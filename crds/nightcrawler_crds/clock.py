"""The clock, for the edges of the program; decisions get their time in the Snapshot."""

from __future__ import annotations

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The time of the wall clock, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the edge that the ban points to


def to_wire(moment: datetime) -> str:
    """Kubernetes' form of a time: RFC 3339, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_wire_micro(moment: datetime) -> str:
    """Kubernetes' MicroTime, as Leases have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
