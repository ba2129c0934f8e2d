"""Use cases of workflows: list, show, create, update, delete."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from nightcrawler_api.audit import trail
from nightcrawler_api.audit.record import DELETED, of_generation
from nightcrawler_api.auth.decisions import access_for
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid
from nightcrawler_api.http.conditions import IfMatch
from nightcrawler_api.ids import create_named
from nightcrawler_api.pagination import continued
from nightcrawler_api.refusals import at
from nightcrawler_api.refusals import shown as described
from nightcrawler_api.repeats import REMARK, Claim, Made, claim_of, is_made
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.workflows import drafts, presenter
from nightcrawler_api.workflows.changes import Changes, gone
from nightcrawler_api.workflows.presenter import Fallbacks
from nightcrawler_api.workflows.queries import WorkflowParameters
from nightcrawler_api.workflows.schemas import WorkflowCreated, WorkflowDetail, WorkflowList, WorkflowUpdated
from nightcrawler_api.workflows.warnings import Warnings
from nightcrawler_crds import clock, names
from nightcrawler_crds.errors import AlreadyExists, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS
from nightcrawler_crds.validation import PodPolicy

log = logging.getLogger(__name__)

_PREFIX: Final = "wf-"
_AT_ONCE: Final = 16


class WorkflowService:
    """Workflows of the served namespaces, read from the cluster and written to the API server."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        guard: Guard,
        *,
        fallbacks: Fallbacks,
        policy: PodPolicy,
        template: str | None = None,
        notification_domains: Collection[str] = (),
        enforced: bool = False,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._in_force = fallbacks
        self._policy = policy
        self._template = template
        self._domains = notification_domains
        self._warnings = Warnings(cluster, enforced=enforced)
        self.changes = Changes(cluster, guard)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def page(self, asked: WorkflowParameters, caller: Caller) -> WorkflowList:
        """A page of the workflows that fit a query."""
        seen = await self._guard.seen(caller, Operation.LIST_WORKFLOWS)
        query = asked.query(self._in_force.user, self._cluster.environments(), seen)
        part = self._cluster.index.page(asked.window.offset, asked.window.limit, query)
        shown: WorkflowList = {
            "workflows": [
                self._guard.ids.shown(presenter.row(entry), entry.order[1]) for entry in part.entries
            ],
            "total": part.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(shown, asked.sort, part.next)

    async def show(self, name: str, caller: Caller) -> WorkflowDetail:
        """A workflow in full."""
        entry = await self._guard.workflow(name, caller, Operation.SHOW_WORKFLOW)
        shown = presenter.detail(entry, self._in_force, clock.utcnow(), self._cluster.profiles())
        return self._guard.ids.shown(shown, entry.order[1])

    async def create(
        self, body: Mapping[str, Any], caller: Caller, key: str | None = None
    ) -> Made[WorkflowCreated]:
        """Create a workflow, once for each `Idempotency-Key`; without steps it takes the template's."""
        claim = claim_of(key, caller, body, "create")
        body = dict(body)
        namespace = await self._guard.creates_in(_namespace_in(body), caller)
        if claim and (earlier := await self.made_earlier(namespace, claim)):
            return earlier
        return await self.create_from_spec(namespace, self._new_spec(body), caller, claim=claim)

    async def create_dry(self, body: Mapping[str, Any], caller: Caller) -> WorkflowView:
        """The workflow that would be created, as the API server takes it; raises what creating it raises."""
        body = dict(body)
        namespace = await self._guard.creates_in(_namespace_in(body), caller)
        spec = self._new_spec(body)
        return await create_named(
            _PREFIX, lambda name: self._post(namespace, name, spec, caller, dry_run=True)
        )

    def _new_spec(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        spec = drafts.desired_spec({}, body)
        if spec.get("steps", []) == []:
            spec = self._with_template(spec)
        self._check(body, None, spec)
        return spec

    async def _post(
        self,
        namespace: str,
        name: str,
        spec: Mapping[str, Any],
        caller: Caller,
        claim: Claim | None = None,
        *,
        dry_run: bool = False,
    ) -> WorkflowView:
        annotations = {names.ANNOTATION_CREATOR: caller.name, **(claim.annotations if claim else {})}
        if caller.id:
            annotations[names.ANNOTATION_CREATOR_ID] = caller.id
        manifest = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": name, "annotations": annotations},
            "spec": spec,
        }
        return await self._store.create(WORKFLOWS, namespace, manifest, WorkflowView, dry_run=dry_run)

    async def create_as(
        self,
        namespace: str,
        name: str | None,
        body: Mapping[str, Any],
        caller: Caller,
        claim: Claim | None = None,
    ) -> Made[WorkflowCreated]:
        """Create a workflow as it is in a body, under a name if there is one.

        Raises:
            AlreadyExists: There is a workflow of that name.
        """
        spec = drafts.desired_spec({}, body)
        self._check(body, None, spec)
        return await self.create_from_spec(namespace, spec, caller, name, claim)

    async def create_from_spec(
        self,
        namespace: str,
        spec: Mapping[str, Any],
        caller: Caller,
        called: str | None = None,
        claim: Claim | None = None,
    ) -> Made[WorkflowCreated]:
        """Create a workflow from a spec that only the API server validates."""

        async def create(name: str) -> WorkflowView:
            return await self._post(namespace, name, spec, caller, claim)

        name = called or (claim.name(_PREFIX) if claim else None)
        try:
            view = await (create(name) if name else create_named(_PREFIX, create))
        except AlreadyExists:
            if claim and (earlier := await self.made_earlier(namespace, claim, called)):
                return earlier
            raise
        entry = self._cluster.cache_workflow(view)
        trail.changed(trail.of_workflow(view), of_generation(view.metadata.generation), None, view.spec)
        log.info("%s created workflow %s", caller, view.metadata.name, extra={"namespace": namespace})
        if entry is None:
            raise NotFound(f"the workflow {view.metadata.name!r} was deleted as soon as it was created")
        return Made(await self._created(entry))

    async def made_earlier(
        self, namespace: str, claim: Claim, called: str | None = None
    ) -> Made[WorkflowCreated] | None:
        """The answer to a repetition: the workflow of a claim as it is now; None if there is none yet."""
        name = called or claim.name(_PREFIX)
        if not await is_made(self._store, WORKFLOWS, namespace, name, claim):
            return None
        entry = await self._cluster.workflow(namespace, name)
        if entry is None:
            raise gone(self._guard.ids.of(namespace, name))
        trail.remark(REMARK)
        return Made(await self._created(entry), replayed=True)

    async def _created(self, entry: WorkflowEntry) -> WorkflowCreated:
        warnings = await self._warnings.of(entry.view)
        created = presenter.created(self._cluster.entry(entry), self._in_force, warnings)
        return self._guard.ids.shown(created, entry.view.metadata.namespace)

    async def update(
        self, name: str, body: Mapping[str, Any], caller: Caller, condition: IfMatch | None = None
    ) -> WorkflowUpdated:
        """Merge a body into a workflow, again if it was changed meanwhile.

        Raises:
            Outdated: `condition` does not allow a change to the workflow as it is now.
        """

        async def may(entry: WorkflowEntry) -> None:
            _, _, changes = self._wanted(entry, body)
            await self._guard.check(entry, caller, access_for(entry.view.spec, changes))

        async def merge(entry: WorkflowEntry) -> None:
            await self._merge(entry, body, caller)

        # Serialized per workflow: concurrent updates in this process would only conflict with each other.
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            # What else it takes depends on what is changed.
            entry = await self._guard.workflow(name, caller, Operation.SHOW_WORKFLOW)
            entry = await self.changes.change(entry, condition, may, merge)
        log.info("%s changed workflow %s", caller, name)
        warnings = await self._warnings.of(entry.view)
        return self._guard.ids.shown(presenter.updated(self._cluster.entry(entry), warnings), entry.order[1])

    async def delete(self, name: str, caller: Caller, condition: IfMatch | None = None) -> None:
        """Delete a workflow and all its runs.

        Live runs are deleted first, so that they end now and not when the garbage collector gets to them, and
        so are runs without an owner reference, which it would never delete. It deletes ended runs after the
        workflow, and Jobs and Pods after their runs (propagation Background, so that nothing waits for it).
        A deletion that fails half-way leaves the workflow, and can be repeated.

        Raises:
            Outdated: `condition` does not allow to delete the workflow as it is now.
        """
        entry = await self._guard.workflow(name, caller, Operation.DELETE_WORKFLOW)
        may = self.changes.check_of(caller, Operation.DELETE_WORKFLOW)
        if condition is not None:
            # Or runs would be lost before it is refused.
            entry = await self.changes.refreshed(entry, condition, may)
        doomed = entry.view
        uid = doomed.metadata.uid
        unowned = [
            run for run in entry.runs.all() if all(o.uid != uid for o in run.metadata.owner_references)
        ]
        first = {run.metadata.name: run for run in (*unowned, *entry.runs.live())}
        await self._delete_runs(first.values())

        async def delete(current: WorkflowEntry) -> None:
            if current.view.metadata.uid == uid:
                version = current.view.metadata.resource_version if condition else None
                with suppress(NotFound):
                    await self._store.delete(
                        WORKFLOWS,
                        *doomed.metadata.key,
                        propagation="Background",
                        uid=uid,
                        resource_version=version,
                    )
                    return
            self._cluster.mark_workflow_deleted(doomed)
            raise gone(name)

        await self.changes.written(entry, condition, may, delete)
        self._cluster.mark_workflow_deleted(doomed)
        trail.changed(trail.of_workflow(doomed), DELETED, doomed.spec, None)
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
                    *run.metadata.key,
                    propagation="Background",
                    uid=run.metadata.uid,
                )
            self._cluster.mark_execution_deleted(run)

    def _wanted(
        self, entry: WorkflowEntry, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, Any], dict[str, Any]]:
        """What a merge wants: its body without what is so by default, the spec after it, and what changes."""
        current = entry.view.spec
        shown = presenter.detail(entry, self._in_force, clock.utcnow(), self._cluster.profiles())
        body = drafts.without_repeated_defaults(body, current, shown)
        spec = drafts.desired_spec(current, body)
        return body, spec, drafts.difference(current, spec)

    async def _merge(self, entry: WorkflowEntry, body: Mapping[str, Any], caller: Caller) -> None:
        current = entry.view.spec
        body, spec, changes = self._wanted(entry, body)
        # By the version that the patch changes, so that nobody uses a permission that is just withdrawn.
        await self._guard.check(entry, caller, access_for(current, changes))
        self._check(body, current, spec)
        patch = {
            "metadata": {
                "resourceVersion": entry.view.metadata.resource_version,
                "annotations": {names.ANNOTATION_UPDATED_AT: clock.to_wire(clock.utcnow())},
            },
            "spec": changes,
        }
        view = await self._store.patch(WORKFLOWS, *entry.view.metadata.key, patch, WorkflowView)
        self._cluster.cache_workflow(view)
        trail.changed(trail.of_workflow(view), of_generation(view.metadata.generation), current, view.spec)

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


def _namespace_in(body: dict[str, Any]) -> str | None:
    """Take the namespace out of a body; raises `Invalid` if it cannot be one."""
    namespace = body.pop("namespace", None)
    if namespace is not None and not (isinstance(namespace, str) and namespace):
        raise Invalid([at("/namespace", f"must be the name of a namespace, not {described(namespace)}")])
    return namespace
