"""Reads the archive, and knows which of the cached executions are in it.

Every ended run has a row once it is archived, also while the cluster still has it. So a list is the cached
executions without a row, and the rows. The two fit together because each transaction, which reads one state
of the archive, also reads which executions are new in it since the last one; the cache can be ahead of the
archive, and the archive of the cache.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection

from nightcrawler_api.archive import reading, rows
from nightcrawler_api.archive.contract import (
    ArchivedExecution,
    ArchivedPage,
    ArchivedRevision,
    ArchivedRevisions,
    ArchivedRun,
    Figures,
    alias,
    split_alias,
)
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.reading import AnyRow, Known, State
from nightcrawler_api.archive.recent import Page, RecentPages
from nightcrawler_api.archive.rows import ListedRow
from nightcrawler_api.archive.writing import Place
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.ordering import NEWEST_FIRST
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.names import EXECUTIONS

log = logging.getLogger(__name__)

T = TypeVar("T")

_Alike = tuple[ExecutionQuery, str | None, bytes]
"""A query, the Workflow whose runs are listed, and a digest of those whose runs are seen."""
_MOST_COUNTS: Final = 500
_TRIES: Final = 3
NOT_YET: Final = "the archive cannot be read yet: the facade has not read the UID of the cluster"


class ArchiveReader:
    """The archive as the services read it (`contract.History`).

    Attributes:
        place: Whose rows are read; None until the cluster's UID is known.
    """

    def __init__(self, database: Database, cluster: ClusterCache) -> None:
        self.place: Place | None = None
        self._database = database
        self._cluster = cluster
        self._name = ""
        self._upto = 0
        self._unverified: dict[str, str] = {}
        """Names of executions that were cached since the last transaction, by UID."""
        self._counts: OrderedDict[_Alike, _Count] = OrderedDict()
        self._recent = RecentPages()
        self._writes = 0
        cluster.changes.subscribe(self._follow)

    async def refresh(self) -> None:
        """Learn what has been archived since."""
        await self._ask(lambda _connection, _state: None)

    async def page(self, query: ExecutionQuery, owner: str | None, *, skip: int, most: int) -> ArchivedPage:
        """See `History`."""
        query = self._owned(query)
        alike: _Alike = (replace(query, seen=None, owners=None), owner, _digest(query.owners))
        key = (alike, skip, most)
        if (page := self._recent_page(key)) is None:
            page, state = await self._read_page(alike, query, skip, most)
            if not query.tags:  # the tags of workflows change
                self._recent.put(state, key, page)
        return ArchivedPage(self._listed(page.rows), page.total, page.upto)

    def _recent_page(self, key: Hashable) -> Page | None:
        if self._writes != self._database.writes:
            self._writes = self._database.writes
            self._recent.end()
        return self._recent.get(key)

    async def _read_page(
        self, alike: _Alike, query: ExecutionQuery, skip: int, most: int
    ) -> tuple[Page, State]:
        owner = alike[1]
        key: _Alike = (replace(alike[0], ordering=NEWEST_FIRST), owner, alike[2])
        counted = self._counts.get(key)

        def ask(connection: Connection, state: State) -> Page:
            if counted is None or counted.removals != state.removals or counted.upto > state.upto:
                total = reading.count(connection, state.where, query, owner)
            else:
                total = counted.count
                if state.upto > counted.upto:
                    total += reading.count(connection, state.where, query, owner, above=counted.upto)
            found = reading.page(connection, state.where, query, owner, skip=skip, most=most, total=total)
            return Page(found, total, state.upto)

        page, state = await self._ask(ask)
        if not query.tags:
            self._remember(key, _Count(state.removals, state.upto, page.total))
        return page, state

    async def figures(self, query: ExecutionQuery) -> tuple[Sequence[Figures], int]:
        """See `History`."""
        query = self._owned(query)

        def ask(connection: Connection, state: State) -> list[Figures]:
            found = reading.figures(connection, state.where, query)
            # Unpacked: attributes of rows take three times as long.
            return [
                Figures(
                    status,
                    of,
                    began / 1e6,
                    took / 1e6,
                    None if wait is None else wait / 1e6,
                    environment,
                    executor,
                    cost,
                    currency,
                    self._cluster.namespace,
                )
                for status, of, began, took, wait, environment, executor, cost, currency in found
            ]

        found, state = await self._ask(ask)
        return found, state.upto

    async def workflow_names(self, workflows: Sequence[str]) -> Mapping[str, str]:
        """See `History`."""

        def ask(connection: Connection, state: State) -> dict[str, str]:
            return reading.workflow_names(connection, state.where, workflows)

        found, _ = await self._ask(ask)
        return found

    async def execution(self, identifier: str, owner: str | None) -> ArchivedExecution | None:
        """See `History`."""
        name, uid = split_alias(identifier)

        def ask(connection: Connection, state: State) -> ArchivedExecution | None:
            found = reading.execution(connection, state.where, name, uid, owner)
            if found is None:
                return None
            row, steps = found
            view = rows.whole(row.document, steps)
            order = tuple(step.name for step in steps)
            return ArchivedExecution(view, self._id(row), row.workflow_uid or "", row.display_name, order)

        found, _ = await self._ask(ask)
        return found

    async def revision(self, name: str) -> ArchivedRevision | None:
        """See `History`."""

        def ask(connection: Connection, state: State) -> ArchivedRevision | None:
            found = reading.revision(connection, state.where, name)
            return None if found is None else rows.revision(found, msgspec.json.decode(found.data))

        found, _ = await self._ask(ask)
        return found

    async def revisions(self, owner: str) -> ArchivedRevisions:
        """See `History`."""

        def ask(connection: Connection, state: State) -> ArchivedRevisions:
            found, uses = reading.revisions_of(connection, state.where, owner)
            return ArchivedRevisions([rows.revision(one) for one in found], uses, state.upto)

        found, _ = await self._ask(ask)
        return found

    # --- one transaction ---------------------------------------------------------------------------

    async def _ask(self, ask: Callable[[Connection, State], T]) -> tuple[T, State]:
        place = self.place
        if place is None:
            raise HistoryUnavailable(NOT_YET)
        for _ in range(_TRIES):
            unverified = dict(self._unverified)
            known = Known(self._name, self._upto, tuple(unverified))

            def work(connection: Connection, known: Known = known) -> tuple[State, Any]:
                state = reading.state_of(connection, place, known)
                return state, None if state.starts_over else ask(connection, state)

            ends = self._recent.ends
            state, found = await self._database.read(work)
            if not state.starts_over:
                self._learn(state, unverified)
                self._recent.begin(state, ends)
                return found, state
            log.warning("the archive is another database than before, or an earlier state of it")
            self._start_over()
        raise HistoryUnavailable("the archive's database keeps being replaced; try again later")

    def _learn(self, state: State, unverified: Mapping[str, str]) -> None:
        for uid in unverified:
            self._unverified.pop(uid, None)
        for key, uid, name in state.archived:
            run = self._cluster.index.runs.run(self._cluster.namespace, name)
            if run is not None and run.view.metadata.uid == uid:
                run.archived = key
        # Of two transactions at the same time, the one that ends first may have seen more.
        if self._name != state.name:
            self._name, self._upto = state.name, state.upto
        self._upto = max(self._upto, state.upto)

    def _start_over(self) -> None:
        self._name, self._upto = "", 0
        self._counts.clear()
        for run in self._cluster.index.runs:
            run.archived = 0
            meta = run.view.metadata
            if meta.namespace == self._cluster.namespace:
                self._unverified[meta.uid] = meta.name

    def _follow(self, change: Change[Any]) -> None:
        """Note an execution that is cached for the first time, and forget one that is not any more."""
        if change.kind != EXECUTIONS.plural:
            return
        if change.old is None and change.new is not None:
            meta = change.new.metadata
            if meta.namespace == self._cluster.namespace:
                self._unverified[meta.uid] = meta.name
                if change.new.status.has_ended:
                    self._recent.end()  # it may be archived already
        elif change.old is not None and change.new is None:
            self._unverified.pop(change.old.metadata.uid, None)
            self._recent.end()

    def _remember(self, key: _Alike, counted: _Count) -> None:
        self._counts[key] = counted
        self._counts.move_to_end(key)
        if len(self._counts) > _MOST_COUNTS:
            self._counts.popitem(last=False)

    def _owned(self, query: ExecutionQuery) -> ExecutionQuery:
        """A query with the workflows whose runs are seen: of one that is gone, nobody knows who might."""
        seen, home = query.seen, self._cluster.namespace
        places = {query.namespace, query.workflow[0] if query.workflow else None}
        if not places <= {home, None}:
            return replace(query, owners=frozenset())  # of other namespaces nothing is archived
        if seen is None or query.owners is not None:
            return query
        owners = frozenset(
            entry.view.metadata.uid
            for entry in self._cluster.index.workflows()
            if entry.protection in seen and entry.view.metadata.namespace == home
        )
        return replace(query, owners=owners)

    # --- rows --------------------------------------------------------------------------------------

    def _listed(self, found: Sequence[ListedRow]) -> list[ArchivedRun]:
        namespace = self._cluster.namespace
        return [
            ArchivedRun(
                (row.created_at / 1e6, namespace, row.name),
                row.started_at / 1e6,
                row.ended_at / 1e6,
                partial(rows.listed, row, namespace),
                id_=self._id(row),
                workflow_uid=row.workflow_uid or "",
                workflow_name=row.display_name,
            )
            for row in found
        ]

    def _id(self, row: AnyRow | ListedRow) -> str:
        """Its name, unless a later execution has it, archived or not."""
        name: str = row.name
        cached = self._cluster.index.runs.get(self._cluster.namespace, name)
        if row.superseded or (cached is not None and cached.metadata.uid != row.uid):
            return alias(name, row.uid)
        return name


class _Count:
    """How many rows matched in one state of the archive."""

    __slots__ = ("count", "removals", "upto")

    def __init__(self, removals: int, upto: int, count: int) -> None:
        self.removals = removals
        self.upto = upto
        self.count = count


def _digest(owners: frozenset[str] | None) -> bytes:
    """Stands for some workflows in a key: a set of thousands would be kept with each."""
    if owners is None:
        return b""
    return hashlib.blake2b("\n".join(sorted(owners)).encode(), digest_size=16).digest()
