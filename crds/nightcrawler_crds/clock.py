"""The clock, for I/O code only; decisions get the time in the Snapshot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

TWO_DIGITS: Final = tuple(f"{number:02}" for number in range(60))
"""Minutes and seconds as they are written; to format one takes ten times as long."""
_SECONDS: Final = len("2025-07-10T14:45:00")
_DAY: Final = 86_400
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def utcnow() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only place that may


def to_wire(moment: datetime) -> str:
    """Kubernetes' form of a time: RFC 3339, whole seconds, `Z`."""
    return f"{moment.astimezone(UTC).isoformat('T', 'seconds')[:_SECONDS]}Z"


def seconds_to_wire(seconds: int) -> str:
    """The same of whole seconds since 1970; of lists, in which many times are of the same day."""
    days, rest = divmod(seconds, _DAY)
    hour, minute, second = rest // 3600, rest // 60 % 60, rest % 60
    return f"{_date(days)}T{TWO_DIGITS[hour]}:{TWO_DIGITS[minute]}:{TWO_DIGITS[second]}Z"


@lru_cache(maxsize=1_000)
def _date(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()


def to_wire_micro(moment: datetime) -> str:
    """Kubernetes' MicroTime, as Leases have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
