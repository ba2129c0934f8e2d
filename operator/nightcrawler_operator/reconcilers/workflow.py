"""One workflow: its conditions and last run, how much of its history is kept, and its revisions."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.cache import Key
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.store import Store
from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES
from nightcrawler_crds.views import ExecutionView, JobView, RevisionView, WorkflowView
from nightcrawler_operator.decisions.history import too_many, unneeded_revisions
from nightcrawler_operator.decisions.workflow import LastRun, status_patch
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.observe import live_revision
from nightcrawler_operator.outcomes import Done, Outcome, Waiting
from nightcrawler_operator.world import WorkflowKey, World

log = logging.getLogger(__name__)

_WRITE_EVERY: Final = 1.0
_REMEMBERED: Final = 10_000


class WorkflowReconciler:
    """Writes a workflow's status at most once a second, and prunes what is beyond its history."""

    def __init__(self, store: Store, world: World, limits: Limits) -> None:
        self._store = store
        self._world = world
        self._limits = limits
        self._written: OrderedDict[Key, float] = OrderedDict()
        self._last: OrderedDict[Key, LastRun] = OrderedDict()
        self._to_prune: set[Key] = set()

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run that has just ended; the workflow's next reconcile counts its history."""
        key = (execution.metadata.namespace, execution.spec.workflow_ref.name)
        self._to_prune.add(key)
        self._note(key, execution)

    async def reconcile(self, key: WorkflowKey) -> Outcome:
        """Write what is new of a workflow; returns when to look again."""
        where = (key.namespace, key.name)
        workflow = self._world.workflows.get(where)
        if workflow is None or workflow.metadata.deletion_timestamp is not None:
            self._to_prune.discard(where)
            return Done()
        too_soon = self._written.get(where, float("-inf")) + _WRITE_EVERY - time.monotonic()
        if too_soon > 0:
            return Waiting(utcnow() + timedelta(seconds=too_soon))
        await self._learn(where, workflow)
        # First, for a status that tells of a run's end says that its history has been counted.
        if where in self._to_prune:
            await self._prune_noted(where, workflow)
        written = await self._write(where, workflow)
        return Done() if written else Waiting(utcnow() + timedelta(seconds=_WRITE_EVERY))

    async def _learn(self, where: Key, workflow: WorkflowView) -> None:
        """Ask what became of the run on record if it ended while nobody could tell: we were not there."""
        recorded, known = workflow.status, self._last.get(where)
        name = recorded.last_execution
        if not name or recorded.last_phase in TERMINAL_PHASES:
            return
        if self._world.executions.get((where[0], name)) is not None or (known and known.name != name):
            return
        if known and known.phase in TERMINAL_PHASES:
            return
        try:
            execution = await self._store.get(names.EXECUTIONS, where[0], name, ExecutionView)
        except errors.NotFound:
            return
        if execution.status.phase in TERMINAL_PHASES:
            self.run_ended(execution)

    async def _prune_noted(self, where: Key, workflow: WorkflowView) -> None:
        # Taken off before: a run that ends meanwhile puts it on again.
        self._to_prune.discard(where)
        try:
            await self._prune(workflow)
        except errors.ApiError:
            self._to_prune.add(where)
            raise

    async def _write(self, where: Key, workflow: WorkflowView) -> bool:
        """Write what is new; False if the workflow has changed meanwhile, and is to be written anew."""
        live = [
            execution
            for name in self._world.executions_of.get(where, ())
            if (execution := self._world.executions.get((where[0], name))) is not None
        ]
        for execution in live:
            self._note(where, execution)
        patch = status_patch(
            workflow, self._limits.pod_policy, active=len(live), last=self._last.get(where), now=utcnow()
        )
        if not patch:
            return True
        body = {"metadata": {"resourceVersion": workflow.metadata.resource_version}, "status": patch}
        self._written[where] = time.monotonic()
        _bound(self._written)
        try:
            written = await self._store.patch(
                names.WORKFLOWS, *where, body, WorkflowView, subresource="status"
            )
        except errors.Conflict:
            fresh = await self._store.get(names.WORKFLOWS, *where, WorkflowView)
            self._world.workflows.upsert(fresh)
            return False
        self._world.workflows.upsert(written)
        return True

    def _note(self, where: Key, execution: ExecutionView) -> None:
        created = execution.metadata.creation_timestamp
        known = self._last.get(where)
        if created is None or (
            known is not None and (known.created, known.name) > (created, execution.metadata.name)
        ):
            return
        self._last[where] = LastRun(execution.metadata.name, execution.status.phase or "Pending", created)
        _bound(self._last)

    async def _prune(self, workflow: WorkflowView) -> None:
        """Delete the ended executions beyond the history, then the revisions that none names any more."""
        namespace, name = workflow.metadata.key
        history = workflow.spec.get("history") or {}
        selector = f"{names.LABEL_WORKFLOW}={name}"
        executions = await self._store.list_all(
            names.EXECUTIONS, namespace, ExecutionView, label_selector=selector
        )
        old = too_many(
            executions,
            history.get("completed", self._limits.history_completed),
            history.get("failed", self._limits.history_failed),
        )
        for execution in old:
            await self._delete(names.EXECUTIONS, execution)
        if old:
            gone = {execution.metadata.uid for execution in old}
            await self._prune_revisions(workflow, [e for e in executions if e.metadata.uid not in gone])

    async def _prune_revisions(self, workflow: WorkflowView, kept: list[ExecutionView]) -> None:
        namespace, name = workflow.metadata.key
        selector = f"{names.LABEL_WORKFLOW}={name}"
        revisions = await self._store.list_all(
            names.REVISIONS, namespace, RevisionView, label_selector=selector
        )
        live = [
            self._world.executions.get((namespace, n))
            for n in self._world.executions_of.get((namespace, name), ())
        ]
        needed = {e.status.revision for e in (*kept, *live) if e is not None and e.status.revision}
        # A run that has Jobs and no record yet names its revision only there.
        needed |= {j.metadata.annotations.revision for e in live if e for j in self._jobs_of(e)}
        current = live_revision(self._world, workflow)
        for revision in unneeded_revisions(revisions, needed, current.name if current else None):
            self._world.revisions.pop((namespace, revision.metadata.name), None)
            await self._delete(names.REVISIONS, revision)

    def _jobs_of(self, execution: ExecutionView) -> list[JobView]:
        return list(self._world.jobs_of.get(execution.metadata.uid, {}).values())

    async def _delete(self, resource: names.Resource, old: ExecutionView | RevisionView) -> None:
        meta = old.metadata
        try:
            await self._store.delete(
                resource, meta.namespace, meta.name, propagation="Background", uid=meta.uid
            )
        except (errors.NotFound, errors.Conflict):
            log.debug("%s %s is gone already", resource.kind, meta.name)


def _bound(kept: OrderedDict[Key, float] | OrderedDict[Key, LastRun]) -> None:
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
