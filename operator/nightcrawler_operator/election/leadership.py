"""What the rest of the operator knows of an election, and the leader that needs none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol


class Leadership(Protocol):
    """What the rest of the operator knows of an election."""

    @property
    def is_leader(self) -> bool:
        """Whether this process may work now."""
        ...

    @property
    def leader_changes(self) -> int:
        """How often another leader was seen to follow."""
        ...

    def time_left(self) -> float:
        """For how many seconds this process certainly is the leader, whatever happens; 0 if it is not."""
        ...

    async def notice(self) -> None:
        """See who leads, before taking part."""
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
        """For ever, while it runs."""
        return math.inf if self.is_leader else 0.0

    async def notice(self) -> None:
        """There is nobody else."""

    async def run(self) -> None:
        """Lead until cancelled."""
        self.is_leader = True
        self._on_started()
        try:
            await asyncio.Event().wait()
        finally:
            self.is_leader = False
            self._on_stopped()
