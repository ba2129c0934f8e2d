"""Kept logs of one facade: the store, what reads it, and what fills it while this replica is to."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keeping.keeper import Turn
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.keeping.turns import FileTurn, LeaseTurn
from nightcrawler_api.keptlogs.cleaner import Cleaner
from nightcrawler_api.keptlogs.collector import Collector
from nightcrawler_api.keptlogs.contract import LogUsage
from nightcrawler_api.keptlogs.reader import KeptLog, find
from nightcrawler_api.keptlogs.record import Where
from nightcrawler_api.keptlogs.store import LogStore
from nightcrawler_api.masks import Masks
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import clock
from nightcrawler_crds.election.elector import LeaseTerms
from nightcrawler_crds.kube.store import Store

log = logging.getLogger(__name__)

_CLEAN_SECONDS: Final = 600.0


class KeptLogs:
    """Logs in a store (`contract.LogHistory`, `keeper.Part`)."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        notes: Notes,
        masks: Masks,
        url: str,
        *,
        log_bytes: int,
        total_bytes: int,
        keep_seconds: float,
    ) -> None:
        self._store = store
        parts = urlsplit(url)
        self._folder = Path(parts.path) if parts.scheme == "file" else None
        self._uid_of_cluster = ""
        self._objects = LogStore(url)
        self._collector = Collector(store, cluster, self._objects, notes, masks, most_bytes=log_bytes)
        self._cleaner = Cleaner(self._objects, most_bytes=total_bytes, keep_seconds=keep_seconds)

    @property
    def problem(self) -> str:
        """What keeps this replica from keeping logs, if it is its turn; empty if nothing does."""
        return self._collector.problem

    @property
    def usage(self) -> LogUsage:
        """What it has come to."""
        collector, cleaner = self._collector, self._cleaner
        return LogUsage(collector.kept_bytes, collector.gaps, cleaner.stored_bytes, cleaner.removed)

    async def find(self, namespace: str, execution_uid: str, step: str, attempt: int) -> KeptLog | None:
        """What is kept of one attempt's log."""
        if not self._uid_of_cluster:
            raise HistoryUnavailable("kept logs cannot be read yet: the UID of the cluster is not known")
        where = Where(self._uid_of_cluster, namespace, execution_uid, step, attempt)
        return await find(self._objects, where)

    def turn(self, lease: LeaseTerms) -> Turn:
        """What says whose turn it is to fill it, where nothing else does."""
        if self._folder is None:
            return LeaseTurn(self._store, lease)
        return FileTurn(str(self._folder))

    def identify(self, cluster: str) -> None:
        """See `keeper.Part`."""
        self._uid_of_cluster = self._collector.uid_of_cluster = cluster

    async def work(self) -> None:
        """Keep logs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collector.run())
            tasks.create_task(self._clean())

    async def close(self) -> None:
        """Nothing: the store keeps no connections that matter."""

    async def _clean(self) -> None:
        while True:
            try:
                await self._cleaner.clean(clock.utcnow())
            except HistoryUnavailable as error:
                log.warning("kept logs cannot be looked through: %s", error)
            await asyncio.sleep(_CLEAN_SECONDS)
