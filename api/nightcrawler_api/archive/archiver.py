"""Writes to the archive: executions that have ended, the workflows and revisions that they belong to.

One replica does so at a time. It works on what is to be done (`backlog`), in batches, each a transaction;
only after that it notes on the executions that they are archived, so that the operator may prune them. Killed
between the two, or anywhere else, it or another one does the same again, which changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from nightcrawler_api.archive import rows, writing
from nightcrawler_api.archive.backlog import Backlog
from nightcrawler_api.archive.contract import ArchivedRevision
from nightcrawler_api.archive.database import Database, NotStorable
from nightcrawler_api.archive.reader import ArchiveReader
from nightcrawler_api.archive.writing import EndedRun, Place
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keeping.notes import ARCHIVE, Notes
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import owner_of
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError, Forbidden, NotFound
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import REVISIONS

log = logging.getLogger(__name__)

_BATCH: Final = 100
_AT_ONCE: Final = 16
_COALESCE_SECONDS: Final = 0.2
_BACKOFF_FIRST: Final = 0.5
_BACKOFF_MOST: Final = 15.0
_LOOK_SECONDS: Final = 300.0
"""How often the whole cache is looked at, in case the archive lost something."""
_RETENTION_SECONDS: Final = 3600.0
_MOST_ORDERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept, in seconds from the end of the run, and how many at most."""

    seconds: float
    runs: int


