"""From a Plan to writes, in the one order in which a crash between any two of them loses nothing.

A first attempt's Job before its record, a further attempt's record before its Job (see
`decisions.steps`), a Job before its Pod; Jobs of an ending run are deleted before its end is
recorded. Every status write carries the resourceVersion that the decision was made on: that fences off a
second leader, and refuses a decision made on stale data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from nightcrawler_crds import errors, names
from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_operator.builders import revision as revisions
from nightcrawler_operator.children import Children, remove_finalizers, report_job_ends, set_deadlines
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.execution import why_it_waits
from nightcrawler_operator.decisions.quota import ASK_AFTER
from nightcrawler_operator.decisions.recorded import is_accepted
from nightcrawler_operator.decisions.refusals import refusal
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.lookups import Lookups
from nightcrawler_operator.plan import DecideAgain, NotLeading, Outcome, Plan
from nightcrawler_operator.snapshot import Snapshot

log = logging.getLogger(__name__)

_TRUSTED: Final = 60.0
"""An execution observed within so many seconds is fresh enough to create Jobs for."""
_WRITE_TIMEOUT: Final = 5.0


class Metrics(Protocol):
    """Counts what is written."""

    def made_job(self, snapshot: Snapshot, new: NewJob) -> None:
        """A Job was created, or existed already."""
        ...

    def recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        """A status was written."""
        ...

    def conflicted(self) -> None:
        """A write was refused: the execution had changed since it was read."""
        ...


class Actor:
    """Carries out plans. `time_left` is for how many seconds this process surely holds the Lease.

    For `managed` Jobs, Pods are created here too, if the API server supports `spec.managedBy`. `others_wait`
    is whether further executions are queued. `on_recorded` is called with the execution before and after each
    write of its status.
    """

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        *,
        limits: Limits,
        managed: bool,
        time_left: Callable[[], float],
        others_wait: Callable[[], bool],
        metrics: Metrics,
        on_recorded: Callable[[ExecutionView, ExecutionView], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._children = Children(
            store, cluster, limits=limits, managed=managed, lease=self._lease, on_made=metrics.made_job
        )
        self._time_left = time_left
        self._others_wait = others_wait
        self._metrics = metrics
        self._on_recorded = on_recorded
        self._lookups = Lookups(store, cluster)

    async def carry_out(self, snapshot: Snapshot, plan: Plan) -> Outcome:
        """Make the plan's writes; returns when to reconcile again.

        Raises:
            DecideAgain: The data has changed, or a look-up has found something.
            NotLeading: The Lease is about to expire.
            ApiError: The API server refused or is unreachable; earlier writes stand.
        """
        execution = snapshot.execution
        children = self._children
        self._lease()
        if plan.completed:
            self._cluster.results_of(execution.metadata.uid).completed = plan.completed
        if plan.first_jobs or plan.later_jobs or plan.missing_pods:
            await self._confirm(execution)
        try:
            execution = await self._prepare(snapshot, plan)
        except errors.ApiError as error:
            await self._record_obstacle(snapshot, error)
            raise
        if plan.volume is not None:
            assert plan.run is not None
            await children.make_volume_claim(plan.run, plan.volume)
        if plan.first_jobs:
            assert plan.run is not None
            await children.make_jobs(snapshot, plan.run, plan.first_jobs)
        await children.make_pods(execution, plan.missing_pods)
        if self._defers_status(execution, plan):
            raise DecideAgain
        if plan.status:
            await self._write_status(execution, plan.status)
        if plan.claim is not None:
            self._cluster.places.claim(execution.metadata.uid, plan.claim)
        await set_deadlines(self._store, self._cluster, execution, plan.deadlines)
        if plan.later_jobs:
            assert plan.run is not None
            await children.make_jobs(snapshot, plan.run, plan.later_jobs)
            if plan.ended_jobs and self._others_wait():
                # Other executions' Pods come before a Job's final status, which only people read.
                raise DecideAgain
        namespace = execution.metadata.namespace
        await report_job_ends(self._store, self._cluster, namespace, plan.ended_jobs)
        await remove_finalizers(self._store, self._cluster, namespace, plan.freed_pods)
        if plan.lookups and await self._lookups.carry_out(snapshot, plan.lookups):
            raise DecideAgain
        return plan.outcome

    async def _prepare(self, snapshot: Snapshot, plan: Plan) -> ExecutionView:
        """What precedes Jobs: adoption, revision, deletions. Returns the execution as updated by them."""
        execution, children = snapshot.execution, self._children
        if plan.adopt:
            execution = await self._adopt(snapshot)
        if plan.revision is not None and not plan.ended:
            await self._keep_revision(snapshot, plan.revision)
        await children.delete(names.JOBS, execution, plan.delete_jobs)
        await children.delete(names.PODS, execution, plan.delete_pods)
        await children.delete(names.PODS, execution, plan.force_delete_pods, grace_period=0)
        results = self._cluster.lookup_results.get(execution.metadata.uid)
        if plan.room:
            await children.delete(names.JOBS, execution, plan.room)
            log.info("deleted %d finished Jobs: a quota leaves no room for new ones", len(plan.room))
            self._cluster.results_of(execution.metadata.uid).note_room(utcnow(), utcnow() + ASK_AFTER)
        if results is not None:
            results.clear_obstacle()
        return execution

    async def _record_obstacle(self, snapshot: Snapshot, error: errors.ApiError) -> None:
        """Record in status why the run cannot proceed, once a reason; the caller handles the error itself."""
        execution = snapshot.execution
        results = self._cluster.results_of(execution.metadata.uid)
        obstacle = refusal(error, execution.metadata.name, results.obstacle, snapshot.now)
        results.obstacle = obstacle
        if results.obstacle_recorded == obstacle.reason:
            return
        patch = why_it_waits(snapshot, obstacle)
        if not patch:
            return
        current = self._cluster.executions.get(execution.metadata.key) or execution
        try:
            await self._write_status(current, patch)
        except (errors.ApiError, DecideAgain) as failure:
            log.debug("the reason cannot be recorded in status either: %s", failure)
        else:
            results.obstacle_recorded = obstacle.reason

    def _defers_status(self, execution: ExecutionView, plan: Plan) -> bool:
        """Whether other executions' Pods come before the status write for the first attempts just created.

        Until then their Jobs show that they started. Never twice in a row, not before the status names the
        revision and the Environment, and not if something was stopped: the reason is known only now.
        """
        if not plan.first_jobs or not is_accepted(execution.status) or not self._others_wait():
            return False
        if plan.later_jobs or plan.delete_jobs or plan.force_delete_pods or plan.freed_pods or plan.lookups:
            return False
        results = self._cluster.results_of(execution.metadata.uid)
        results.status_deferred = not results.status_deferred
        return results.status_deferred

    # --- the execution itself ----------------------------------------------------------------------

    async def _confirm(self, execution: ExecutionView) -> None:
        """Before Jobs are created from stale data, read the execution again."""
        meta = execution.metadata
        if self._cluster.age(meta.uid) < _TRUSTED:
            return
        fresh = await self._refresh(execution)
        if fresh is None or fresh.metadata.resource_version != meta.resource_version:
            raise DecideAgain

    async def _refresh(self, execution: ExecutionView) -> ExecutionView | None:
        meta = execution.metadata
        try:
            fresh = await self._store.get(names.EXECUTIONS, meta.namespace, meta.name, ExecutionView)
        except errors.NotFound:
            fresh = None
        if fresh is None or fresh.metadata.uid != meta.uid:
            self._cluster.executions.forget(meta.key, meta.uid, meta.version)
            return None
        self._cluster.record_own_write(fresh)
        return fresh

    async def _adopt(self, snapshot: Snapshot) -> ExecutionView:
        """Make the workflow the owner of an execution that kubectl created, and label it."""
        execution = snapshot.execution
        meta = execution.metadata
        assert snapshot.workflow is not None
        kept = [
            msgspec.to_builtins(o) for o in meta.owner_references if o.uid != snapshot.workflow.metadata.uid
        ]
        body = {
            "metadata": {
                "resourceVersion": meta.resource_version,
                "labels": {names.LABEL_WORKFLOW: execution.spec.workflow_ref.name},
                "ownerReferences": [
                    *kept,
                    revisions.owner(
                        snapshot.workflow, controller=not any(o.controller for o in meta.owner_references)
                    ),
                ],
            }
        }
        return await self._patch(execution, body)

    async def _write_status(self, execution: ExecutionView, patch: Mapping[str, Any]) -> None:
        body = {"metadata": {"resourceVersion": execution.metadata.resource_version}, "status": patch}
        written = await self._patch(execution, body, subresource="status")
        self._cluster.recorded_at[execution.metadata.uid] = utcnow()
        self._metrics.recorded(execution, written)
        self._on_recorded(execution, written)

    async def _patch(
        self, execution: ExecutionView, body: Mapping[str, Any], subresource: str = ""
    ) -> ExecutionView:
        meta = execution.metadata
        try:
            written = await self._store.patch(
                names.EXECUTIONS,
                meta.namespace,
                meta.name,
                body,
                ExecutionView,
                subresource=subresource,
                timeout=min(_WRITE_TIMEOUT, self._lease()),
            )
        except errors.Conflict:
            self._metrics.conflicted()
            await self._refresh(execution)
            raise DecideAgain from None
        except errors.NotFound:
            self._cluster.executions.forget(meta.key, meta.uid, meta.version)
            raise DecideAgain from None
        self._cluster.record_own_write(written)
        return written

    async def _keep_revision(self, snapshot: Snapshot, revision: Revision) -> None:
        namespace = snapshot.execution.metadata.namespace
        recorded = self._cluster.revisions.recorded((namespace, revision.name))
        if recorded is not None or snapshot.workflow is None:
            return
        body = revisions.manifest(snapshot.workflow, revision)
        try:
            await self._store.create(names.REVISIONS, namespace, body, RevisionView)
        except errors.AlreadyExists:
            log.debug("revision %s exists already", revision.name)
        self._cluster.revisions.cache_recorded(namespace, revision)

    def _lease(self) -> float:
        left = self._time_left()
        if left < 1.0:
            raise NotLeading
        return left
