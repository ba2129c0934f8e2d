"""From the caches to one frozen ScheduleSnapshot, with the time in it."""

from __future__ import annotations

from collections.abc import Mapping

from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.schedules.snapshot import (
    ScheduledRun,
    ScheduleSnapshot,
    is_scheduled,
    read_schedule,
    run_of,
)
from nightcrawler_operator.limits import Limits


def observe_schedule(
    cluster: ClusterState,
    workflow: WorkflowView,
    limits: Limits,
    *,
    looked_up: Mapping[str, ScheduledRun | None],
) -> ScheduleSnapshot:
    """Everything a decision on the schedule of this workflow may use, as known now.

    `looked_up` is what was read by name.
    """
    namespace, name = workflow.metadata.key
    uid = workflow.metadata.uid
    runs = {run.name: run for run in looked_up.values() if run is not None}
    for each in cluster.executions_of.get((namespace, name), ()):
        execution = cluster.executions.get((namespace, each))
        if execution is not None and is_scheduled(execution, uid):
            runs[each] = run_of(execution, uid)
    for each in cluster.owing_of.get((namespace, name), ()):
        owing = cluster.owing.get((namespace, each))
        if owing is not None and is_scheduled(owing, uid):
            runs[each] = run_of(owing, uid)
    return ScheduleSnapshot(
        now=utcnow(),
        workflow=workflow,
        limits=limits,
        read=read_schedule(workflow.spec, limits.default_time_zone),
        suspended=bool(workflow.spec.get("suspend")),
        runnable=not _is_refused(workflow),
        runs=runs,
        gone=frozenset(name for name, run in looked_up.items() if run is None),
    )


def _is_refused(workflow: WorkflowView) -> bool:
    """Whether the workflow, as it is now, is known not to be able to run."""
    return any(
        condition.type == conditions.ACCEPTED
        and condition.status == "False"
        and condition.observed_generation == workflow.metadata.generation
        for condition in workflow.status.conditions
    )
