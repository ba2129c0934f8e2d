"""Leadership as the rest of the operator uses it, and a sole leader that needs no election."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol


class Leadership(Protocol):
    """Whether this process leads; implemented by `Elector` and `SoleLeader`."""

    @property
    def is_leader(self) -> bool:
        """Whether this process leads now."""
        ...

    @property
    def leader_changes(self) -> int:
        """How often the Lease was seen to change its holder."""
        ...

    def time_left(self) -> float:
        """For how many seconds this process certainly leads, whatever happens; 0 if it does not."""
        ...

    async def observe_lease(self) -> None:
        """Read the Lease once, before taking part."""
        ...

    async def run(self) -> None:
        """Take part until cancelled."""
        ...


class SoleLeader:
    """The leader of an installation that has one process and needs no election."""

    def __init__(self, *, on_started: Callable[[], None], on_stopped: Callable[[], None]) -> None:
        self.is_leader = False
        self.leader_changes = 0
        self._on_started = on_started
        self._on_stopped = on_stopped

    def time_left(self) -> float:
        """Infinite, while it runs."""
        return math.inf if self.is_leader else 0.0

    async def observe_lease(self) -> None:
        """Nothing: there is no Lease."""

    async def run(self) -> None:
        """Lead until cancelled."""
        self.is_leader = True
        self._on_started()
        try:
            await asyncio.Event().wait()
        finally:
            self.is_leader = False
            self._on_stopped()
