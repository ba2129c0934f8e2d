"""What records are asked of and given to, beside the log; without SQLAlchemy, so that it works without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from nightcrawler_api.audit.record import Record

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Within:
    """Whose records may be seen.

    Attributes:
        namespaces: Those of which all may be.
        workflows: The names of further workflows, by namespace; of those that had the same name before, none.
    """

    namespaces: frozenset[str] = frozenset()
    workflows: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether any may be seen."""
        return bool(self.namespaces or self.workflows)


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records: those that match all that is set, before a position, the newest first.

    Attributes:
        within: What they have to be about; None for anything, also what is about no object.
    """

    caller: str | None = None
    action: str | None = None
    kind: str | None = None
    name: Key | None = None
    workflow: Key | None = None
    request_id: str | None = None
    allowed: bool | None = None
    begin: datetime | None = None
    end: datetime | None = None
    before: tuple[int, int] | None = None
    within: Within | None = None


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
