"""Reconciles a workflow: its conditions and its last run. `history` prunes its ended runs."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import timedelta
from typing import Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, OwingView, WorkflowView
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.validation import wanted_by
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.workflow import NO_FACTS, LastRun, NoticeFacts, status_patch
from nightcrawler_operator.keys import WorkflowKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Outcome, Waiting
from nightcrawler_operator.reconcilers.history import History

_WRITE_EVERY: Final = 1.0
_REMEMBERED: Final = 10_000


class WorkflowReconciler:
    """Prunes a workflow's history, then writes its status, at most once a second."""

    wake_delay = _WRITE_EVERY  # changes of its executions within that time share a write

    def __init__(self, store: Store, cluster: ClusterState, limits: Limits) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._written: OrderedDict[Key, float] = OrderedDict()
        self._last: OrderedDict[Key, LastRun] = OrderedDict()
        self._history = History(store, cluster, limits)

    def all_keys(self) -> list[WorkflowKey]:
        """Every workflow."""
        return [WorkflowKey(*workflow.metadata.key) for workflow in self._cluster.workflows]

    def invalidate(self) -> None:
        """Treat all counts as stale: another replica has led."""
        self._history.invalidate()

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run that has ended; the workflow's next reconcile prunes its history."""
        key = (execution.metadata.namespace, execution.spec.workflow_ref.name)
        self._history.run_ended(key, execution)
        self._note_run(key, execution)

    def run_settled(self, execution: OwingView) -> None:
        """Note a run that owes nothing any more; the workflow's next reconcile may prune it."""
        key = (execution.metadata.namespace, execution.spec.workflow_ref.name)
        self._history.run_settled(key, execution.status.phase)

    async def reconcile(self, key: WorkflowKey) -> Outcome:
        """Prune the history and write the status; returns when to requeue."""
        where = (key.namespace, key.name)
        workflow = self._cluster.workflows.get(where)
        if workflow is None or workflow.metadata.deletion_timestamp is not None:
            self._history.forget(where)
            return Done()
        too_soon = self._written.get(where, float("-inf")) + _WRITE_EVERY - time.monotonic()
        if too_soon > 0:
            return Waiting(utcnow() + timedelta(seconds=too_soon))
        await self._look_up_last_run(where, workflow)
        # First: a status with a run's end also shows that the history was pruned for it.
        await self._history.prune(workflow)
        written = await self._write(where, workflow)
        return Done() if written else Waiting(utcnow() + timedelta(seconds=_WRITE_EVERY))

    async def _look_up_last_run(self, where: Key, workflow: WorkflowView) -> None:
        """Read the run that status names as the last, if it ended while no operator observed it."""
        recorded, known = workflow.status, self._last.get(where)
        name = recorded.last_execution
        if not name or not recorded.last_phase or has_ended(recorded.last_phase):
            return
        if self._cluster.executions.get((where[0], name)) is not None or (known and known.name != name):
            return
        if known and has_ended(known.phase):
            return
        try:
            execution = await self._store.get(names.EXECUTIONS, where[0], name, ExecutionView)
        except errors.NotFound:
            if recorded.last_run_time is not None:
                # Deleted while it ran: it never gets a final phase.
                self._last[where] = LastRun(name, None, recorded.last_run_time)
            return
        if execution.status.has_ended:
            self.run_ended(execution)

    async def _write(self, where: Key, workflow: WorkflowView) -> bool:
        """Write the status if it changed; False on a conflict, after which it is to be retried."""
        live = [
            execution
            for name in self._cluster.executions_of.get(where, ())
            if (execution := self._cluster.executions.get((where[0], name))) is not None
        ]
        for execution in live:
            self._note_run(where, execution)
        patch = status_patch(
            workflow,
            self._limits.pod_policy,
            tuple(self._cluster.profiles),
            active=len(live),
            last=self._last.get(where),
            now=utcnow(),
            notices=self._notices(workflow),
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
            self._cluster.workflows.upsert(fresh)
            return False
        self._cluster.workflows.upsert(written)
        return True

    def _notices(self, workflow: WorkflowView) -> NoticeFacts:
        if not wanted_by(workflow.spec) and not workflow.status.notifications:
            return NO_FACTS
        notices, meta = self._cluster.notices, workflow.metadata
        return NoticeFacts(
            targets=notices.targets.of(meta.namespace),
            domains=notices.options.domains,
            deliveries=notices.deliveries.of(meta.uid),
        )

    def _note_run(self, where: Key, execution: ExecutionView) -> None:
        created = execution.metadata.creation_timestamp
        known = self._last.get(where)
        if created is None or (
            known is not None and (known.created, known.name) > (created, execution.metadata.name)
        ):
            return
        self._last[where] = LastRun(execution.metadata.name, execution.status.phase or "Pending", created)
        _bound(self._last)


def _bound(kept: OrderedDict[Key, float] | OrderedDict[Key, LastRun]) -> None:
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
