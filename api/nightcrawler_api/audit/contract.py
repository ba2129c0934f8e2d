"""What records are asked of and given to, beside the log; without SQLAlchemy, so that it works without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nightcrawler_api.audit.record import Record


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records: those that match all that is set, before a position, the newest first.

    Attributes:
        workflows: The ids of the workflows whose records may be seen; None for all records.
    """

    caller: str | None = None
    action: str | None = None
    kind: str | None = None
    name: str | None = None
    workflow: str | None = None
    request_id: str | None = None
    allowed: bool | None = None
    begin: datetime | None = None
    end: datetime | None = None
    before: tuple[int, int] | None = None
    workflows: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record and its position, which `RecordQuery.before` takes."""

    record: Record
    position: tuple[int, int]


class Records(Protocol):
    """Where records are kept; each method raises `HistoryUnavailable` if they cannot be reached."""

    async def add(self, records: Sequence[Record]) -> int:
        """Keep records, in place of those that have the same marks; returns how many can never be kept."""
        ...

    async def page(self, query: RecordQuery, most: int) -> Sequence[Recorded]:
        """Up to so many that match."""
        ...
