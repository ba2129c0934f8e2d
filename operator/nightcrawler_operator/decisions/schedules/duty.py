"""What a scheduled run owes to its workflow: that its start and its end are noted there. Pure.

Until then it is not pruned, so that neither its time runs again nor the skip after its failure is lost.
"""

from __future__ import annotations

from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_operator.decisions.ownership import workflow_of
from nightcrawler_operator.decisions.schedules.record import is_under_way
from nightcrawler_operator.decisions.schedules.snapshot import is_scheduled, read_schedule
from nightcrawler_operator.snapshot import OwingSnapshot, Snapshot


def is_owed(snapshot: Snapshot, _: ExecutionStatusView) -> bool:
    """Whether the execution is a run of its workflow's schedule."""
    execution = snapshot.execution
    return is_scheduled(execution, workflow_of(execution.metadata))


def is_done(snapshot: OwingSnapshot) -> bool:
    """Whether its end is noted, or there is nowhere to note it."""
    execution, workflow = snapshot.execution, snapshot.workflow
    if workflow is None or workflow.metadata.uid != workflow_of(execution.metadata):
        return True
    state = workflow.status.schedule
    if state is None or read_schedule(workflow.spec, snapshot.limits.default_time_zone) is None:
        return True
    entry = next((one for one in state.recent if one.execution == execution.metadata.name), None)
    # One that has dropped out of the recent outcomes while it ran comes back with its end.
    return entry is not None and not is_under_way(entry)
