"""What the facade knows of the cluster: informers' caches, the index over them, its own writes.

Reads are answered from here and go on while the API server is away. What a write answered is
taken in at once, so that the next read sees it. What is asked for and not known is looked up
once before it is said not to be there: another replica, or kubectl, may have made it just now.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from nightcrawler_api.state.hub import Hub
from nightcrawler_api.state.index import Index, Known
from nightcrawler_api.state.reachability import Contact
from nightcrawler_crds import names
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.cache import Cache, HasMeta
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, WorkflowView
from nightcrawler_crds.names import ENVIRONMENTS, EXECUTIONS, WORKFLOWS, Resource

log = logging.getLogger(__name__)

V = TypeVar("V", bound=HasMeta)

_NAME: Final = re.compile(names.DNS_LABEL_PATTERN)
_FOR_EVER: Final = 2**63
# Bookmarks come once a minute, and a watch that is silent for 100 s is begun anew.
SILENT_TOO_LONG_SECONDS: Final = 150.0


class Mirror:
    """The workflows and executions of one namespace, and the Environments of the cluster."""

    def __init__(self, store: Store, namespace: str) -> None:
        self.namespace = namespace
        self.changes = Hub()
        """What other followers subscribe to; the index is the first, so that they find it up to date."""
        self.index = Index()
        self.changes.subscribe(self.index.follow)
        self.contact = Contact(store, namespace)
        self._store = store

        def informer(resource: Resource, kind: type[V], namespace: str = "") -> Informer[V]:
            on_change = self.changes.publisher(resource.plural)
            return Informer(store, resource, kind, namespace=namespace, on_change=on_change)

        self._workflows = informer(WORKFLOWS, WorkflowView, namespace)
        self._executions = informer(EXECUTIONS, ExecutionView, namespace)
        self._environments = informer(ENVIRONMENTS, EnvironmentView)

    @property
    def _informers(self) -> tuple[Informer[Any], ...]:
        return (self._workflows, self._executions, self._environments)

    @property
    def missing(self) -> list[str]:
        """The kinds that have not been read yet."""
        return [informer.resource.plural for informer in self._informers if not informer.synced.is_set()]

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many objects of each kind are known."""
        return {informer.resource.plural: len(informer.cache) for informer in self._informers}

    @property
    def unreadable(self) -> Mapping[str, int]:
        """How many objects of each kind are there and cannot be read."""
        return {informer.resource.plural: len(informer.unreadable) for informer in self._informers}

    @property
    def silences(self) -> Mapping[str, float]:
        """Seconds since the API server was last heard of each kind."""
        now = time.monotonic()
        return {informer.resource.plural: now - informer.last_contact for informer in self._informers}

    @property
    def silent_too_long(self) -> list[str]:
        """The kinds of which nothing was heard for longer than bookmarks allow: what is known may be old."""
        return [kind for kind, seconds in self.silences.items() if seconds > SILENT_TOO_LONG_SECONDS]

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run(), name=f"informer of {informer.resource.plural}")
            tasks.create_task(self.contact.keep(), name="contact with the API server")
            await self.read()
            log.info(
                "the cluster is read: %s", ", ".join(f"{count} {kind}" for kind, count in self.sizes.items())
            )

    async def read(self) -> None:
        """Wait until every kind has been read once."""
        for informer in self._informers:
            await informer.synced.wait()

    @property
    def why_not_served(self) -> str:
        """What keeps requests from being served, and what to do; empty if nothing does.

        Not that the API server is slow or away: what was read can be shown, and replicas that all
        refused for that reason would leave nobody who shows it.
        """
        if self.contact.namespace_is_missing:
            return self.contact.missing_sentence
        if not self.missing:
            return ""
        why = f"the facade has not yet read the cluster's {', '.join(self.missing)}"
        if self.contact.namespace_is_hidden:
            return f"{why}: {self.contact.hidden_sentence}"
        failure = next((informer.failure for informer in self._informers if informer.failure), "")
        return f"{why}: {failure}" if failure else f"{why}; try again in a few seconds"

    async def workflow(self, name: str) -> Known:
        """A workflow by its id.

        Raises:
            NotFound: There is none.
            Unavailable: None is known, and the API server is away.
        """
        known = self.index.workflow((self.namespace, name))
        if known is None:
            await self._look_up(WORKFLOWS, name, WorkflowView, self._workflows.cache)
            known = self.index.workflow((self.namespace, name))
        if known is None:
            raise NotFound(f"there is no workflow {name!r}")
        return known

    async def execution(self, workflow: str, name: str) -> tuple[Known, ExecutionView]:
        """An execution of a workflow, and that; raises as `workflow` does."""
        known = await self.workflow(workflow)
        execution = known.runs.get(name)
        if execution is None:
            await self._look_up(EXECUTIONS, name, ExecutionView, self._executions.cache)
            execution = known.runs.get(name)
        if execution is None:
            raise NotFound(f"the workflow {workflow!r} has no execution {name!r}")
        return known, execution

    def environments(self) -> list[EnvironmentView]:
        """All Environments that are not being deleted."""
        return [
            environment
            for environment in self._environments.cache
            if not environment.metadata.deletion_timestamp
        ]

    async def refresh_workflow(self, name: str) -> Known:
        """A workflow as it is now, whatever was known of it; raises as `workflow` does."""
        self.took_workflow(await self._store.get(WORKFLOWS, self.namespace, name, WorkflowView))
        return await self.workflow(name)

    def took_workflow(self, view: WorkflowView) -> None:
        """Take in what a write answered."""
        self._workflows.cache.upsert(view)

    def took_execution(self, view: ExecutionView) -> None:
        """Take in what a write answered."""
        self._executions.cache.upsert(view)

    def gone_workflow(self, view: WorkflowView) -> None:
        """Take in that a workflow was deleted; that is for ever, so no later word of it counts."""
        self._workflows.cache.forget(view.metadata.key, view.metadata.uid, _FOR_EVER)

    def gone_execution(self, view: ExecutionView) -> None:
        """Take in that an execution was deleted."""
        self._executions.cache.forget(view.metadata.key, view.metadata.uid, _FOR_EVER)

    async def _look_up(self, resource: Resource, name: str, kind: type[Any], cache: Cache[Any]) -> None:
        if len(name) > names.MAX_EXECUTION_NAME or not _NAME.fullmatch(name):
            return  # no such name can exist, and it must not get into a path
        with suppress(NotFound):
            cache.upsert(await self._store.get(resource, self.namespace, name, kind))
