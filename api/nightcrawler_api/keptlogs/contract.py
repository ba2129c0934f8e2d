"""What the rest of the facade knows of kept logs; without the library of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nightcrawler_api.keptlogs.reader import KeptLog


@dataclass(frozen=True, slots=True)
class LogUsage:
    """What the keeping of logs has come to, in this process.

    Attributes:
        read_bytes: Bytes that were read and kept.
        gaps: Places at which lines were missing.
        stored_bytes: What the store had when it was last looked at.
        removed: Logs that were removed, as too old or too much.
    """

    read_bytes: int
    gaps: int
    stored_bytes: int
    removed: int


class LogHistory(Protocol):
    """Kept logs."""

    @property
    def problem(self) -> str:
        """What keeps this replica from keeping logs, if it is its turn; empty if nothing does."""
        ...

    @property
    def usage(self) -> LogUsage:
        """What it has come to."""
        ...

    async def find(self, namespace: str, execution_uid: str, step: str, attempt: int) -> KeptLog | None:
        """What is kept of one attempt's log; raises `HistoryUnavailable` if the store cannot be used."""
        ...
