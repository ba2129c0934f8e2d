"""The cached state of the cluster: informers, the hub of their changes, the index.

Reads are served from here, also while the API server is unavailable. Responses to the facade's own writes
are cached at once, so that the next read sees them. An object that is not cached is requested once from
the API server before it is reported missing: another replica or kubectl may have just created it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from nightcrawler_api.state.hub import Hub
from nightcrawler_api.state.index import Index, WorkflowEntry
from nightcrawler_api.state.journal import Journal
from nightcrawler_api.state.reachability import Reachability
from nightcrawler_crds import names
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.cache import Cache, HasMeta
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, ProfileView, WorkflowView
from nightcrawler_crds.names import COMPUTE_PROFILES, ENVIRONMENTS, EXECUTIONS, WORKFLOWS, Resource
from nightcrawler_crds.namespaces import Namespaces
from nightcrawler_crds.settings import DNS_LABEL

log = logging.getLogger(__name__)

V = TypeVar("V", bound=HasMeta)

_ALL: Final = ""
_NAMESPACE: Final = re.compile(f"(?=.{{1,63}}$){DNS_LABEL}")
_ANY_VERSION: Final = 2**63
# Bookmarks come once a minute, and a watch without events for 100 s is restarted.
STALE_AFTER_SECONDS: Final = 150.0


class ClusterCache:
    """The workflows and executions of some namespaces or all, the cluster's Environments and profiles.

    Attributes:
        namespace: The home namespace, which has to be there.
        others: Further namespaces that are served; None: all.
        hidden: A namespace that is not served although all are.
        served: All that are.
    """

    def __init__(
        self, store: Store, namespace: str, others: Collection[str] | None = (), hidden: str | None = None
    ) -> None:
        self.namespace = namespace
        self.others = None if others is None else tuple(sorted({*others} - {namespace}))
        self.hidden = hidden
        self.served = Namespaces(None if others is None else frozenset((namespace, *others)), hidden)
        self.changes = Hub()
        """The index is its first follower, so that later ones find the index up to date."""
        self.index = Index()
        self.changes.subscribe(self.index.follow)
        self.reachability = Reachability(store, namespace)
        self._journal: Journal | None = None
        self._store = store

        def informer(resource: Resource, kind: type[V], namespace: str = "") -> Informer[V]:
            on_change = self.changes.publisher(resource.plural)
            selector = f"metadata.namespace!={hidden}" if hidden and resource.namespaced else ""
            return Informer(
                store, resource, kind, namespace=namespace, on_change=on_change, field_selector=selector
            )

        places = [_ALL] if self.others is None else [namespace, *self.others]
        self._workflows = {place: informer(WORKFLOWS, WorkflowView, place) for place in places}
        self._executions = {place: informer(EXECUTIONS, ExecutionView, place) for place in places}
        self._environments = informer(ENVIRONMENTS, EnvironmentView)
        self._profiles = informer(COMPUTE_PROFILES, ProfileView)

    def serves(self, namespace: str) -> bool:
        """Whether a namespace is served; what cannot be one, and must not get into a path, is none."""
        return namespace in self.served and _NAMESPACE.fullmatch(namespace) is not None

    def knows(self, namespace: str) -> bool:
        """Whether a namespace is served; where all are, only if there is something in it."""
        if self.others is not None or namespace == self.namespace:
            return self.serves(namespace)
        return self.serves(namespace) and any(one.namespace == namespace for one in self.index.protections)

    @property
    def journal(self) -> Journal:
        """What has changed lately; kept from the first use on, and after the index, which it is read with."""
        if self._journal is None:
            self._journal = Journal(self.index.protections)
            self.changes.subscribe(self._journal.follow)
        return self._journal

    @property
    def _informers(self) -> tuple[Informer[Any], ...]:
        workflows: Iterable[Informer[Any]] = self._workflows.values()
        executions: Iterable[Informer[Any]] = self._executions.values()
        return (*workflows, *executions, self._environments, self._profiles)

    @property
    def _needed(self) -> tuple[Informer[Any], ...]:
        """Those without which nothing can be served: a further namespace may be missing."""
        home = _ALL if self.others is None else self.namespace
        return (self._workflows[home], self._executions[home], self._environments, self._profiles)

    @property
    def unsynced(self) -> list[str]:
        """The kinds that have not been listed yet; of further namespaces, only those that may be soon."""
        needed = self._needed
        waiting = (
            informer.resource.plural
            for informer in self._informers
            if not informer.synced.is_set() and (informer in needed or not informer.failure)
        )
        return list(dict.fromkeys(waiting))

    @property
    def unread(self) -> list[str]:
        """The further namespaces that cannot be read: they are missing, or the facade has no rights there."""
        informers: list[tuple[str, Informer[Any]]] = [*self._workflows.items(), *self._executions.items()]
        return sorted({place for place, one in informers if place and not one.synced.is_set()})

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of cached objects of each kind."""
        return _by_kind(self._informers, lambda informer: len(informer.cache))

    @property
    def unreadable(self) -> Mapping[str, int]:
        """The number of objects of each kind that cannot be decoded."""
        return _by_kind(self._informers, lambda informer: len(informer.unreadable))

    @property
    def silences(self) -> Mapping[str, float]:
        """Seconds since the last event of each kind's watch, bookmarks included."""
        now, found = time.monotonic(), dict[str, float]()
        for informer in self._informers:
            if informer in self._needed or informer.synced.is_set():
                kind = informer.resource.plural
                found[kind] = max(found.get(kind, 0.0), now - informer.last_contact)
        return found

    @property
    def stale_kinds(self) -> list[str]:
        """The kinds without an event for longer than bookmarks allow: their cache may be stale."""
        return [kind for kind, seconds in self.silences.items() if seconds > STALE_AFTER_SECONDS]

    async def run(self) -> None:
        """Watch the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run(), name=f"informer of {informer.resource.plural}")
            tasks.create_task(self.reachability.run(), name="probes of the API server")
            await self.wait_for_sync()
            log.info(
                "caches are synced: %s", ", ".join(f"{count} {kind}" for kind, count in self.sizes.items())
            )

    async def wait_for_sync(self) -> None:
        """Wait until every kind has been listed once, in the home namespace."""
        for informer in self._needed:
            await informer.synced.wait()

    @property
    def not_ready_reason(self) -> str:
        """Why requests cannot be served, and what to do; empty if they can.

        An unavailable API server is no reason: every replica can still serve cached reads.
        """
        if self.reachability.namespace_is_missing:
            return self.reachability.missing_sentence
        if not self.unsynced:
            return ""
        why = f"the facade has not yet read the cluster's {', '.join(self.unsynced)}"
        if self.reachability.namespace_is_hidden:
            return f"{why}: {self.reachability.hidden_sentence}"
        failure = next((informer.failure for informer in self._informers if informer.failure), "")
        return f"{why}: {failure}" if failure else f"{why}; try again in a few seconds"

    async def workflow(self, namespace: str, name: str) -> WorkflowEntry | None:
        """A workflow by its namespace and name; None if there is none.

        Raises:
            Unavailable: It is not cached, and the API server is unavailable.
        """
        entry = self.index.workflow((namespace, name))
        if entry is None:
            await self._look_up(WORKFLOWS, namespace, name, WorkflowView)
            entry = self.index.workflow((namespace, name))
        return entry

    async def execution(self, entry: WorkflowEntry, name: str) -> ExecutionView | None:
        """An execution of a workflow; None if there is none; raises as `workflow` does."""
        namespace = entry.view.metadata.namespace
        execution = entry.runs.get(namespace, name)
        if execution is None:
            await self._look_up(EXECUTIONS, namespace, name, ExecutionView)
            entry = self.index.workflow(entry.view.metadata.key) or entry
            execution = entry.runs.get(namespace, name)
        return execution

    def environments(self) -> list[EnvironmentView]:
        """All Environments that are not being deleted."""
        return [
            environment
            for environment in self._environments.cache
            if not environment.metadata.deletion_timestamp
        ]

    def profiles(self) -> list[ProfileView]:
        """All ComputeProfiles that are not being deleted."""
        return [profile for profile in self._profiles.cache if not profile.metadata.deletion_timestamp]

    async def refresh_workflow(self, entry: WorkflowEntry) -> WorkflowEntry:
        """A workflow, read from the API server.

        Raises:
            NotFound: It is gone.
            Unavailable: The API server is unavailable.
        """
        namespace, name = entry.view.metadata.key
        self.cache_workflow(await self._store.get(WORKFLOWS, namespace, name, WorkflowView))
        return self.entry(entry)

    def entry(self, entry: WorkflowEntry) -> WorkflowEntry:
        """A workflow as it is cached now; raises `NotFound` if it is not any more."""
        now = self.index.workflow(entry.view.metadata.key)
        if now is None:
            raise NotFound(f"there is no workflow {entry.view.metadata.name!r} any more")
        return now

    def cache_workflow(self, view: WorkflowView) -> WorkflowEntry | None:
        """Cache the response to a write; the entry, unless the workflow is gone already."""
        self._cache_of(WORKFLOWS, view.metadata.namespace).upsert(view)
        return self.index.workflow(view.metadata.key)

    def cache_execution(self, view: ExecutionView) -> None:
        """Cache the response to a write."""
        self._cache_of(EXECUTIONS, view.metadata.namespace).upsert(view)

    def mark_workflow_deleted(self, view: WorkflowView) -> None:
        """Remove a deleted workflow from the cache, for good: later events of its UID are ignored."""
        cache = self._cache_of(WORKFLOWS, view.metadata.namespace)
        cache.forget(view.metadata.key, view.metadata.uid, _ANY_VERSION)

    def mark_execution_deleted(self, view: ExecutionView) -> None:
        """Remove a deleted execution from the cache, for good."""
        cache = self._cache_of(EXECUTIONS, view.metadata.namespace)
        cache.forget(view.metadata.key, view.metadata.uid, _ANY_VERSION)

    def _cache_of(self, resource: Resource, namespace: str) -> Cache[Any]:
        informers: Mapping[str, Informer[Any]] = (
            self._workflows if resource is WORKFLOWS else self._executions
        )
        return informers[_ALL if self.others is None else namespace].cache

    async def _look_up(self, resource: Resource, namespace: str, name: str, kind: type[Any]) -> None:
        if not self.serves(namespace):
            return
        if not (names.is_dns_label(name, names.MAX_EXECUTION_NAME) and _NAMESPACE.fullmatch(namespace)):
            return  # no object can have such a name, and it must not get into a path
        with suppress(NotFound):
            view = await self._store.get(resource, namespace, name, kind)
            self._cache_of(resource, namespace).upsert(view)


def _by_kind(informers: Iterable[Informer[Any]], count: Callable[[Informer[Any]], int]) -> dict[str, int]:
    """A sum over all namespaces for each kind."""
    found: dict[str, int] = {}
    for informer in informers:
        kind = informer.resource.plural
        found[kind] = found.get(kind, 0) + count(informer)
    return found
