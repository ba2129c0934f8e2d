"""The cached state of the cluster: informers, the hub of their changes, the index.

Reads are served from here, also while the API server is unavailable. Responses to the facade's own writes
are cached at once, so that the next read sees them. An object that is not cached is requested once from
the API server before it is reported missing: another replica or kubectl may have just created it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
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

log = logging.getLogger(__name__)

V = TypeVar("V", bound=HasMeta)

_ANY_VERSION: Final = 2**63
# Bookmarks come once a minute, and a watch without events for 100 s is restarted.
STALE_AFTER_SECONDS: Final = 150.0


class ClusterCache:
    """The workflows and executions of one namespace; the cluster's Environments and ComputeProfiles."""

    def __init__(self, store: Store, namespace: str) -> None:
        self.namespace = namespace
        self.changes = Hub()
        """The index is its first follower, so that later ones find the index up to date."""
        self.index = Index()
        self.changes.subscribe(self.index.follow)
        self.reachability = Reachability(store, namespace)
        self._journal: Journal | None = None
        self._store = store

        def informer(resource: Resource, kind: type[V], namespace: str = "") -> Informer[V]:
            on_change = self.changes.publisher(resource.plural)
            return Informer(store, resource, kind, namespace=namespace, on_change=on_change)

        self._workflows = informer(WORKFLOWS, WorkflowView, namespace)
        self._executions = informer(EXECUTIONS, ExecutionView, namespace)
        self._environments = informer(ENVIRONMENTS, EnvironmentView)
        self._profiles = informer(COMPUTE_PROFILES, ProfileView)

    @property
    def journal(self) -> Journal:
        """What has changed lately; kept from the first use on, and after the index, which it is read with."""
        if self._journal is None:
            self._journal = Journal()
            self.changes.subscribe(self._journal.follow)
        return self._journal

    @property
    def _informers(self) -> tuple[Informer[Any], ...]:
        return (self._workflows, self._executions, self._environments, self._profiles)

    @property
    def unsynced(self) -> list[str]:
        """The kinds that have not been listed yet."""
        return [informer.resource.plural for informer in self._informers if not informer.synced.is_set()]

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of cached objects of each kind."""
        return {informer.resource.plural: len(informer.cache) for informer in self._informers}

    @property
    def unreadable(self) -> Mapping[str, int]:
        """The number of objects of each kind that cannot be decoded."""
        return {informer.resource.plural: len(informer.unreadable) for informer in self._informers}

    @property
    def silences(self) -> Mapping[str, float]:
        """Seconds since the last event of each kind's watch, bookmarks included."""
        now = time.monotonic()
        return {informer.resource.plural: now - informer.last_contact for informer in self._informers}

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
        """Wait until every kind has been listed once."""
        for informer in self._informers:
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

    async def workflow(self, name: str) -> WorkflowEntry:
        """A workflow by its id.

        Raises:
            NotFound: There is none.
            Unavailable: It is not cached, and the API server is unavailable.
        """
        entry = self.index.workflow((self.namespace, name))
        if entry is None:
            await self._look_up(WORKFLOWS, name, WorkflowView, self._workflows.cache)
            entry = self.index.workflow((self.namespace, name))
        if entry is None:
            raise NotFound(f"there is no workflow {name!r}")
        return entry

    async def execution(self, workflow: str, name: str) -> tuple[WorkflowEntry, ExecutionView]:
        """A workflow and one of its executions; raises as `workflow` does."""
        entry = await self.workflow(workflow)
        execution = entry.runs.get(self.namespace, name)
        if execution is None:
            await self._look_up(EXECUTIONS, name, ExecutionView, self._executions.cache)
            execution = entry.runs.get(self.namespace, name)
        if execution is None:
            raise NotFound(f"the workflow {workflow!r} has no execution {name!r}")
        return entry, execution

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

    async def refresh_workflow(self, name: str) -> WorkflowEntry:
        """A workflow, read from the API server; raises as `workflow` does."""
        self.cache_workflow(await self._store.get(WORKFLOWS, self.namespace, name, WorkflowView))
        return await self.workflow(name)

    def cache_workflow(self, view: WorkflowView) -> None:
        """Cache the response to a write."""
        self._workflows.cache.upsert(view)

    def cache_execution(self, view: ExecutionView) -> None:
        """Cache the response to a write."""
        self._executions.cache.upsert(view)

    def mark_workflow_deleted(self, view: WorkflowView) -> None:
        """Remove a deleted workflow from the cache, for good: later events of its UID are ignored."""
        self._workflows.cache.forget(view.metadata.key, view.metadata.uid, _ANY_VERSION)

    def mark_execution_deleted(self, view: ExecutionView) -> None:
        """Remove a deleted execution from the cache, for good."""
        self._executions.cache.forget(view.metadata.key, view.metadata.uid, _ANY_VERSION)

    async def _look_up(self, resource: Resource, name: str, kind: type[Any], cache: Cache[Any]) -> None:
        if not names.is_dns_label(name, names.MAX_EXECUTION_NAME):
            return  # no object can have such a name, and it must not get into a path
        with suppress(NotFound):
            cache.upsert(await self._store.get(resource, self.namespace, name, kind))
