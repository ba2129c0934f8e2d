"""What can be done with workflows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid
from nightcrawler_api.ids import create_named
from nightcrawler_api.pagination import Page
from nightcrawler_api.state.clustercache import Mirror
from nightcrawler_api.state.index import Known, WorkflowQuery
from nightcrawler_api.workflows import drafts, presenter
from nightcrawler_api.workflows.presenter import InForce
from nightcrawler_api.workflows.schemas import WorkflowCreated, WorkflowDetail, WorkflowList, WorkflowUpdated
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
    """Workflows of the served namespace, read from the mirror and written to the API server."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        *,
        in_force: InForce,
        policy: PodPolicy,
        template: str | None = None,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._in_force = in_force
        self._policy = policy
        self._template = template
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def page(self, page: Page, query: WorkflowQuery, caller: Caller) -> WorkflowList:
        """A page of the workflows that fit a query, newest first."""
        known, total = self._mirror.index.page(page.window.offset, page.window.limit, query)
        return {
            "workflows": [presenter.row(one) for one in known],
            "total": total,
            "page": page.number,
            "pageSize": page.size,
        }

    async def show(self, name: str, caller: Caller) -> WorkflowDetail:
        """A workflow in full."""
        return presenter.detail(await self._mirror.workflow(name), self._in_force, clock.utcnow())

    async def create(self, body: Mapping[str, Any], caller: Caller) -> WorkflowCreated:
        """Create a workflow; without steps it takes the template's."""
        spec = drafts.desired_spec({}, body)
        if spec.get("steps", []) == []:
            spec = self._with_template(spec)
        self._check(body, None, spec)

        async def create(name: str) -> WorkflowView:
            manifest = {
                "apiVersion": WORKFLOWS.api_version,
                "kind": WORKFLOWS.kind,
                "metadata": {"name": name, "annotations": {names.ANNOTATION_CREATOR: caller.name}},
                "spec": spec,
            }
            return await self._store.create(WORKFLOWS, self._mirror.namespace, manifest, WorkflowView)

        view = await create_named(_PREFIX, create)
        self._mirror.took_workflow(view)
        log.info("%s created workflow %s", caller, view.metadata.name)
        return presenter.created(await self._mirror.workflow(view.metadata.name), self._in_force)

    async def update(self, name: str, body: Mapping[str, Any], caller: Caller) -> WorkflowUpdated:
        """Merge a body into a workflow; should somebody else change it meanwhile, into what it then is."""
        # Of one facade's changes each would take the others' version away, and be tried again in vain.
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            await self._update(name, body)
        log.info("%s changed workflow %s", caller, name)
        return presenter.updated(await self._mirror.workflow(name))

    async def _update(self, name: str, body: Mapping[str, Any]) -> None:
        known = await self._mirror.workflow(name)
        for attempt in range(_TRIES):
            try:
                await self._merge(known, body)
                break
            except Conflict as error:
                if attempt == _TRIES - 1:
                    raise Conflict(
                        f"the workflow {name!r} is being changed all the time; try again later"
                    ) from error
                known = await self._mirror.refresh_workflow(name)

    async def delete(self, name: str, caller: Caller) -> None:
        """Delete a workflow and all its runs.

        Runs in flight go first, one by one, so that they end now; so do those that nobody has tied
        to the workflow yet. The API server's garbage collector would do it too, but at its leisure.
        What has ended goes with the workflow, and Jobs and Pods with their runs (propagation
        Background: nothing waits for a collector that may be away). A deletion that fails half-way
        leaves the workflow, and can be repeated.
        """
        known = await self._mirror.workflow(name)
        uid = known.view.metadata.uid
        adrift = [
            run for run in known.runs.everything() if all(o.uid != uid for o in run.metadata.owner_references)
        ]
        first = {run.metadata.name: run for run in (*adrift, *known.runs.live())}
        await self._delete_runs(first.values())
        try:
            await self._store.delete(
                WORKFLOWS, self._mirror.namespace, name, propagation="Background", uid=uid
            )
        except NotFound:
            self._mirror.gone_workflow(known.view)
            raise NotFound(f"there is no workflow {name!r} any more") from None
        self._mirror.gone_workflow(known.view)
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
                    self._mirror.namespace,
                    run.metadata.name,
                    propagation="Background",
                    uid=run.metadata.uid,
                )
            self._mirror.gone_execution(run)

    async def _merge(self, known: Known, body: Mapping[str, Any]) -> None:
        current = known.view.spec
        shown = presenter.detail(known, self._in_force, clock.utcnow())
        body = drafts.without_echoes(body, current, shown)
        spec = drafts.desired_spec(current, body)
        self._check(body, current, spec)
        patch = {
            "metadata": {
                "resourceVersion": known.view.metadata.resource_version,
                "annotations": {names.ANNOTATION_UPDATED_AT: clock.to_wire(clock.utcnow())},
            },
            "spec": drafts.difference(current, spec),
        }
        name = known.view.metadata.name
        self._mirror.took_workflow(
            await self._store.patch(WORKFLOWS, self._mirror.namespace, name, patch, WorkflowView)
        )

    def _check(
        self, body: Mapping[str, Any], current: Mapping[str, Any] | None, spec: Mapping[str, Any]
    ) -> None:
        found = drafts.findings(body, current, spec, self._mirror.environments(), self._policy)
        if found:
            raise Invalid(found)

    def _with_template(self, spec: dict[str, Any]) -> dict[str, Any]:
        template = (
            self._mirror.index.workflow((self._mirror.namespace, self._template)) if self._template else None
        )
        if template is None:
            if self._template:
                log.warning(
                    "there is no template workflow %r; a workflow is created without steps", self._template
                )
            return spec
        return drafts.with_template(spec, template.view.spec)
