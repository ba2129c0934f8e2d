"""The schedule of a workflow: observe → decide → record → act."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.validation import wanted_by
from nightcrawler_operator.builders.scheduled_run import scheduled_run
from nightcrawler_operator.cluster.observe_schedule import observe_schedule
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.notifications.outbox import channels, merged
from nightcrawler_operator.decisions.notifications.times import with_unrun_times
from nightcrawler_operator.decisions.schedules.decide import decide
from nightcrawler_operator.decisions.schedules.snapshot import (
    NewRun,
    ScheduledRun,
    SchedulePlan,
    has_schedule,
    run_of,
)
from nightcrawler_operator.decisions.status import merge_patch, to_json
from nightcrawler_operator.keys import ScheduleKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import DecideAgain, Done, NotLeading, Outcome

log = logging.getLogger(__name__)

_STEPS: Final = 20
"""Of one reconcile: each records something, or looks something up."""
_CANCELLED: Final = {
    "metadata": {"annotations": {names.ANNOTATION_CANCELLED_BY: names.SCHEDULE_EXECUTOR}},
    "spec": {"cancel": True},
}
_WRITE_TIMEOUT: Final = 5.0


class Metrics(Protocol):
    """Counts what becomes of scheduled times."""

    def scheduled(self, outcome: str, reason: str, late: float) -> None:
        """A decision on a time was recorded, so many seconds after it."""
        ...


class ScheduleReconciler:
    """Records what becomes of the times of a workflow's schedule, and creates their runs.

    `turn` is awaited between two steps: it returns when the next one may be taken.
    """

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        limits: Limits,
        *,
        time_left: Callable[[], float],
        metrics: Metrics,
        on_outcome: Callable[[WorkflowView, OutcomeView], None],
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._time_left = time_left
        self._metrics = metrics
        self._on_outcome = on_outcome
        self._turn = turn

    def all_keys(self) -> list[ScheduleKey]:
        """Every workflow that has a schedule, or has had one."""
        return [
            ScheduleKey(*workflow.metadata.key)
            for workflow in self._cluster.workflows
            if has_schedule(workflow)
        ]

    async def reconcile(self, key: ScheduleKey) -> Outcome:
        """Decide on the times that are due; returns when to look again.

        Raises:
            DecideAgain: The workflow has changed.
            NotLeading: The Lease is about to expire.
            ApiError: The API server refused or is unreachable; earlier writes stand.
        """
        where = (key.namespace, key.name)
        looked_up: dict[str, ScheduledRun | None] = {}
        fresh = False
        for step in range(_STEPS):
            if step:
                await self._turn()
            workflow = self._cluster.workflows.get(where)
            if workflow is None:
                return Done()
            snapshot = observe_schedule(self._cluster, workflow, self._limits, looked_up=looked_up)
            plan = decide(snapshot)
            if plan.forget or plan.record is not None:
                self._lease()
                await self._record(workflow, plan)
                fresh = True
                for entry in plan.news:
                    late = (snapshot.now - entry.time).total_seconds()
                    self._metrics.scheduled(entry.outcome, entry.reason or "", late)
                    self._on_outcome(workflow, entry)
            elif plan.lookups:
                for name in plan.lookups:
                    looked_up[name] = await self._look_up(workflow, name)
            elif plan.create is not None and not fresh:
                # A stale cache may show as about to start what has run and was pruned long ago.
                self._cluster.workflows.upsert(await self._store.get(names.WORKFLOWS, *where, WorkflowView))
                fresh = True
            else:
                if plan.create is None and not plan.cancel:
                    return plan.outcome
                await self._carry_out(workflow, plan, looked_up)
                if not plan.create:
                    return plan.outcome
        raise DecideAgain

    async def _carry_out(
        self, workflow: WorkflowView, plan: SchedulePlan, looked_up: dict[str, ScheduledRun | None]
    ) -> None:
        namespace = workflow.metadata.namespace
        for name in plan.cancel:
            self._lease()
            try:
                written = await self._store.patch(
                    names.EXECUTIONS, namespace, name, _CANCELLED, ExecutionView
                )
            except errors.NotFound:
                continue  # its deletion is reported by the watch
            if written.status.has_ended:
                self._cluster.owing.record_ended(written)
            else:
                self._cluster.executions.upsert(written)
        if plan.create is not None:
            looked_up[plan.create.name] = await self._create(workflow, plan.create)

    async def _create(self, workflow: WorkflowView, new: NewRun) -> ScheduledRun | None:
        """Create a run; if there is one of its name, that one."""
        namespace, uid = workflow.metadata.namespace, workflow.metadata.uid
        body = scheduled_run(workflow, new.name, new.time)
        try:
            made = await self._store.create(
                names.EXECUTIONS, namespace, body, ExecutionView, timeout=min(_WRITE_TIMEOUT, self._lease())
            )
        except errors.AlreadyExists:
            return await self._look_up(workflow, new.name)
        self._cluster.executions.upsert(made)
        return run_of(made, uid)

    async def _look_up(self, workflow: WorkflowView, name: str) -> ScheduledRun | None:
        namespace, uid = workflow.metadata.namespace, workflow.metadata.uid
        try:
            return run_of(await self._store.get(names.EXECUTIONS, namespace, name, ExecutionView), uid)
        except errors.NotFound:
            return None

    async def _record(self, workflow: WorkflowView, plan: SchedulePlan) -> None:
        recorded = workflow.status.schedule
        change = None
        if plan.record is not None:
            change = to_json(plan.record) if recorded is None else merge_patch(recorded, plan.record)
        namespace, name = workflow.metadata.key
        status = {"schedule": change, **self._notices(workflow, plan)}
        body = {"metadata": {"resourceVersion": workflow.metadata.resource_version}, "status": status}
        try:
            written = await self._store.patch(
                names.WORKFLOWS,
                namespace,
                name,
                body,
                WorkflowView,
                subresource="status",
                timeout=min(_WRITE_TIMEOUT, self._lease()),
            )
        except errors.Conflict:
            fresh = await self._store.get(names.WORKFLOWS, namespace, name, WorkflowView)
            self._cluster.workflows.upsert(fresh)
            raise DecideAgain from None
        except errors.NotFound:
            meta = workflow.metadata
            self._cluster.workflows.forget(meta.key, meta.uid, meta.version)
            raise DecideAgain from None
        self._cluster.workflows.upsert(written)

    def _notices(self, workflow: WorkflowView, plan: SchedulePlan) -> dict[str, Any]:
        """The part of the status with the messages about times that did not run, if somebody wants them."""
        wanted = wanted_by(workflow.spec)
        if not plan.news or not wanted.scheduled_times:
            return {}
        targets = self._cluster.notices.targets
        named = channels(wanted, targets.channels(workflow.metadata.namespace) if wanted.others else None)
        recorded = workflow.status
        known = merged(
            recorded.notifications or {}, self._cluster.notices.deliveries.of(workflow.metadata.uid)
        )
        new = dict(with_unrun_times(known, plan.news, named))
        return merge_patch(recorded, msgspec.structs.replace(recorded, notifications=new)) if new else {}

    def _lease(self) -> float:
        left = self._time_left()
        if left < 1.0:
            raise NotLeading
        return left
