"""The audit records of one facade in the database, and those of what others have changed.

Each facade writes the records of its own requests. One at a time also looks at what has changed in the
cluster and has no record: that was somebody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import msgspec

from nightcrawler_api.archive import recordrows
from nightcrawler_api.archive.database import Database, NotStorable
from nightcrawler_api.archive.reader import NOT_YET
from nightcrawler_api.archive.writing import Place
from nightcrawler_api.audit import others
from nightcrawler_api.audit.contract import Recorded, RecordQuery
from nightcrawler_api.audit.others import Others
from nightcrawler_api.audit.record import CANCELLED, DELETED, Origin, Record
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import ANNOTATION_CANCELLED_BY, EXECUTIONS, SCHEDULE_EXECUTOR

log = logging.getLogger(__name__)

_BATCH: Final = 200
_BACKOFF_FIRST: Final = 0.5
_BACKOFF_MOST: Final = 15.0
_PAUSE_SECONDS: Final = 1.0
_RETENTION_SECONDS: Final = 3600.0


class _Annotations(msgspec.Struct, frozen=True):
    cancelled_by: str = msgspec.field(default="", name=ANNOTATION_CANCELLED_BY)


class _Meta(msgspec.Struct, frozen=True):
    annotations: _Annotations = _Annotations()


class _Cancelled(msgspec.Struct, frozen=True):
    """An execution as far as it says who has cancelled it."""

    metadata: _Meta


class SqlRecords:
    """Audit records in a SQL database (`audit.contract.Records`, `keeper.Part`).

    Args:
        store: The API server, for what the cache does not have.
        cluster: The cached state of the cluster.
        database: Where they are kept; its creator closes it.
        keep_seconds: For how long.
        write_line: Writes the line of a record of others.
    """

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        database: Database,
        keep_seconds: float,
        write_line: Callable[[Record], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._database = database
        self._keep = timedelta(seconds=keep_seconds)
        self._write_line = write_line
        self._uid = ""
        self._others = Others()
        self._said: set[Any] = set()
        """The marks of records whose line is written, and whose row is not yet."""
        self._looked_at: set[str] = set()
        """The namespaces in which all that was there before is known."""
        self._retained_at = -_RETENTION_SECONDS
        self._problem = ""

    # --- records of requests -------------------------------------------------------------------------

    async def add(self, records: Sequence[Record]) -> int:
        """See `Records`."""
        try:
            await self._add(records)
        except (NotStorable, ValueError, OverflowError) as error:  # the last two are of the driver
            if len(records) == 1:
                log.error("an audit record has no row: %s", error)  # noqa: TRY400 - says it all
                return 1
            return sum([await self.add([record]) for record in records])
        return 0

    async def page(self, query: RecordQuery, most: int) -> Sequence[Recorded]:
        """See `Records`."""
        uid = self._identity()
        return await self._database.read(lambda connection: recordrows.page(connection, uid, query, most))

    async def _add(self, records: Sequence[Record]) -> None:
        uid, home = self._identity(), self._cluster.namespace
        await self._database.write(lambda connection: recordrows.add(connection, uid, home, records))

    def _identity(self) -> str:
        if not self._uid:
            raise HistoryUnavailable(NOT_YET)
        return self._uid

    # --- what others have changed --------------------------------------------------------------------

    def identify(self, cluster: str) -> None:
        """See `keeper.Part`."""
        self._uid = cluster

    async def work(self) -> None:
        """Record what others have changed, until cancelled."""
        await self._cluster.wait_for_sync()
        unsubscribe = self._cluster.changes.subscribe(self._follow)
        backoff, looked = _BACKOFF_FIRST, False
        try:
            while True:
                try:
                    if not looked or self._others.overflown:
                        self._others.overflown = False
                        await self._look_at_all()
                        looked = True
                    await self._catch_up()
                    self._report("")
                    backoff = _BACKOFF_FIRST
                    await self._wait()
                except HistoryUnavailable as error:
                    self._report(str(error))
                    await asyncio.sleep(backoff)
                    backoff = min(2 * backoff, _BACKOFF_MOST)
        finally:
            unsubscribe()

    async def close(self) -> None:
        """See `keeper.Part`; the database is closed by the archive."""

    def _follow(self, change: Change[Any]) -> None:
        self._others.follow(change, time.monotonic(), clock.utcnow())

    async def _wait(self) -> None:
        self._others.news.clear()
        now = time.monotonic()
        due = max(self._retained_at + _RETENTION_SECONDS - now, 0.0)
        if (first := self._others.seconds_to_wait(now)) is not None:
            # What follows within the pause is looked up together.
            await asyncio.sleep(min(max(first, _PAUSE_SECONDS), due + _PAUSE_SECONDS))
            return
        try:
            async with asyncio.timeout(due):
                await self._others.news.wait()
        except TimeoutError:
            return

    async def _places(self) -> list[str]:
        """The namespaces to observe: served, readable, and with workflows or records."""
        cluster = self._identity()
        kept = await self._database.read(lambda connection: recordrows.places(connection, cluster))
        there = {one.namespace for one in self._cluster.index.protections}
        known = {self._cluster.namespace, *(self._cluster.others or ()), *there, *kept}
        return sorted(place for place in known - set(self._cluster.unread) if self._cluster.serves(place))

    async def _look_at_all(self) -> None:
        for namespace in await self._places():
            await self._look_at(namespace)

    async def _look_at(self, namespace: str) -> None:
        """Record what has changed since the last observation; at the very first, record nothing."""
        place, now = Place(self._identity(), namespace), clock.utcnow()
        found = list(others.present(self._cluster.index, namespace, now))
        if not await self._database.read(lambda connection: recordrows.has_begun(connection, place)):
            marks = [mark for record in found for mark in record.marks]
            await self._database.write(lambda connection: recordrows.begin(connection, place, marks))
            self._looked_at.add(namespace)
            return
        known = await self._database.read(
            lambda connection: recordrows.workflows_not_deleted(connection, place)
        )
        uids = {entry.view.metadata.uid for entry in self._cluster.index.workflows()}
        found += others.gone(known, uids, namespace, now)
        self._others.add(found, time.monotonic())
        self._looked_at.add(namespace)

    async def _catch_up(self) -> None:
        while due := self._others.due(time.monotonic(), _BATCH):
            for namespace in {record.subject.namespace for record in due}:
                own = [record for record in due if record.subject.namespace == namespace]
                if namespace in self._cluster.unread:
                    self._others.add(own, time.monotonic())  # until all is read that was there before
                    continue
                # Where all are served, a namespace that nobody has looked at is new.
                if namespace not in self._looked_at and self._cluster.others is not None:
                    await self._look_at(namespace)
                await self._settle(namespace, own)
        if time.monotonic() >= self._retained_at + _RETENTION_SECONDS:
            for namespace in await self._places():
                await self._remove(Place(self._identity(), namespace))
            self._retained_at = time.monotonic()

    async def _settle(self, namespace: str, due: list[Record]) -> None:
        """Record those changes of a namespace that have no record."""
        place = Place(self._identity(), namespace)

        def look(connection: Any) -> list[Record]:
            return recordrows.unrecorded(connection, place, due)

        unrecorded = [record for record in await self._database.read(look) if self._counts(record)]
        missing = [await self._attributed(record) for record in unrecorded]
        for record in missing:
            if record.marks not in self._said:
                self._said.add(record.marks)
                self._write_line(record)
        if missing:
            await self.add(missing)
        self._said.difference_update(record.marks for record in missing)
        self._others.done(due)

    def _counts(self, record: Record) -> bool:
        """Whether a change counts that has no record: not that a run is gone with its workflow."""
        if record.subject.kind != EXECUTIONS.kind or record.marks[0].change != DELETED:
            return True
        workflow = self._cluster.index.workflow((record.subject.namespace, record.subject.workflow))
        return workflow is not None

    async def _attributed(self, record: Record) -> Record:
        """A record with the schedule as its caller, if that has cancelled a run to start the next one."""
        subject = record.subject
        if record.marks[0].change != CANCELLED:
            return record
        try:
            found = await self._store.get(EXECUTIONS, subject.namespace, subject.name, _Cancelled)
        except ApiError:
            return record  # it is gone, or the API server is away
        if found.metadata.annotations.cancelled_by != SCHEDULE_EXECUTOR:
            return record
        return replace(record, caller=SCHEDULE_EXECUTOR, origin=Origin.SCHEDULE)

    async def _remove(self, place: Place) -> None:
        before = clock.utcnow() - self._keep
        present = {entry.view.metadata.uid for entry in self._cluster.index.workflows()}
        present |= {run.view.metadata.uid for run in self._cluster.index.runs}

        def remove(connection: Any) -> int:
            return recordrows.remove(connection, place, before, present)

        removed = await self._database.write(remove)
        while removed:
            removed = await self._database.write(remove)

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("what others change is not recorded: %s", problem)
        self._problem = problem
