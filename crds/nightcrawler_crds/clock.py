"""The clock, for I/O code only; decisions get the time in the Snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_SECONDS: Final = len("2025-07-10T14:45:00")


def utcnow() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only place that may


def to_wire(moment: datetime) -> str:
    """Kubernetes' form of a time: RFC 3339, whole seconds, `Z`."""
    return f"{moment.astimezone(UTC).isoformat('T', 'seconds')[:_SECONDS]}Z"


def seconds_to_wire(seconds: int) -> str:
    """The same of whole seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:_SECONDS]}Z"


def to_wire_micro(moment: datetime) -> str:
    """Kubernetes' MicroTime, as Leases have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
