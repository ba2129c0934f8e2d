"""The decision on one execution: Snapshot in, Plan out.

In order: ended or being deleted → nothing; not recorded as accepted → admission; without its places under
limits → the line; then the steps, and by their states the run: completed, cancelled, failed, timed out, or
still live.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nightcrawler_crds.building.run import Run
from nightcrawler_crds.building.volume import volume_of
from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_crds.validation import filled_parameters
from nightcrawler_operator.decisions import progress, queueing, refusals, run_end
from nightcrawler_operator.decisions.admission import (
    Admitted,
    CheckFirst,
    NotYet,
    Refused,
    admit,
    find_place,
)
from nightcrawler_operator.decisions.dominant import waits
from nightcrawler_operator.decisions.ownership import workflow_of
from nightcrawler_operator.decisions.placement import Later, lost_place, placed_by_choice, recorded_place
from nightcrawler_operator.decisions.recorded import conditions_with, is_accepted
from nightcrawler_operator.decisions.status import status_patch
from nightcrawler_operator.plan import LookForRevision, LookForWorkflow, Plan, Waiting
from nightcrawler_operator.snapshot import Refusal, Snapshot


def decide(snapshot: Snapshot) -> Plan:
    """What to write for an execution, and when to look again."""
    execution = snapshot.execution
    status = execution.status
    if execution.metadata.deletion_timestamp is not None or status.has_ended:
        return Plan()
    if is_accepted(status):
        return _stay_in_line(snapshot) if queueing.in_line(snapshot) else _go_on(snapshot)
    if snapshot.named_revision and snapshot.revision is None and not snapshot.lost_revision:
        # By the run itself; or by Jobs that were created, which was not recorded: then it is the run's.
        return Plan(lookups=(LookForRevision(snapshot.named_revision),))
    if execution.spec.cancel and not snapshot.attempts:
        return replace(run_end.cancelled_before_it_began(snapshot), adopt=_is_foreign(snapshot))
    if not snapshot.fresh:
        return Plan(lookups=(LookForWorkflow(),))
    answer = admit(snapshot)
    match answer:
        case Refused():
            plan = run_end.refused(snapshot, answer.reason, answer.message)
            return replace(plan, adopt=_is_foreign(snapshot) and not _cannot_be_written(snapshot))
        case NotYet():
            return _not_yet(snapshot, answer)
        case CheckFirst(lookup):
            return Plan(lookups=(lookup,))
        case Admitted() if _cannot_be_written(snapshot):
            assert snapshot.obstacle is not None
            message = f"cannot begin: {snapshot.obstacle.message}"
            return run_end.refused(snapshot, conditions.WRITE_REFUSED, message)
        case Admitted() if queueing.is_limited(snapshot, answer.place):
            return _line_up(snapshot, answer)
        case Admitted():
            return _begin(snapshot, answer)


def why_it_waits(snapshot: Snapshot, obstacle: Refusal) -> dict[str, Any]:
    """The patch that says why the run waits: what has to be written first is refused.

    Empty while that may pass quickly.
    """
    show_at = refusals.show_at(obstacle, snapshot.limits)
    if show_at is not None and snapshot.now < show_at:
        return {}
    recorded = snapshot.execution.status
    message = f"waits, what it needs is refused: {obstacle.message}"
    waiting = waits(recorded, obstacle.reason, obstacle.since or snapshot.now)
    wanted = replace_status(recorded, message=message, **waiting)
    if not is_accepted(recorded):
        new = conditions_with(snapshot, (conditions.ACCEPTED, "Unknown", obstacle.reason, message))
        wanted = replace_status(wanted, phase="Pending", conditions=new)
    return status_patch(recorded, wanted)


def _cannot_be_written(snapshot: Snapshot) -> bool:
    """Whether the API server refuses for good what has to be written before a run begins."""
    obstacle = snapshot.obstacle
    return obstacle is not None and refusals.is_final(obstacle, snapshot.now, snapshot.limits)


def run_of(snapshot: Snapshot, revision: Revision, environment: EnvironmentSpec | None = None) -> Run:
    """What the Jobs of this execution are built from; by default in the Environment that is recorded."""
    execution = snapshot.execution
    status = execution.status
    if environment is None:
        environment = recorded_place(status.environment, snapshot.environments)
    return Run(
        execution=execution.metadata.name,
        execution_uid=execution.metadata.uid,
        namespace=execution.metadata.namespace,
        workflow=execution.spec.workflow_ref.name,
        revision=revision,
        parameters=filled_parameters(revision.spec, execution.spec.parameters),
        environment=environment,
        place=status.environment if placed_by_choice(status.conditions) else None,
        lost_environment=lost_place(status.environment, status.conditions, snapshot.environments),
        gpu_products=snapshot.nodes.gpu_products,
        volume=volume_of(
            revision.spec, environment, snapshot.limits, execution.metadata, snapshot.volume_claim
        ),
    )


def _go_on(snapshot: Snapshot) -> Plan:
    if snapshot.revision is None:
        return _without_revision(snapshot)
    return progress.plan(snapshot, run_of(snapshot, snapshot.revision), snapshot.execution.status)


def _without_revision(snapshot: Snapshot) -> Plan:
    named = snapshot.execution.status.revision
    if not snapshot.lost_revision:
        return Plan(lookups=(LookForRevision(named or ""),))
    message = f"the ControllerRevision {named!r} that held what this run uses is gone or unreadable"
    return run_end.refused(snapshot, conditions.REVISION_LOST, message)


def _stay_in_line(snapshot: Snapshot) -> Plan:
    """An accepted run that waits for its places: where it would run is decided again each time."""
    if snapshot.execution.spec.cancel:
        return run_end.cancelled_before_it_began(snapshot)
    if snapshot.revision is None:
        return _without_revision(snapshot)
    answer = find_place(snapshot, snapshot.revision)
    match answer:
        case Refused():
            return run_end.refused(snapshot, answer.reason, answer.message)
        case Later():
            return queueing.wait_for_opening(snapshot, answer)
        case CheckFirst(lookup):
            return Plan(lookups=(lookup,))
        case Admitted():
            return queueing.line_up(snapshot, answer)


def _line_up(snapshot: Snapshot, admitted: Admitted) -> Plan:
    """A limit applies to a run that can run: it is accepted, and waits for its places."""
    plan = queueing.line_up(snapshot, admitted)
    if plan.status is None:
        return plan
    return replace(plan, adopt=_is_foreign(snapshot), revision=_to_write(snapshot, admitted.revision))


def _to_write(snapshot: Snapshot, revision: Revision) -> Revision | None:
    # One that the run names exists: what would be written is the workflow as it is.
    return revision if snapshot.execution.spec.revision is None else None


def _not_yet(snapshot: Snapshot, answer: NotYet) -> Plan:
    recorded = snapshot.execution.status
    new = conditions_with(snapshot, (conditions.ACCEPTED, "Unknown", answer.reason, answer.message))
    since = snapshot.execution.metadata.creation_timestamp or snapshot.now
    waiting = waits(recorded, answer.reason, since)
    wanted = replace_status(recorded, phase="Pending", message=answer.message, conditions=new, **waiting)
    patch = status_patch(recorded, wanted)
    return Plan(status=patch or None, outcome=Waiting(answer.until))


def _begin(snapshot: Snapshot, admitted: Admitted) -> Plan:
    """Accepted now: recorded after the first Jobs are created, in one write."""
    execution = snapshot.execution
    place = admitted.place
    new = conditions_with(
        snapshot,
        (conditions.ACCEPTED, "True", conditions.VALID, "it can run"),
        (conditions.PLACED, "True", place.reason, place.message),
    )
    status = replace_status(
        execution.status,
        environment=place.name,
        placement=place.placement,
        revision=admitted.revision.name,
        trace_level=admitted.revision.spec.trace_level,
        conditions=new,
        message=None,
    )
    run = replace(
        run_of(snapshot, admitted.revision, place.spec),
        place=place.name if place.reason == conditions.CHOSEN else None,
        lost_environment=None,
    )
    plan = progress.plan(snapshot, run, status)
    return replace(plan, adopt=_is_foreign(snapshot), revision=_to_write(snapshot, admitted.revision))


def _is_foreign(snapshot: Snapshot) -> bool:
    """Whether the execution lacks its workflow as owner or label, as when kubectl created it."""
    execution, workflow = snapshot.execution, snapshot.workflow
    if workflow is None or workflow_of(execution.metadata) not in ("", workflow.metadata.uid):
        return False
    owned = any(o.uid == workflow.metadata.uid for o in execution.metadata.owner_references)
    return not owned or execution.metadata.labels.workflow != workflow.metadata.name


def replace_status(status: ExecutionStatusView, **changes: object) -> ExecutionStatusView:
    """A status with some fields changed."""
    return run_end.replace_status(status, **changes)
