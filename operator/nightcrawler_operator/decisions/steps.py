"""One step of a live execution: what is recorded and what is seen → what shall be recorded and done.

A first attempt's Job is made and then recorded; a further attempt is recorded and then
made. So a record of attempt 1 says that its Job has been there, while a record of a
later attempt says so only once it names the Job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import PodView, StepStatusView
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES, Step, conditions
from nightcrawler_operator.decisions import retrying
from nightcrawler_operator.decisions.attempt_result import LINGER
from nightcrawler_operator.decisions.attempt_state import AttemptState, Blame, Failed, Runs, Succeeded, Waits
from nightcrawler_operator.decisions.attempts import look_again, state_of
from nightcrawler_operator.decisions.job_blockers import ended_without_job, what_blocks
from nightcrawler_operator.decisions.pods import is_live, lingers, may_run, step_termination
from nightcrawler_operator.decisions.status import sentence
from nightcrawler_operator.plan import Deadline, LookForJob, Lookup, NewJob, OldObject, Run
from nightcrawler_operator.snapshot import Attempt, Snapshot

_LAST_POD_RECHECK = timedelta(seconds=10)
"""How often at the latest the last attempt's Pod is looked at again, while the next one waits for it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What becomes of one step. `write_by` is when a change that can wait has to be written.

    `record_first` says that the step's program is to be ended, and only once it is on record why: whatever
    becomes of the Pod, and of us, between the two, is of no account then.
    """

    status: StepStatusView | None
    write_by: datetime | None = None
    look_at: datetime | None = None
    first_job: NewJob | None = None
    later_job: NewJob | None = None
    missing_pod: OldObject | None = None
    delete_jobs: tuple[OldObject, ...] = ()
    force_delete: tuple[OldObject, ...] = ()
    deadline: Deadline | None = None
    record_first: bool = False
    lookups: tuple[Lookup, ...] = field(default=())


def advance(
    step: Step,
    recorded: StepStatusView | None,
    before: Mapping[str, StepStatusView],
    run: Run,
    snapshot: Snapshot,
) -> Progress:
    """What becomes of a step; `before` are the states of the steps it depends on, as they are now."""
    if recorded is not None and recorded.phase in TERMINAL_STEP_PHASES:
        return _ended(step, recorded, snapshot)
    if recorded is not None and recorded.phase == "Retrying":
        return _retrying(step, recorded, run, snapshot)
    if recorded is None or recorded.attempt == 0:
        if (step.name, 1) not in snapshot.attempts:
            return _begin(step, recorded, before, run, snapshot)
        # Its Job was made, and then nobody got to record it.
        recorded = StepStatusView(phase="Pending", attempt=1, job_name=job_name(run, step, 1))
    return _attempt(step, recorded, run, snapshot)


def job_name(run: Run, step: Step, attempt: int) -> str:
    """The name of an attempt's Job."""
    return names.child_name(run.execution, run.execution_uid, step.name, attempt)


def _begin(
    step: Step,
    recorded: StepStatusView | None,
    before: Mapping[str, StepStatusView],
    run: Run,
    snapshot: Snapshot,
) -> Progress:
    if any(status.phase != "Completed" for status in before.values()):
        return Progress(recorded)
    ready_since = max(
        (status.completion_time for status in before.values() if status.completion_time),
        default=snapshot.execution.metadata.creation_timestamp or snapshot.now,
    )
    name = job_name(run, step, 1)
    held = _held_back(step, name, ready_since, StepStatusView(phase="Pending"), run, snapshot)
    if held is not None:
        return held
    status = StepStatusView(phase="Pending", attempt=1, job_name=name)
    return Progress(status, first_job=NewJob(step.name, 1, name))


def _held_back(
    step: Step, name: str, ready_since: datetime | None, held: StepStatusView, run: Run, snapshot: Snapshot
) -> Progress | None:
    """Why a Job is not made although its attempt may begin; None if nothing is in the way.

    `held` is the attempt as it is recorded while it waits. From `ready_since` on the queue timeout runs.
    """
    why = what_blocks(step, name, run, snapshot)
    if why is None:
        return None
    counts = {"attempt": held.attempt, "disruptions": held.disruptions}
    if isinstance(why, StepStatusView):
        return Progress(msgspec.structs.replace(why, **counts))
    message = why.message
    limit = snapshot.limits.queue_timeout
    over = ready_since + timedelta(seconds=limit) if ready_since is not None else None
    if over is not None and snapshot.now >= over:
        message = f"waited longer than the queue timeout of {limit:g} s: it {message}"
        ended = ended_without_job(step, conditions.STEP_TIMED_OUT, message, snapshot)
        return Progress(msgspec.structs.replace(ended, **counts))
    said = sentence(step.name, message)
    known = snapshot.execution.status.steps.get(step.name)
    if why.ask_again and known and (known.attempt, known.reason) == (held.attempt, why.reason):
        # The same refusal in other words, the room that is left for instance, is not worth a write each time.
        said = known.message or said
    status = msgspec.structs.replace(held, reason=why.reason, message=said)
    by = why.show_at or snapshot.now
    return Progress(status, write_by=by, look_at=_earliest(why.ask_again, over))


