"""One live execution: observe → decide → act."""

from __future__ import annotations

from nightcrawler_crds.names import EXECUTIONS
from nightcrawler_operator.act import Actor
from nightcrawler_operator.cluster.observe import observe
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.keys import ExecutionKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Outcome


class ExecutionReconciler:
    """Reconciles a live execution."""

    wake_delay = 0.0

    def __init__(self, cluster: ClusterState, actor: Actor, limits: Limits) -> None:
        self._cluster = cluster
        self._actor = actor
        self._limits = limits

    def all_keys(self) -> list[ExecutionKey]:
        """Every live execution, those with a finished Pod that is not in status yet first."""
        live = sorted(self._cluster.executions, key=self._cluster.has_unrecorded_end, reverse=True)
        return [ExecutionKey(*execution.metadata.key) for execution in live]

    async def reconcile(self, key: ExecutionKey) -> Outcome:
        """Observe, decide, act; returns when to requeue. Raises as `Actor.carry_out` does."""
        where = (key.namespace, key.name)
        execution = self._cluster.executions.get(where)
        if execution is None:
            return Done()
        if where in self._cluster.unreadable[EXECUTIONS]:
            # Its current status is unknown: a decision on the stale one could run a step again. It is queued
            # again when it can be read, or is deleted.
            return Done()
        snapshot = observe(self._cluster, execution, self._limits)
        return await self._actor.carry_out(snapshot, decide(snapshot))
