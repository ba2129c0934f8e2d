"""Use cases of workflows: list, show, create, update, delete."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid
from nightcrawler_api.ids import create_named
from nightcrawler_api.pagination import continued
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.workflows import drafts, presenter
from nightcrawler_api.workflows.presenter import Fallbacks
from nightcrawler_api.workflows.queries import WorkflowParameters
from nightcrawler_api.workflows.schemas import WorkflowCreated, WorkflowDetail, WorkflowList, WorkflowUpdated
from nightcrawler_api.workflows.warnings import Warnings
from nightcrawler_crds import clock, names
from nightcrawler_crds.errors import Conflict, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS
from nightcrawler_crds.validation import PodPolicy

log = logging.getLogger(__name__)

_PREFIX: Final = "wf-"
_TRIES: Final = 5
_AT_ONCE: Final = 16


class WorkflowService:
    """Workflows of the served namespace, read from the cluster and written to the API server."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        *,
        fallbacks: Fallbacks,
        policy: PodPolicy,
        template: str | None = None,
        notification_domains: Collection[str] = (),
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._in_force = fallbacks
        self._policy = policy
        self._template = template
        self._domains = notification_domains
        self._warnings = Warnings(cluster)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def page(self, asked: WorkflowParameters, caller: Caller) -> WorkflowList:
        """A page of the workflows that fit a query."""
        query = asked.query(self._in_force.user, self._cluster.environments())
        part = self._cluster.index.page(asked.window.offset, asked.window.limit, query)
        shown: WorkflowList = {
            "workflows": [presenter.row(entry) for entry in part.entries],
            "total": part.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(shown, asked.sort, part.next)

    async def show(self, name: str, caller: Caller) -> WorkflowDetail:
        """A workflow in full."""
        return presenter.detail(
            await self._cluster.workflow(name), self._in_force, clock.utcnow(), self._cluster.profiles()
        )

    async def create(self, body: Mapping[str, Any], caller: Caller) -> WorkflowCreated:
        """Create a workflow; without steps it takes the template's."""
        return await self.create_from_spec(self._new_spec(body), caller)

    async def create_dry(self, body: Mapping[str, Any], caller: Caller) -> WorkflowView:
        """The workflow that would be created, as the API server takes it; raises what creating it raises."""
        spec = self._new_spec(body)
        return await create_named(_PREFIX, lambda name: self._post(name, spec, caller, dry_run=True))

    def _new_spec(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        spec = drafts.desired_spec({}, body)
        if spec.get("steps", []) == []:
            spec = self._with_template(spec)
        self._check(body, None, spec)
        return spec

    async def _post(
        self, name: str, spec: Mapping[str, Any], caller: Caller, *, dry_run: bool = False
    ) -> WorkflowView:
        manifest = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": name, "annotations": {names.ANNOTATION_CREATOR: caller.name}},
            "spec": spec,
        }
        namespace = self._cluster.namespace
        return await self._store.create(WORKFLOWS, namespace, manifest, WorkflowView, dry_run=dry_run)

    async def create_as(self, name: str | None, body: Mapping[str, Any], caller: Caller) -> WorkflowCreated:
        """Create a workflow as it is in a body, under a name if there is one.

        Raises:
            AlreadyExists: There is a workflow of that name.
        """
        spec = drafts.desired_spec({}, body)
        self._check(body, None, spec)
        return await self.create_from_spec(spec, caller, name)

    async def create_from_spec(
        self, spec: Mapping[str, Any], caller: Caller, called: str | None = None
    ) -> WorkflowCreated:
        """Create a workflow from a spec that only the API server validates."""

        async def create(name: str) -> WorkflowView:
            return await self._post(name, spec, caller)

        view = await (create(called) if called else create_named(_PREFIX, create))
        self._cluster.cache_workflow(view)
        log.info("%s created workflow %s", caller, view.metadata.name)
        warnings = await self._warnings.of(view)
        return presenter.created(await self._cluster.workflow(view.metadata.name), self._in_force, warnings)

    async def update(self, name: str, body: Mapping[str, Any], caller: Caller) -> WorkflowUpdated:
        """Merge a body into a workflow, again if it was changed meanwhile."""
        # Serialized per workflow: concurrent updates in this process would only conflict with each other.
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            await self._update(name, body)
        log.info("%s changed workflow %s", caller, name)
        warnings = await self._warnings.of((await self._cluster.workflow(name)).view)
        return presenter.updated(await self._cluster.workflow(name), warnings)

    async def _update(self, name: str, body: Mapping[str, Any]) -> None:
        entry = await self._cluster.workflow(name)
        for attempt in range(_TRIES):
            try:
                await self._merge(entry, body)
                break
            except Conflict as error:
                if attempt == _TRIES - 1:
                    raise Conflict(
                        f"the workflow {name!r} keeps being changed by others; try again later"
                    ) from error
                entry = await self._cluster.refresh_workflow(name)

    async def delete(self, name: str, caller: Caller) -> None:
        """Delete a workflow and all its runs.

        Live runs are deleted first, so that they end now and not when the garbage collector gets to them, and
        so are runs without an owner reference, which it would never delete. It deletes ended runs after the
        workflow, and Jobs and Pods after their runs (propagation Background, so that nothing waits for it).
        A deletion that fails half-way leaves the workflow, and can be repeated.
        """
        entry = await self._cluster.workflow(name)
        uid = entry.view.metadata.uid
        unowned = [
            run for run in entry.runs.all() if all(o.uid != uid for o in run.metadata.owner_references)
        ]
        first = {run.metadata.name: run for run in (*unowned, *entry.runs.live())}
        await self._delete_runs(first.values())
        try:
            await self._store.delete(
                WORKFLOWS, self._cluster.namespace, name, propagation="Background", uid=uid
            )
        except NotFound:
            self._cluster.mark_workflow_deleted(entry.view)
            raise NotFound(f"there is no workflow {name!r} any more") from None
        self._cluster.mark_workflow_deleted(entry.view)
        log.info("%s deleted workflow %s; runs ended by that: %d", caller, name, len(first))

    async def _delete_runs(self, runs: Iterable[ExecutionView]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as tasks:
                for run in runs:
                    tasks.create_task(self._delete_run(run, turns))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _delete_run(self, run: ExecutionView, turns: asyncio.Semaphore) -> None:
        async with turns:
            with suppress(NotFound):
                await self._store.delete(
                    EXECUTIONS,
                    self._cluster.namespace,
                    run.metadata.name,
                    propagation="Background",
                    uid=run.metadata.uid,
                )
            self._cluster.mark_execution_deleted(run)

    async def _merge(self, entry: WorkflowEntry, body: Mapping[str, Any]) -> None:
        current = entry.view.spec
        shown = presenter.detail(entry, self._in_force, clock.utcnow(), self._cluster.profiles())
        body = drafts.without_repeated_defaults(body, current, shown)
        spec = drafts.desired_spec(current, body)
        self._check(body, current, spec)
        patch = {
            "metadata": {
                "resourceVersion": entry.view.metadata.resource_version,
                "annotations": {names.ANNOTATION_UPDATED_AT: clock.to_wire(clock.utcnow())},
            },
            "spec": drafts.difference(current, spec),
        }
        name = entry.view.metadata.name
        self._cluster.cache_workflow(
            await self._store.patch(WORKFLOWS, self._cluster.namespace, name, patch, WorkflowView)
        )

    def _check(
        self, body: Mapping[str, Any], current: Mapping[str, Any] | None, spec: Mapping[str, Any]
    ) -> None:
        found = drafts.validate(
            body,
            current,
            spec,
            self._cluster.environments(),
            self._policy,
            self._cluster.profiles(),
            self._domains,
        )
        if found:
            raise Invalid(found)

    def _with_template(self, spec: dict[str, Any]) -> dict[str, Any]:
        template = (
            self._cluster.index.workflow((self._cluster.namespace, self._template))
            if self._template
            else None
        )
        if template is None:
            if self._template:
                log.warning(
                    "there is no template workflow %r; a workflow is created without steps", self._template
                )
            return spec
        return drafts.with_template(spec, template.view.spec)
