"""Executions that have ended and still owe something: observe → decide → record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import OwingView
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions import duties
from nightcrawler_operator.keys import DutyKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import DecideAgain, Done, Outcome
from nightcrawler_operator.snapshot import OwingSnapshot

log = logging.getLogger(__name__)

_WRITE_TIMEOUT: Final = 5.0


class Metrics(Protocol):
    """Counts what was not done."""

    def gave_up(self, undone: Sequence[str], reason: str) -> None:
        """These duties of an execution were given up."""
        ...


class DutyReconciler:
    """Records which duties are done, and settles the execution after the last, or when their time is over."""

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        limits: Limits,
        *,
        metrics: Metrics,
        on_settled: Callable[[OwingView], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._metrics = metrics
        self._on_settled = on_settled

    def all_keys(self) -> list[DutyKey]:
        """Every execution that owes something."""
        return [DutyKey(*execution.metadata.key) for execution in self._cluster.owing]

    async def reconcile(self, key: DutyKey) -> Outcome:
        """Record what has been done since; returns when to look again."""
        execution = self._cluster.owing.get((key.namespace, key.name))
        if execution is None:
            return Done()  # it is settled, or deleted
        plan = duties.decide(self._observe(execution))
        if plan.status:
            await self._write(execution, plan)
        return plan.outcome

    def _observe(self, execution: OwingView) -> OwingSnapshot:
        meta = execution.metadata
        return OwingSnapshot(
            now=utcnow(),
            execution=execution,
            limits=self._limits,
            workflow=self._cluster.workflows.get((meta.namespace, execution.spec.workflow_ref.name)),
            too_many=self._cluster.owing.one_too_many() == meta.key,
            deliveries=self._cluster.notices.deliveries.of(meta.uid),
            trace=self._cluster.traces.finished(meta.uid),
        )

    async def _write(self, execution: OwingView, plan: duties.DutyPlan) -> None:
        meta = execution.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "status": plan.status}
        try:
            written = await self._store.patch(
                names.EXECUTIONS,
                meta.namespace,
                meta.name,
                body,
                OwingView,
                subresource="status",
                timeout=_WRITE_TIMEOUT,
            )
        except errors.Conflict:
            await self._refresh(execution)
            raise DecideAgain from None
        except errors.NotFound:
            self._cluster.owing.informer.cache.forget(meta.key, meta.uid, meta.version)
            return
        if plan.undone:
            self._metrics.gave_up(plan.undone, plan.reason)
            log.warning("%s: not done: %s", plan.reason, ", ".join(plan.undone))
        self._cluster.owing.record(written)
        if plan.settled:
            self._on_settled(written)

    async def _refresh(self, execution: OwingView) -> None:
        meta = execution.metadata
        try:
            fresh = await self._store.get(names.EXECUTIONS, meta.namespace, meta.name, OwingView)
        except errors.NotFound:
            fresh = None
        if fresh is None or fresh.metadata.uid != meta.uid:
            self._cluster.owing.informer.cache.forget(meta.key, meta.uid, meta.version)
        else:
            self._cluster.owing.record(fresh)
