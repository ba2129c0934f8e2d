"""A run that limits apply to: it waits in line, and begins once it is recorded to have its places."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.allocation import (
    Queue,
    Subject,
    limit_of_installation,
    rank,
    subjects_of,
    written_limit,
)
from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import cordon, find_environment
from nightcrawler_operator.claims import Claim, Place, Withdrawn
from nightcrawler_operator.decisions.admission import Admitted
from nightcrawler_operator.decisions.dominant import waits
from nightcrawler_operator.decisions.placement import Later, recorded_place
from nightcrawler_operator.decisions.recorded import conditions_with, is_granted
from nightcrawler_operator.decisions.run_end import replace_status
from nightcrawler_operator.decisions.status import status_patch
from nightcrawler_operator.plan import Plan, Waiting
from nightcrawler_operator.snapshot import Snapshot

RENEWED_AFTER: Final = timedelta(seconds=30)
"""After so long a run that a strategy placed is placed again before it gets its places."""
_CORDON_RECHECK: Final = timedelta(minutes=10)


def in_line(snapshot: Snapshot) -> bool:
    """Whether an accepted run waits for its places; one that has Jobs has had them."""
    if snapshot.attempts:
        return False
    status, standing = snapshot.execution.status, snapshot.standing
    if is_granted(status) is False:
        return True
    if standing is None or not standing.late:
        return False
    place = standing.place if standing.granted else None
    return place is None or place.name != status.environment


def is_limited(snapshot: Snapshot, place: Place) -> bool:
    """Whether a limit applies to a run that has not been accepted."""
    meta, workflow = snapshot.execution.metadata, snapshot.workflow
    return (
        (workflow is not None and written_limit(workflow.spec) is not None)
        or place.spec.max_running is not None
        or any(
            limit_of_installation(subject, snapshot.limits) is not None
            for subject in (Subject("Namespace", meta.namespace), Subject("Installation"))
        )
    )


def line_up(snapshot: Snapshot, admitted: Admitted) -> Plan:
    """Claim the places that the run needs; record that it has them, or what it waits for."""
    standing = snapshot.standing
    if standing is not None and standing.granted and (place := _kept_place(snapshot, admitted.place)):
        return _has_places(snapshot, admitted.revision, place)
    claim = _claim(snapshot, admitted)
    if standing is None or not standing.considered or standing.queue is None:
        return Plan(claim=claim)  # the allocator decides on it at once
    return Plan(status=_waits(snapshot, admitted, standing.queue), claim=claim)


def wait_for_opening(snapshot: Snapshot, later: Later) -> Plan:
    """A run in line whose Environments are all cordoned: it could not begin, so it claims no places."""
    recorded = snapshot.execution.status
    new = conditions_with(snapshot, (conditions.GRANTED, "False", conditions.CORDONED, later.message))
    waiting = waits(recorded, conditions.CORDONED, _created(snapshot))
    wanted = replace_status(recorded, phase="Pending", message=later.message, conditions=new, **waiting)
    return Plan(
        status=status_patch(recorded, wanted) or None,
        claim=Withdrawn(),
        outcome=Waiting(later.until or snapshot.now + _CORDON_RECHECK),
    )


def is_outdated(claim: Claim, now: datetime) -> bool:
    """Whether a run should be placed again before it gets its places."""
    return claim.flexible and now - claim.made_at > RENEWED_AFTER


def _kept_place(snapshot: Snapshot, now_better: Place) -> Place | None:
    """Where a run begins that has its places: there, whatever a strategy says by now, if that is open."""
    assert snapshot.standing is not None
    place = snapshot.standing.place
    if place is None or place.name == now_better.name:
        return now_better
    found = find_environment(place.name, snapshot.environments) if place.name else None
    if found is None:
        return None
    spec = recorded_place(place.name, snapshot.environments)
    return None if cordon(spec, snapshot.now) else place


def _claim(snapshot: Snapshot, admitted: Admitted) -> Claim:
    execution, place, spec = snapshot.execution, admitted.place, admitted.revision.spec
    meta = execution.metadata
    environment = place.name if place.reason == conditions.CHOSEN else None
    created = _created(snapshot)
    return Claim(
        uid=meta.uid,
        rank=rank(spec.priority, created, meta.namespace, meta.name),
        subjects=subjects_of(meta.namespace, execution.spec.workflow_ref.name, environment),
        place=place,
        made_at=snapshot.now,
        flexible=place.placement is not None,
    )


def _has_places(snapshot: Snapshot, revision: Revision, place: Place) -> Plan:
    wanted = _accepted(snapshot, revision, place)
    granted = (conditions.GRANTED, "True", conditions.PLACES_GRANTED, "it has its places under the limits")
    new = conditions_with(snapshot, *_valid(place), granted)
    wanted = replace_status(wanted, conditions=new, message=None, **waits(wanted, None, None))
    patch = status_patch(snapshot.execution.status, wanted)
    # Its Jobs are decided on once that is recorded.
    return Plan(status=patch or None, outcome=Waiting(snapshot.now))


def _waits(snapshot: Snapshot, admitted: Admitted, queue: Queue) -> dict[str, object] | None:
    recorded = snapshot.execution.status
    message = f"waits for its turn: {queue.sentence}"
    known = next((c for c in recorded.conditions if c.type == conditions.GRANTED), None)
    place = admitted.place
    if known is not None and (known.status, known.reason) == ("False", conditions.QUEUED):
        # How many are ahead changes all the time, and so do the numbers of a strategy: not worth a write.
        if recorded.environment == place.name:
            return None
        message = known.message
    wanted = _accepted(snapshot, admitted.revision, place)
    queued = (conditions.GRANTED, "False", conditions.QUEUED, message)
    new = conditions_with(snapshot, *_valid(place), queued)
    waiting = waits(recorded, conditions.QUEUED, _created(snapshot))
    wanted = replace_status(wanted, conditions=new, message=message, **waiting)
    return status_patch(recorded, wanted) or None


def _accepted(snapshot: Snapshot, revision: Revision, place: Place) -> ExecutionStatusView:
    return replace_status(
        snapshot.execution.status,
        phase="Pending",
        environment=place.name,
        placement=place.placement,
        revision=revision.name,
        progress=f"0/{len(revision.steps)}",
    )


def _created(snapshot: Snapshot) -> datetime:
    return snapshot.execution.metadata.creation_timestamp or snapshot.now


def _valid(place: Place) -> tuple[tuple[str, str, str, str], ...]:
    return (
        (conditions.ACCEPTED, "True", conditions.VALID, "it can run"),
        (conditions.PLACED, "True", place.reason, place.message),
    )