class Archiver:
    """The one that writes; `run` it while this process is that.

    Attributes:
        problem: What keeps it from writing, as a sentence; empty if nothing does.
        written: How many executions it has archived.
        removed: How many rows it has removed, as too old or too many.
    """

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        database: Database,
        reader: ArchiveReader,
        notes: Notes,
        retention: Retention,
    ) -> None:
        self.problem = ""
        self.written = 0
        self.removed = 0
        self.backlog = Backlog(cluster.index)
        self._store = store
        self._cluster = cluster
        self._database = database
        self._reader = reader
        self._notes = notes
        self._retention = retention
        self._orders: OrderedDict[Key, tuple[str, ...]] = OrderedDict()
        """The steps of revisions that are archived, by the namespaces and names of those."""
        self._looked_at = -_LOOK_SECONDS
        self._retained_at = -_RETENTION_SECONDS

    async def run(self) -> None:
        """Archive until cancelled."""
        await self._cluster.wait_for_sync()
        self._looked_at = -_LOOK_SECONDS
        unsubscribe = self._cluster.changes.subscribe(self.backlog.follow)
        backoff = _BACKOFF_FIRST
        try:
            while True:
                try:
                    await self._catch_up()
                except (HistoryUnavailable, ApiError) as error:
                    self._report(str(error))
                    await asyncio.sleep(backoff)
                    backoff = min(2 * backoff, _BACKOFF_MOST)
                else:
                    self._report("")
                    backoff = _BACKOFF_FIRST
                    await self._wait()
        finally:
            unsubscribe()

    async def _wait(self) -> None:
        """Until there is something to do; what comes together is one batch."""
        due = min(self._looked_at + _LOOK_SECONDS, self._retained_at + _RETENTION_SECONDS)
        try:
            async with asyncio.timeout(max(due - time.monotonic(), 0)):
                await self.backlog.news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_COALESCE_SECONDS)

    async def _catch_up(self) -> None:
        if not self._reader.identity:
            raise HistoryUnavailable("the facade has not read the UID of the cluster yet")
        if time.monotonic() >= self._looked_at + _LOOK_SECONDS:
            await self._look_at_all()
        self.backlog.news.clear()
        await self._write_workflows()
        # That the facade lacks rights in one namespace holds up no other.
        denied: dict[str, Forbidden] = {}
        while batch := self.backlog.some_runs(_BATCH, denied):
            namespace = batch[0].metadata.namespace
            try:
                await self._archive(self._place(namespace), batch)
            except Forbidden as error:
                denied[namespace] = error
        if time.monotonic() >= self._retained_at + _RETENTION_SECONDS:
            await self._remove()
            self._retained_at = time.monotonic()
        for denial in denied.values():
            raise denial

    def _place(self, namespace: str) -> Place:
        return Place(self._reader.identity, namespace)

    async def _places(self) -> list[Place]:
        """The served namespaces that have rows in the archive."""
        return [self._place(namespace) for namespace in sorted(await self._reader.namespaces())]

    async def _look_at_all(self) -> None:
        """Compare the cache with the archive, which may have been replaced by an earlier state of it."""
        unread, places = self._cluster.unread, await self._places()

        def known(connection: Connection) -> dict[str, dict[str, int]]:
            # What is in a namespace that cannot be read may well be there.
            there = [place for place in places if place.namespace not in unread]
            return {place.namespace: writing.known_workflows(connection, place) for place in there}

        found = await self._database.read(known)
        self._orders.clear()
        self.backlog.look_at_all(found)
        self._looked_at = time.monotonic()

    # --- what is written -----------------------------------------------------------------------------

    async def _write_workflows(self) -> None:
        while changed := self.backlog.some_workflows(_BATCH):
            place = self._place(changed[0].metadata.namespace)
            await self._database.write(
                lambda connection: writing.put_workflows(connection, place, changed)  # noqa: B023 - done before the next turn
            )
            self.backlog.workflows_done(changed)
        for namespace, uids in self.backlog.gone.items():
            place, now = self._place(namespace), clock.utcnow()
            await self._database.write(
                lambda connection: writing.mark_workflows_deleted(connection, place, uids, now)  # noqa: B023 - as above
            )
            self.backlog.gone_done(uids)

    async def _archive(self, place: Place, batch: Sequence[ExecutionView]) -> None:
        """Write some executions of a namespace, then note it on them."""
        now = clock.utcnow()
        ended = [view if view.status.has_ended else rows.cut_short(view, now) for view in batch]
        used = await self._revisions_of(ended)
        runs = [EndedRun(view, self._order_of(view, used)) for view in ended]
        refused: set[str] = set()
        try:
            self.written += await self._write(place, runs, used)
        except NotStorable:
            refused = await self._write_one_by_one(place, runs, used)
        for name, revision in used.items():
            self._remember_order((place.namespace, name), _steps_of(revision))
        await self._reader.refresh()
        await self._note([view for view in batch if view.metadata.uid not in refused])

    async def _write(self, place: Place, runs: Sequence[EndedRun], used: dict[str, ArchivedRevision]) -> int:
        now = clock.utcnow()
        return await self._database.write(
            lambda connection: writing.add_runs(connection, place, runs, used.values(), now)
        )

    async def _write_one_by_one(
        self, place: Place, runs: Sequence[EndedRun], used: dict[str, ArchivedRevision]
    ) -> set[str]:
        """Write each of a batch that the database did not take; returns the UIDs of those that it refuses."""
        refused: set[str] = set()
        for run in runs:
            needed = {name: one for name, one in used.items() if name == run.view.status.revision}
            try:
                self.written += await self._write(place, [run], needed)
            except NotStorable as error:
                meta = run.view.metadata
                about = {"namespace": meta.namespace, "execution": meta.name}
                log.error("an execution cannot be archived: %s", error, extra=about)  # noqa: TRY400 - says it all
                self.backlog.refuse(meta.uid)
                refused.add(meta.uid)
        return refused

    async def _note(self, batch: Sequence[ExecutionView]) -> None:
        """Note on executions that they are archived, if they wait for it."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def note(view: ExecutionView) -> None:
            async with turns:
                await self._notes.note(view, ARCHIVE)
                self.backlog.done([view.metadata.uid])

        try:
            async with asyncio.TaskGroup() as tasks:
                for view in batch:
                    tasks.create_task(note(view))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    # --- revisions -----------------------------------------------------------------------------------

    async def _revisions_of(self, ended: Sequence[ExecutionView]) -> dict[str, ArchivedRevision]:
        """The revisions that these used and that are not known to be archived."""
        wanted = {
            view.status.revision: view
            for view in ended
            if view.status.revision and (view.metadata.namespace, view.status.revision) not in self._orders
        }
        turns = asyncio.Semaphore(_AT_ONCE)
        found: dict[str, ArchivedRevision] = {}

        async def read(name: str, view: ExecutionView) -> None:
            async with turns:
                try:
                    read = await self._store.get(REVISIONS, view.metadata.namespace, name, RevisionView)
                except NotFound:
                    return  # others delete them too
                found[name] = ArchivedRevision(
                    name, owner_of(view) or "", read.revision, read.metadata.creation_timestamp, read.data
                )

        try:
            async with asyncio.TaskGroup() as tasks:
                for name, view in wanted.items():
                    tasks.create_task(read(name, view))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return found

    def _order_of(self, view: ExecutionView, used: dict[str, ArchivedRevision]) -> tuple[str, ...]:
        """The names of a run's steps in the order of what it ran, else of its workflow as it is."""
        name, namespace = view.status.revision or "", view.metadata.namespace
        if name in used:
            return _steps_of(used[name])
        if (namespace, name) in self._orders:
            return self._orders[namespace, name]
        entry = self._cluster.index.workflow((namespace, view.spec.workflow_ref.name))
        return tuple(step["name"] for step in entry.view.spec.get("steps") or ()) if entry else ()

    def _remember_order(self, revision: Key, order: tuple[str, ...]) -> None:
        self._orders[revision] = order
        if len(self._orders) > _MOST_ORDERS:
            self._orders.popitem(last=False)

    # --- retention -----------------------------------------------------------------------------------

    async def _remove(self) -> None:
        """Remove rows that are too old, or too many, but not of executions that the cluster still has."""
        places = await self._places()
        before = clock.utcnow() - timedelta(seconds=self._retention.seconds)
        beyond = await self._database.read(
            lambda connection: writing.end_of_the_newest_beyond(connection, places, self._retention.runs)
        )
        if beyond is not None:
            before = max(before, rows.moment(beyond + 1))
        keep = {run.view.metadata.uid for run in self._cluster.index.runs}
        removed = 0
        for place in places:
            removed += await self._remove_before(place, before, keep)
            await self._database.write(lambda connection: writing.remove_unused(connection, place))  # noqa: B023 - done before the next turn
        if removed:
            self.removed += removed
            log.info("removed %d executions from the archive: too old, or too many", removed)
        self._orders.clear()  # revisions are among what it removes

    async def _remove_before(self, place: Place, before: datetime, keep: Collection[str]) -> int:
        """Remove the executions of a namespace that ended before a time; returns how many."""
        after: tuple[int, int] | None = (0, 0)
        removed = 0
        while after is not None:
            start = after
            done = await self._database.write(
                lambda connection: writing.remove_runs(connection, place, before, start, keep)  # noqa: B023 - done before the next turn
            )
            removed, after = removed + done.removed, done.after
        return removed

    def _report(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("the archive cannot be written: %s", problem)
        elif self.problem and not problem:
            log.info("the archive can be written again")
        self.problem = problem


def _steps_of(revision: ArchivedRevision) -> tuple[str, ...]:
    steps = revision.data.get("steps") or ()
    return tuple(step["name"] for step in steps if isinstance(step, dict) and "name" in step)
