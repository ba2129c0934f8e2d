"""Metrics for Prometheus: what runs and how it ended, and how well the operator keeps up.

Counters and histograms are updated as things happen; gauges are read when Prometheus scrapes. Names that
begin with `nightcrawler_operator_` are about the process, the others about the workflows. Labels only have
values of a small, fixed set: no names of objects but of Environments, which administrators create.
"""

from __future__ import annotations

import time
from collections.abc import Sequence, Sized
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.election.leadership import Leadership
from nightcrawler_crds.kube.views import ExecutionView, StepStatusView
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES, conditions
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.gauges import Gauges
from nightcrawler_operator.keys import ExecutionKey
from nightcrawler_operator.lanes import Lanes
from nightcrawler_operator.snapshot import Snapshot

_RECONCILE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HANDOVER_BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_DELAY_BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
_NO_STEP: Final = StepStatusView(phase="")


class Telemetry:
    """The metrics registry of one operator; the actor and the controller report to its methods."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._queue: Lanes | None = None
        self._count_runs()
        self._count_effects()
        self._count_work()
        self._register_process_metrics()

    def _count_runs(self) -> None:
        self._executions = self._counter(
            "nightcrawler_executions_finished",
            "Executions that ended, by phase and reason.",
            "phase",
            "reason",
        )
        self._started = self._counter(
            "nightcrawler_steps_started", "Steps whose first attempt's Job was created."
        )
        self._steps = self._counter(
            "nightcrawler_steps_finished", "Steps that ended, or never began (Skipped), by phase.", "phase"
        )
        self._retries = self._counter(
            "nightcrawler_step_retries",
            "Attempts that failed and are repeated, by what failed: the program or the infrastructure.",
            "kind",
        )

    def _count_effects(self) -> None:
        self._undone = self._counter(
            "nightcrawler_duties_given_up",
            "Duties of ended executions that were given up, by duty and reason.",
            "duty",
            "reason",
        )
        self._sent = self._counter("nightcrawler_events_sent", "Kubernetes Events recorded for executions.")
        self._dropped = self._counter(
            "nightcrawler_events_dropped", "Kubernetes Events that were not recorded, by the reason.", "why"
        )
        self._messages = self._counter(
            "nightcrawler_notifications",
            "Attempts to send a message, by channel and outcome: sent, retried, failed, or no_target.",
            "channel",
            "outcome",
        )
        self._traces = self._counter(
            "nightcrawler_traces",
            "Attempts to export a trace, by outcome: exported, retried, or refused for good.",
            "outcome",
        )
        self._unmeasured = self._counter(
            "nightcrawler_usage_failures",
            "Requests for what steps use that failed, by source: metrics (metrics.k8s.io) or prometheus.",
            "source",
        )
        self._times = self._counter(
            "nightcrawler_schedule_times",
            "Scheduled times decided on, by outcome and reason.",
            "outcome",
            "reason",
        )
        self._delay = Histogram(
            "nightcrawler_schedule_delay_seconds",
            "From a scheduled time until its run was decided on.",
            registry=self.registry,
            buckets=_DELAY_BUCKETS,
        )

    def _count_work(self) -> None:
        self._writes = self._counter(
            "nightcrawler_operator_status_writes", "Writes of an execution's status that succeeded."
        )
        self._conflicts = self._counter(
            "nightcrawler_operator_write_conflicts",
            "Writes to an execution that were refused because it had changed since it was read.",
        )
        self._reconciles = Histogram(
            "nightcrawler_operator_reconcile_seconds",
            "Time a worker spent on a key, by kind.",
            ("kind",),
            registry=self.registry,
            buckets=_RECONCILE_BUCKETS,
        )
        self._errors = self._counter(
            "nightcrawler_operator_reconcile_errors",
            "Reconciles that failed, by kind and error.",
            "kind",
            "error",
        )
        self._handover = Histogram(
            "nightcrawler_operator_handover_seconds",
            "From observing the end of a step's predecessor until the step's Job was created.",
            registry=self.registry,
            buckets=_HANDOVER_BUCKETS,
        )

    def _register_process_metrics(self) -> None:
        Info("nightcrawler_operator_build", "What runs here.", registry=self.registry).info(
            {"version": version("nightcrawler")}
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def register_gauges(
        self,
        queue: Lanes,
        leadership: Leadership,
        cluster: ClusterState,
        *,
        events: Sized = (),
    ) -> None:
        """Read the gauges from these from now on; to be called once. `events` are those to be sent."""
        self._queue = queue
        self.registry.register(Gauges(queue, leadership, cluster, events))

    # --- what the actor reports ----------------------------------------------------------------------

    def made_job(self, snapshot: Snapshot, new: NewJob) -> None:
        """A Job was created, or existed already."""
        if new.attempt > 1:
            return
        self._started.inc()
        execution, revision = snapshot.execution, snapshot.revision
        if self._queue is None or revision is None or not revision.depends.get(new.step):
            return  # without a predecessor there is no handover
        since = self._queue.wanted_since(ExecutionKey(*execution.metadata.key))
        if since is not None:
            self._handover.observe(time.monotonic() - since)

    def recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        """A status was written."""
        self._writes.inc()
        if after.status.has_ended and not before.status.has_ended:
            self._executions.labels(after.status.phase, _reason(after)).inc()
        known = before.status.steps
        for name, step in after.status.steps.items():
            old = known.get(name, _NO_STEP)
            if step.phase == old.phase:
                continue
            if step.phase in TERMINAL_STEP_PHASES and old.phase not in TERMINAL_STEP_PHASES:
                self._steps.labels(step.phase).inc()
            elif step.phase == "Retrying":
                kind = "infrastructure" if step.disruptions > old.disruptions else "program"
                self._retries.labels(kind).inc()

    def conflicted(self) -> None:
        """A write was refused: the execution had changed since it was read."""
        self._conflicts.inc()

    def usage_failed(self, source: str) -> None:
        """A source of what steps use could not be asked."""
        self._unmeasured.labels(source).inc()

    def sent_event(self) -> None:
        """One was recorded, or existed already."""
        self._sent.inc()

    def dropped_event(self, why: str) -> None:
        """One was given up."""
        self._dropped.labels(why).inc()

    def delivered(self, channel: str, outcome: str) -> None:
        """An attempt was made (sent, failed, retried), or there is nowhere to send to (no_target)."""
        self._messages.labels(channel, outcome).inc()

    def exported_trace(self, outcome: str) -> None:
        """An attempt was made: exported, refused for good, or to be retried."""
        self._traces.labels(outcome).inc()

    def gave_up(self, undone: Sequence[str], reason: str) -> None:
        """These duties of an execution were given up."""
        for duty in undone:
            self._undone.labels(duty, reason).inc()

    def scheduled(self, outcome: str, reason: str, late: float) -> None:
        """A decision on a scheduled time was recorded, so many seconds after it."""
        if outcome == "Started":
            self._delay.observe(max(0.0, late))
            reason = ""
        self._times.labels(outcome, reason).inc()

    # --- what the controller reports -----------------------------------------------------------------

    def reconciled(self, kind: str, seconds: float, error: str | None) -> None:
        """One reconcile of a kind of key has ended; `error` is the name of its error, if any."""
        self._reconciles.labels(kind).observe(seconds)
        if error is not None:
            self._errors.labels(kind, error).inc()

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)


def _reason(execution: ExecutionView) -> str:
    finished = (c.reason for c in execution.status.conditions if c.type == conditions.FINISHED)
    return next(finished, "")
