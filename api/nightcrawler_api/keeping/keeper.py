"""Runs what one replica at a time does, while it is this replica's turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import msgspec

from nightcrawler_crds.errors import ApiError, Forbidden
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import NAMESPACES

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0
_CLUSTER: Final = "kube-system"
"""The namespace whose UID is that of the cluster, by convention."""

Work = Callable[[], Coroutine[Any, Any, None]]
Report = Callable[[str], None]


class Turn(Protocol):
    """Says when it is this replica's turn."""

    async def run(self, work: Work, report: Report) -> None:
        """Work while it is, until cancelled; `report` gets the reason while it waits, and "" after that."""
        ...


class Part(Protocol):
    """One thing that is kept."""

    def identify(self, cluster: str) -> None:
        """Learn the UID of the cluster, before anything else."""
        ...

    async def work(self) -> None:
        """Keep it, until cancelled."""
        ...

    async def close(self) -> None:
        """Close what it uses."""
        ...


class _Namespace(msgspec.Struct):
    metadata: Meta


class Keeper:
    """Keeps all of them.

    Attributes:
        working: Whether it is this replica's turn.
        problem: What keeps it from taking its turn, as a sentence; empty if nothing does.
    """

    def __init__(self, store: Store, turn: Turn, parts: Sequence[Part]) -> None:
        self.working = False
        self.problem = ""
        self._store = store
        self._turn = turn
        self._parts = parts

    async def run(self) -> None:
        """Keep them, whenever it is this replica's turn, until cancelled."""
        uid = await self._uid_of_cluster()
        for part in self._parts:
            part.identify(uid)
        await self._turn.run(self._work, self._report)

    async def close(self) -> None:
        """Close what they use."""
        for part in self._parts:
            await part.close()

    async def _work(self) -> None:
        self.working = True
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in self._parts:
                    tasks.create_task(part.work())
        finally:
            self.working = False

    async def _uid_of_cluster(self) -> str:
        while True:
            try:
                found = await self._store.get(NAMESPACES, "", _CLUSTER, _Namespace)
            except Forbidden:
                self._report(
                    f"the facade may not get the namespace {_CLUSTER}, whose UID tells clusters apart; "
                    "the administrator can allow it (hack/rbac.yaml)"
                )
            except ApiError as error:
                self._report(f"the UID of the cluster cannot be read: {error}")
            else:
                self._report("")
                return found.metadata.uid
            await asyncio.sleep(_RETRY_SECONDS)

    def _report(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("nothing can be kept: %s", problem)
        self.problem = problem