def _attempt(step: Step, recorded: StepStatusView, run: Run, snapshot: Snapshot) -> Progress:
    name = job_name(run, step, recorded.attempt)
    attempt = snapshot.attempts.get((step.name, recorded.attempt), Attempt())
    if recorded.job_name is None and attempt.job is None and not attempt.pods:
        return _make_recorded(step, recorded, name, run, snapshot)
    if recorded.job_name is None:
        # Its Job has been made since: why it was not is over.
        recorded = msgspec.structs.replace(recorded, reason=None, message=None)
    force = bool(run.environment.force_delete_on_lost_node)
    verdict = state_of(
        step, name, attempt, snapshot, has_run=recorded.start_time is not None, force_delete=force
    )
    return _record(step, recorded, name, attempt, verdict, run, snapshot)


def _make_recorded(step: Step, recorded: StepStatusView, name: str, run: Run, snapshot: Snapshot) -> Progress:
    """A further attempt is on record, or goes there with this plan, and its Job is still to be made."""
    ended = _last_ended(step, recorded.attempt, snapshot)
    # Why the last one ended is not on record any more: the longer of the pauses is the program's.
    ready_since = ended and retrying.next_attempt_at(
        step, run.revision.spec, ended, None, recorded.disruptions, snapshot.limits
    )
    held = _held_back(step, name, ready_since, recorded, run, snapshot)
    return held or Progress(recorded, later_job=NewJob(step.name, recorded.attempt, name))


def _last_ended(step: Step, attempt: int, snapshot: Snapshot) -> datetime | None:
    """When the attempt before this one ended, of which nothing is on record any more.

    If nothing else tells, a run of which no Pod has started has waited since it was created. One that
    has started ends by its own timeout: None.
    """
    last = snapshot.attempts.get((step.name, attempt - 1), Attempt())
    ends = [end.finished_at for pod in last.pods if (end := step_termination(pod)) and end.finished_at]
    if last.job is not None and last.job.status.end is not None:
        ends.append(last.job.status.end.last_transition_time or snapshot.now)
    if not ends and snapshot.execution.status.start_time is None:
        return snapshot.execution.metadata.creation_timestamp
    return max(ends, default=None)


def _record(
    step: Step,
    recorded: StepStatusView,
    name: str,
    attempt: Attempt,
    verdict: AttemptState,
    run: Run,
    snapshot: Snapshot,
) -> Progress:
    base = StepStatusView(
        phase=recorded.phase, attempt=recorded.attempt, disruptions=recorded.disruptions, job_name=name
    )
    match verdict:
        case Succeeded(lookups=lookups) | Failed(lookups=lookups) if lookups:
            return Progress(recorded, lookups=lookups)
        case Succeeded():
            status = msgspec.structs.replace(
                base,
                phase="Completed",
                start_time=verdict.started or recorded.start_time,
                completion_time=_not_before(verdict.finished, verdict.started),
                exit_code=verdict.exit_code,
            )
            return Progress(status)
        case Failed():
            return _failed(step, base, verdict, attempt, run, snapshot, recorded.start_time)
        case Runs():
            return _runs(step, base, verdict, recorded, snapshot)
        case Waits():
            return _waits(step, base, verdict, recorded, snapshot)


def _runs(
    step: Step, base: StepStatusView, runs: Runs, recorded: StepStatusView, snapshot: Snapshot
) -> Progress:
    message = sentence(step.name, runs.message) if runs.message else None
    if runs.reason == recorded.reason == conditions.STEP_SIDECAR:
        message = recorded.message  # its last words may differ each time; they are worth one write
    status = msgspec.structs.replace(
        base, phase="Running", start_time=runs.started, reason=runs.reason, message=message
    )
    # A start may wait a little for company; that something is the matter, or no longer is, may not.
    of_pod = (conditions.STEP_NODE_LOST, conditions.STEP_SIDECAR, conditions.STEP_NOT_WATCHED)
    urgent = runs.reason or recorded.reason in of_pod
    window = timedelta(seconds=snapshot.limits.status_window)
    by = snapshot.now if urgent else runs.started + window
    return Progress(
        status,
        write_by=by,
        look_at=runs.look_at,
        force_delete=runs.force_delete,
        lookups=runs.lookups,
        deadline=runs.deadline,
    )


def _waits(
    step: Step, base: StepStatusView, waits: Waits, recorded: StepStatusView, snapshot: Snapshot
) -> Progress:
    reason: str | None = waits.reason
    message: str | None = sentence(step.name, waits.message)
    short = snapshot.now < waits.show_at
    if recorded.reason == waits.reason:
        # The same reason in slightly other words (numbers of nodes) is not worth a write of its own.
        message = recorded.message
    elif short:
        reason, message = recorded.reason, recorded.message
    return Progress(
        msgspec.structs.replace(base, start_time=recorded.start_time, reason=reason, message=message),
        write_by=waits.show_at,
        look_at=_earliest(waits.look_at, waits.show_at if short else None),
        missing_pod=waits.missing_pod,
        force_delete=waits.force_delete,
        lookups=waits.lookups,
    )


