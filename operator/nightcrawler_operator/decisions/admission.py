"""Whether an execution may run at all: decided once, and then recorded.

Rules in order; the first that refuses or waits decides. What may be possible later (no node is large
enough now) is no reason to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.planning.candidates import NoPlace
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import (
    Problem,
    parameter_problems,
    profile_problems,
    workflow_problems,
)
from nightcrawler_operator.claims import Place
from nightcrawler_operator.decisions.ownership import workflow_of
from nightcrawler_operator.decisions.placement import (
    Circumstances,
    Later,
    LookUpPastRuns,
    depends_on_absence,
    place,
)
from nightcrawler_operator.plan import (
    LookForEnvironments,
    LookForPastRuns,
    LookForProfiles,
    LookForRevision,
    Lookup,
)
from nightcrawler_operator.snapshot import Snapshot

_BROUGHT_BACK_WITHIN: Final = timedelta(seconds=10)
"""How long after its creation the revision of a run that repeats another may come back."""
_LOOK_AGAIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot run: the execution is Failed."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """It may be able to run later."""

    reason: str
    message: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Admitted:
    """It can run: this revision, in this place."""

    revision: Revision
    place: Place


@dataclass(frozen=True, slots=True)
class CheckFirst:
    """It depends on what the caches may lack: look it up first."""

    lookup: Lookup


Answer = Refused | NotYet | CheckFirst
Rule = Callable[[Snapshot], Answer | None]


def admit(snapshot: Snapshot) -> Admitted | Answer:
    """Whether the execution of this snapshot may run. Its `revision` is the live workflow's content."""
    for rule in RULES:
        answer = rule(snapshot)
        if answer is not None:
            return answer
    assert snapshot.revision is not None
    found = find_place(snapshot, snapshot.revision)
    return _wait_for_opening(snapshot, found) if isinstance(found, Later) else found


def find_place(snapshot: Snapshot, revision: Revision) -> Admitted | Refused | CheckFirst | Later:
    """Where a run that is sound may run now."""
    given = Circumstances(
        environments=snapshot.environments,
        nodes=snapshot.nodes,
        limits=snapshot.limits,
        now=snapshot.now,
        outlook=snapshot.outlook,
        begun_in=snapshot.named_environment,
    )
    chosen = place(snapshot.execution.spec.environment, revision, given)
    if depends_on_absence(chosen) and not snapshot.fresh_environments:
        return CheckFirst(LookForEnvironments())
    match chosen:
        case NoPlace(reason, message):
            return Refused(reason, message)
        case Later():
            return chosen
        case LookUpPastRuns():
            return CheckFirst(LookForPastRuns())
        case Place():
            return Admitted(revision, chosen)


def _wait_for_opening(snapshot: Snapshot, later: Later) -> Answer:
    """All Environments are cordoned: it waits as long as a step may wait for its Pod."""
    limit = snapshot.limits.queue_timeout
    created = snapshot.execution.metadata.creation_timestamp or snapshot.now
    over = created + timedelta(seconds=limit)
    if snapshot.now >= over:
        message = f"waited longer than the queue timeout of {limit:g} s: it {later.message}"
        return Refused(conditions.CORDONED, message)
    return NotYet(conditions.CORDONED, later.message, min(later.until or over, over))


def _workflow_there(snapshot: Snapshot) -> Answer | None:
    execution = snapshot.execution
    workflow = snapshot.workflow
    owner = workflow_of(execution.metadata)
    if workflow is not None and workflow.metadata.deletion_timestamp is None:
        if owner in ("", workflow.metadata.uid):
            return None
        # It is of a Workflow that was deleted; the one that has its name now is another.
        workflow = None
    name = execution.spec.workflow_ref.name
    made = execution.metadata.creation_timestamp or snapshot.now
    until = made + timedelta(seconds=snapshot.limits.workflow_grace)
    where = f"in namespace {execution.metadata.namespace}"
    if snapshot.now < until:
        message = f"waits for workflow {name!r}, which is not {where} (yet)"
        return NotYet(conditions.WORKFLOW_MISSING, message, until)
    message = f"there is no workflow {name!r} {where}; apply it and run it again"
    if owner and snapshot.workflow is not None:
        message = (
            f"the workflow {name!r} that it is a run of was deleted; one of that name is another workflow"
        )
    return Refused(conditions.WORKFLOW_NOT_FOUND, message)


def _revision_there(snapshot: Snapshot) -> Answer | None:
    wanted = snapshot.execution.spec.revision
    assert snapshot.workflow is not None
    if wanted is None or (
        snapshot.revision is not None and snapshot.revision.owner == snapshot.workflow.metadata.uid
    ):
        return None
    name = snapshot.workflow.metadata.name
    if snapshot.lost_revision and (answer := _brought_back(snapshot, wanted)) is not None:
        return answer
    message = (
        f"there is no ControllerRevision {wanted!r} of workflow {name!r}; it goes with the last run that "
        "used it: leave spec.revision out to run the workflow as it is"
    )
    return Refused(conditions.REVISION_NOT_FOUND, message)


def _brought_back(snapshot: Snapshot, revision: str) -> Answer | None:
    """A run that repeats another waits a moment for its revision.

    That may have been deleted as unneeded just before the run was created: then the facade, which has
    created it, brings the revision back from the archive.
    """
    execution = snapshot.execution
    created = execution.metadata.creation_timestamp or snapshot.now
    looked_up = snapshot.looked_up.get(revision, created)
    if execution.spec.trigger.rerun_of is None or looked_up >= created + _BROUGHT_BACK_WITHIN:
        return None
    again = looked_up + _LOOK_AGAIN
    if snapshot.now >= again:
        return CheckFirst(LookForRevision(revision))
    message = f"waits for ControllerRevision {revision!r}, which the run that it repeats used"
    return NotYet(conditions.REVISION_MISSING, message, again)


def _workflow_readable(snapshot: Snapshot) -> Answer | None:
    if snapshot.revision is None:
        name = snapshot.execution.spec.workflow_ref.name
        message = f"workflow {name!r} cannot be read; see its condition Accepted"
        return Refused(conditions.WORKFLOW_NOT_ACCEPTED, message)
    return None


def _workflow_sound(snapshot: Snapshot) -> Answer | None:
    assert snapshot.revision is not None
    problems = workflow_problems(snapshot.revision.spec, snapshot.limits.pod_policy)
    return _refused(problems) if problems else None


def _profiles_sound(snapshot: Snapshot) -> Answer | None:
    assert snapshot.revision is not None
    if snapshot.named_revision:
        return None  # Jobs were created from it: it has the profiles, whatever became of them since
    problems = profile_problems(snapshot.revision.spec, snapshot.profiles)
    if not problems:
        return None
    return _refused(problems) if snapshot.fresh_profiles else CheckFirst(LookForProfiles())


def _parameters_sound(snapshot: Snapshot) -> Answer | None:
    assert snapshot.revision is not None
    problems = parameter_problems(snapshot.revision.spec, snapshot.execution.spec.parameters)
    return _refused(problems) if problems else None


def _refused(problems: Sequence[Problem]) -> Refused:
    return Refused(problems[0].reason, "; ".join(problem.message for problem in problems[:5]))


RULES: Final[Sequence[Rule]] = (
    _workflow_there,  # kubectl apply may send the execution before the workflow
    _revision_there,
    _workflow_readable,
    _workflow_sound,
    _profiles_sound,  # they only add to what the workflow says itself
    _parameters_sound,  # after the workflow's own problems, which are more fundamental
)
