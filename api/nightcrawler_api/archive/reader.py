"""Reads the archive, and knows which of the cached executions are in it.

Every ended run has a row once it is archived, also while the cluster still has it. So a list is the cached
executions without a row, and the rows. The two fit together because each transaction, which reads one state
of the archive, also reads which executions are new in it since the last one; the cache can be ahead of the
archive, and the archive of the cache.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection

from nightcrawler_api.archive import lists, reading, rows
from nightcrawler_api.archive.contract import (
    ArchivedExecution,
    ArchivedPage,
    ArchivedRevision,
    ArchivedRevisions,
    ArchivedRun,
    Figures,
    id_of,
    split_alias,
)
from nightcrawler_api.archive.counts import Counts
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.lists import Owners, Shown, Wanted
from nightcrawler_api.archive.places import Places
from nightcrawler_api.archive.recent import RecentPages
from nightcrawler_api.archive.state import Known, State
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.ordering import NEWEST_FIRST
from nightcrawler_api.state.protection import Protection
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds import clock
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

log = logging.getLogger(__name__)

T = TypeVar("T")

_Alike = tuple[ExecutionQuery, str | None, bytes]
"""A query, the Workflow whose runs are listed, and a digest of those whose runs are seen."""
_Owner = tuple[str, str]
"""Namespace and UID of a workflow."""
_TRIES: Final = 3
NOT_YET: Final = "the archive cannot be read yet: the facade has not read the UID of the cluster"


class ArchiveReader:
    """The archive as the services read it (`contract.History`).

    Attributes:
        identity: The UID of the cluster, whose rows are read; empty until it is known.
    """

    def __init__(self, database: Database, cluster: ClusterCache) -> None:
        self.identity = ""
        self._database = database
        self._cluster = cluster
        self._state: State | None = None
        """The state that was read last; None at first, and when nothing that was known holds any more."""
        self._unverified: dict[str, str] = {}
        """Namespaces of executions that were cached since the last transaction, by UID."""
        self._counts = Counts()
        self._recent = RecentPages()
        self._places = Places()
        self._writes = 0
        self._nobodys: dict[str, Protection] = {}
        """The protections of archived executions whose workflow is gone, by namespace."""
        cluster.index.runs.keep_rowless()
        self._know(() if cluster.served.names is None else cluster.served.names)
        cluster.changes.subscribe(self._follow)

    async def refresh(self) -> None:
        """Learn what has been archived since."""
        await self._ask(lambda _connection, _state: None)

    async def namespaces(self) -> Collection[str]:
        """The namespaces that are served, as far as something is archived of them."""
        _, state = await self._ask(lambda _connection, _state: None)
        return state.keys.keys()

    async def page(self, query: ExecutionQuery, owner: str | None, *, skip: int, most: int) -> ArchivedPage:
        """See `History`."""
        owners = self._owners(query)
        alike: _Alike = (replace(query, seen=None), owner, _digest(owners))
        key = (alike, skip, most)
        if (page := self._recent_page(key)) is None:
            page, state = await self._read_page(alike, owners, skip, most)
            if not query.tags:  # the tags of workflows change
                self._recent.put(state, key, page)
        return page

    def _recent_page(self, key: Hashable) -> ArchivedPage | None:
        if self._writes != self._database.writes:
            self._writes = self._database.writes
            self._recent.end()
        return self._recent.get(key)

    async def _read_page(
        self, alike: _Alike, owners: Owners | None, skip: int, most: int
    ) -> tuple[ArchivedPage, State]:
        query, owner, digest = alike
        list_, begin = (replace(query, ordering=NEWEST_FIRST, begin=None), owner, digest), query.begin
        near = self._places.near(alike, skip) if skip else None
        now = rows.micros(clock.utcnow())
        wanted = Wanted(query, owner, owners, skip, most, near, self._counts.of(list_), now)
        found = await self._read_in_last_state(wanted)
        if found is None:
            found = await self._ask(lambda connection, state: lists.read(connection, state, wanted))
        (page, place), state = found
        if owner is None:  # else the caller has the workflow
            await self._add_names(page.rows, state)
        if not query.tags:
            if place is not None:
                self._places.add(alike, place, state)
            self._counts.remember(list_, None if begin is None else rows.micros_of(begin), state, page.total)
        return page, state

    async def _read_in_last_state(self, wanted: Wanted) -> tuple[Shown, State] | None:
        """A page by one statement; None if the archive is not in the state any more that was read last."""
        state, ends, near = self._state, self._recent.ends, wanted.near
        if state is None or self._unverified or not (near is None or near.is_of(state)):
            return None
        scopes = lists.scopes_of(state, wanted.query, wanted.owners)
        if len(scopes) != 1:
            return None
        found = await self._database.read(lists.of_one(scopes[0], state, wanted, near).read, alone=True)
        if not found.is_in(state):
            return None
        self._recent.begin(state, ends)
        return lists.shown(found, state, wanted), state

    async def _add_names(self, runs: Iterable[ArchivedRun], state: State) -> None:
        """Add the last known names of the workflows that the cluster does not have."""
        names: dict[_Owner, str] = {}
        asked: set[_Owner] = set()
        # Others may be deleted while the database is asked.
        while missing := self._gone(runs) - asked:
            asked |= missing
            names |= await self._database.read(partial(reading.names_by_uid, keys=state.keys, owners=missing))
        if names:
            for run in runs:
                run.workflow_name = names.get(_owner_of(run))

    def _gone(self, runs: Iterable[ArchivedRun]) -> set[_Owner]:
        """The owners of archived runs that the cluster does not have."""
        return {
            _owner_of(run)
            for run in runs
            if (uid := run.row.workflow_uid)
            and not self._has_workflow((run.row.namespace, run.row.workflow), uid)
        }

    def _has_workflow(self, key: Key, uid: str) -> bool:
        entry = self._cluster.index.workflow(key)
        return entry is not None and entry.view.metadata.uid == uid

    async def figures(self, query: ExecutionQuery) -> tuple[Sequence[Figures], int]:
        """See `History`."""
        owners = self._owners(query)

        def ask(connection: Connection, state: State) -> list[Figures]:
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
                    scope.namespace,
                )
                for scope in lists.scopes_of(state, query, owners)
                for status, of, began, took, wait, environment, executor, cost, currency in reading.figures(
                    connection, scope.where, scope.query
                )
            ]

        found, state = await self._ask(ask)
        return found, state.upto

    async def workflow_names(self, workflows: Sequence[Key]) -> Mapping[Key, str]:
        """See `History`."""

        def ask(connection: Connection, state: State) -> dict[Key, str]:
            found: dict[Key, str] = {}
            for namespace in {place for place, _ in workflows} & state.keys.keys():
                names = [name for place, name in workflows if place == namespace]
                known = reading.workflow_names(connection, state.keys[namespace], names)
                found.update(((namespace, name), called) for name, called in known.items())
            return found

        found, _ = await self._ask(ask)
        return found

    async def execution(self, namespace: str, identifier: str, owner: str | None) -> ArchivedExecution | None:
        """See `History`."""
        name, uid = split_alias(identifier)

        def ask(connection: Connection, state: State) -> ArchivedExecution | None:
            found = reading.execution(connection, state.keys.get(namespace), name, uid, owner)
            if found is None:
                return None
            row, steps = found
            view = rows.whole(row.document, steps)
            order = tuple(step.name for step in steps)
            cached = self._cluster.index.runs.get(namespace, row.name)
            id_ = id_of(row.name, row.uid, superseded=row.superseded, cached=cached)
            return ArchivedExecution(view, id_, row.workflow_uid or "", row.display_name, order)

        found, _ = await self._ask(ask)
        return found

    async def revision(self, namespace: str, name: str) -> ArchivedRevision | None:
        """See `History`."""

        def ask(connection: Connection, state: State) -> ArchivedRevision | None:
            found = reading.revision(connection, state.keys.get(namespace), name)
            return None if found is None else rows.revision(found, msgspec.json.decode(found.data))

        found, _ = await self._ask(ask)
        return found

    async def revisions(self, namespace: str, owner: str) -> ArchivedRevisions:
        """See `History`."""

        def ask(connection: Connection, state: State) -> ArchivedRevisions:
            found, uses = reading.revisions_of(connection, state.keys.get(namespace), owner)
            return ArchivedRevisions([rows.revision(one) for one in found], uses, state.upto)

        found, _ = await self._ask(ask)
        return found

    # --- one transaction ---------------------------------------------------------------------------

    async def _ask(self, ask: Callable[[Connection, State], T]) -> tuple[T, State]:
        identity, served = self.identity, self._cluster.served
        if not identity:
            raise HistoryUnavailable(NOT_YET)
        for _ in range(_TRIES):
            unverified = dict(self._unverified)
            last = self._state
            known = Known(last.name, last.upto, unverified) if last else Known(unverified=unverified)

            def work(connection: Connection, known: Known = known) -> tuple[State, Any]:
                state = reading.state_of(connection, identity, served, known)
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
        for key, namespace, uid, name in state.archived:
            run = self._cluster.index.runs.run(namespace, name)
            if run is not None and run.view.metadata.uid == uid:
                self._cluster.index.runs.has_row(run, key)
        # Of two transactions at the same time, the one that ends first may have seen more.
        last = self._state
        if last is None or last.name != state.name or last.upto <= state.upto:
            self._state = replace(state, archived=())
        self._know(state.keys)

    def _know(self, namespaces: Collection[str]) -> None:
        """Have the protections of what is nobody's there any more, so that it is known who sees that."""
        for namespace in set(namespaces) - self._nobodys.keys():
            self._nobodys[namespace] = self._cluster.index.protections.of_orphans(namespace)

    def _start_over(self) -> None:
        self._state = None
        self._counts.clear()
        self._cluster.index.runs.forget_rows()
        for run in self._cluster.index.runs:
            self._unverified[run.view.metadata.uid] = run.view.metadata.namespace

    def _follow(self, change: Change[Any]) -> None:
        """Note an execution that is cached for the first time, and forget one that is not any more."""
        if change.kind == WORKFLOWS.plural and change.old is not None:
            known = change.old.metadata
            if not self._has_workflow(known.key, known.uid):
                self._recent.drop()  # it had no name in the pages that were read before
        if change.kind != EXECUTIONS.plural:
            return
        if change.old is None and change.new is not None:
            self._unverified[change.new.metadata.uid] = change.new.metadata.namespace
            if change.new.status.has_ended:
                self._recent.end()  # it may be archived already
        elif change.old is not None and change.new is None:
            self._unverified.pop(change.old.metadata.uid, None)
            self._recent.end()

    def _owners(self, query: ExecutionQuery) -> Owners | None:
        """By namespace, the UIDs of the workflows whose archived executions are seen; None: all are.

        Of a workflow that is gone, nobody knows who might have seen it: its executions are of those who see
        what is nobody's in that namespace, and they see everything there.
        """
        seen = query.seen
        if seen is None:
            return None
        found: dict[str, set[str]] = {}
        for entry in self._cluster.index.workflows():
            if entry.protection in seen:
                meta = entry.view.metadata
                found.setdefault(meta.namespace, set()).add(meta.uid)
        everything = {place: None for place, nobodys in self._nobodys.items() if nobodys in seen}
        return {**{place: frozenset(uids) for place, uids in found.items()}, **everything}


def _owner_of(run: ArchivedRun) -> _Owner:
    return run.row.namespace, run.row.workflow_uid or ""


def _digest(owners: Owners | None) -> bytes:
    """Stands for some workflows in a key: a set of thousands would be kept with each."""
    if owners is None:
        return b""
    lines = [
        ":".join((place, "*" if uids is None else ",".join(sorted(uids)))) for place, uids in owners.items()
    ]
    return hashlib.blake2b("\n".join(sorted(lines)).encode(), digest_size=16).digest()