def _failed(
    step: Step,
    base: StepStatusView,
    failed: Failed,
    attempt: Attempt,
    run: Run,
    snapshot: Snapshot,
    recorded_start: datetime | None,
) -> Progress:
    spec = run.revision.spec
    next_ = retrying.after_failure(step, spec, failed, base.attempt, base.disruptions, snapshot.limits)
    ended = _not_before(failed.finished, failed.started)
    again = isinstance(next_, retrying.Again)
    message = failed.message if isinstance(next_, retrying.Again) else next_.message
    status = msgspec.structs.replace(
        base,
        phase="Retrying" if again else "Failed",
        disruptions=next_.disruptions,
        start_time=failed.started or recorded_start,
        completion_time=ended,
        exit_code=failed.exit_code,
        reason=failed.reason,
        message=sentence(step.name, message),
    )
    may_go_on = any(may_run(pod) for pod in attempt.pods)
    if may_go_on and failed.blame is Blame.PROGRAM:
        # Out of time. Ended first, a program that exits politely could pass for one that was disrupted.
        return Progress(status, look_at=snapshot.now, record_first=True)
    # An attempt that is given up (an image that cannot be had) may still have a Pod.
    delete = _job_of(attempt) if may_go_on or _without_pod(attempt) else ()
    if not again:
        return Progress(status, delete_jobs=delete)
    due = retrying.next_attempt_at(step, spec, ended, failed.reason, next_.disruptions, snapshot.limits)
    return Progress(status, look_at=due, delete_jobs=delete)


def _retrying(step: Step, recorded: StepStatusView, run: Run, snapshot: Snapshot) -> Progress:
    ended = recorded.completion_time or snapshot.now
    due = retrying.next_attempt_at(
        step, run.revision.spec, ended, recorded.reason, recorded.disruptions, snapshot.limits
    )
    name = job_name(run, step, recorded.attempt)
    last = snapshot.attempts.get((step.name, recorded.attempt), Attempt())
    live = next((pod for pod in last.pods if is_live(pod)), None)
    if live is not None:
        return _behind(recorded, name, last, live, run, snapshot)
    if snapshot.now < due:
        return Progress(recorded, look_at=due)
    # Never two at once: no watch tells of a Pod that lost its label, and who has just started may never
    # have seen it.
    over = bool(last.pods) or (last.job is not None and last.job.status.end is not None)
    if not over and name not in snapshot.absent:
        return Progress(recorded, lookups=(LookForJob(name, has_run=True),))
    attempt = recorded.attempt + 1
    status = StepStatusView(phase="Pending", attempt=attempt, disruptions=recorded.disruptions)
    return _make_recorded(step, status, job_name(run, step, attempt), run, snapshot)


def _behind(
    recorded: StepStatusView, name: str, last: Attempt, live: PodView, run: Run, snapshot: Snapshot
) -> Progress:
    """The last attempt's Pod has not ended, so the next one waits: never two at once.

    Its Job is deleted at once if its program still runs, which was given up, and after a little time if an
    injected side-car keeps it. A Pod of which nothing runs any more only waits for its kubelet to say so.
    """
    ended = recorded.completion_time or snapshot.now
    over = ended if may_run(live) else ended + LINGER
    delete = _job_of(last) if snapshot.now >= over and (lingers(live) or may_run(live)) else ()
    deletion = live.metadata.deletion_timestamp
    lost = (
        deletion is not None and snapshot.now >= deletion and live.spec.node_name not in snapshot.nodes.ready
    )
    force = lost and run.environment.force_delete_on_lost_node
    lookups, ask_at = look_again(name, last, snapshot)
    return Progress(
        recorded,
        look_at=_earliest(max(over, snapshot.now + _LAST_POD_RECHECK), ask_at),
        delete_jobs=delete,
        force_delete=(OldObject(live.metadata.name, live.metadata.uid),) if force else (),
        lookups=lookups,
    )


def _ended(step: Step, recorded: StepStatusView, snapshot: Snapshot) -> Progress:
    """An ended step whose Pod an injected side-car keeps has its Job deleted; its result is recorded."""
    attempt = snapshot.attempts.get((step.name, recorded.attempt), Attempt())
    if not any(lingers(pod) for pod in attempt.pods):
        return Progress(recorded)
    over = (recorded.completion_time or snapshot.now) + LINGER
    if snapshot.now < over:
        return Progress(recorded, look_at=over)
    return Progress(recorded, delete_jobs=_job_of(attempt))


def _job_of(attempt: Attempt) -> tuple[OldObject, ...]:
    if attempt.job is None or attempt.job.metadata.deletion_timestamp is not None:
        return ()
    return (OldObject(attempt.job.metadata.name, attempt.job.metadata.uid),)


def _without_pod(attempt: Attempt) -> bool:
    return attempt.job is not None and not attempt.pods and attempt.job.status.end is None


def _not_before(end: datetime, start: datetime | None) -> datetime:
    # Clocks of nodes differ; no duration is negative.
    return end if start is None or end >= start else start


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
