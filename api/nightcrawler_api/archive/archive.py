"""The archive of one facade: its database, what reads it, and what writes it while this replica is to."""

from __future__ import annotations

from nightcrawler_api.archive.archiver import Archiver, Retention
from nightcrawler_api.archive.contract import Backlogged, History
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.reader import ArchiveReader
from nightcrawler_api.keeping.keeper import Turn
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.keeping.turns import FileTurn, LeaseTurn
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import clock
from nightcrawler_crds.election.elector import LeaseTerms
from nightcrawler_crds.kube.store import Store


class SqlArchive:
    """An archive in a SQL database (`contract.Archive`, `keeper.Part`)."""

    def __init__(
        self, store: Store, cluster: ClusterCache, notes: Notes, url: str, retention: Retention
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._database = Database(url)
        self._reader = ArchiveReader(self._database, cluster)
        self._archiver = Archiver(store, cluster, self._database, self._reader, notes, retention)

    @property
    def database(self) -> Database:
        """Where it is; for what else is kept there."""
        return self._database

    @property
    def history(self) -> History:
        """What it has."""
        return self._reader

    @property
    def problem(self) -> str:
        """What keeps this replica from writing, if it is its turn; empty if nothing does."""
        return self._archiver.problem

    @property
    def backlog(self) -> Backlogged:
        """What is to be archived; of the replica whose turn it is."""
        oldest = self._archiver.backlog.oldest
        seconds = 0.0 if oldest is None else max((clock.utcnow() - oldest).total_seconds(), 0.0)
        return Backlogged(
            waiting=len(self._archiver.backlog),
            seconds=seconds,
            lost=self._archiver.backlog.lost,
            written=self._archiver.written,
            removed=self._archiver.removed,
        )

    def turn(self, lease: LeaseTerms) -> Turn:
        """What says whose turn it is to write."""
        return FileTurn(self._database.path) if self._database.is_sqlite else LeaseTurn(self._store, lease)

    def identify(self, cluster: str) -> None:
        """See `keeper.Part`."""
        self._reader.identity = cluster

    async def work(self) -> None:
        """Archive until cancelled."""
        await self._archiver.run()

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()
