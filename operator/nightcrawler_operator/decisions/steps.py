"""One step of a live run: from what is recorded and observed to what is to be recorded and done.

The Job of a first attempt is created and then recorded; a further attempt is recorded and then its Job is
created. So a record of attempt 1 says that its Job has existed, and a record of a later attempt says so only
once it names the Job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES, conditions
from nightcrawler_operator.decisions import retrying
from nightcrawler_operator.decisions.attempt_result import LINGER
from nightcrawler_operator.decisions.attempt_state import AttemptState, Blame, Failed, Runs, Succeeded, Waits
from nightcrawler_operator.decisions.attempts import look_again, state_of
from nightcrawler_operator.decisions.context import NOT_BEGUN, StepContext
from nightcrawler_operator.decisions.job_blockers import ended_without_job, what_blocks
from nightcrawler_operator.decisions.pods import is_live, lingers, may_run, step_termination
from nightcrawler_operator.decisions.recorded import waits_since
from nightcrawler_operator.decisions.usage import step_usage
from nightcrawler_operator.plan import Deadline, LookForJob, Lookup, OldObject
from nightcrawler_operator.snapshot import Attempt

_LAST_POD_RECHECK = timedelta(seconds=10)
"""How often the Pod of the last attempt is checked while the next attempt waits for its end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What becomes of one step. `write_by` is when a change that may be delayed has to be written.

    `record_first` says that the step's program is to be ended, but only once the reason is recorded: then it
    does not matter what becomes of the Pod, or of the operator, between the two. `waits_since` is since when
    the step waits, if it does.
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
    waits_since: datetime | None = None


def advance(ctx: StepContext, before: Mapping[str, StepStatusView]) -> Progress:
    """What becomes of a step; `before` are the current states of the steps it depends on."""
    recorded = ctx.recorded
    if recorded.phase in TERMINAL_STEP_PHASES:
        return _ended(ctx)
    if recorded.phase == "Retrying":
        return _retrying(ctx)
    if recorded.attempt == 0:
        if (ctx.step.name, 1) not in ctx.snapshot.attempts:
            return _begin(ctx, before)
        # Its Job exists, and was not recorded.
        recorded = StepStatusView(phase="Pending", attempt=1, job_name=ctx.job_name(1))
    return _attempt(replace(ctx, recorded=recorded))


def _begin(ctx: StepContext, before: Mapping[str, StepStatusView]) -> Progress:
    if any(status.phase != "Completed" for status in before.values()):
        return Progress(None if ctx.recorded is NOT_BEGUN else ctx.recorded)
    ready_since = max(
        (status.completion_time for status in before.values() if status.completion_time),
        default=waits_since(ctx.snapshot.execution) or ctx.now,
    )
    name = ctx.job_name(1)
    blocked = _blocked(ctx, name, ready_since, NOT_BEGUN)
    if blocked is not None:
        return blocked
    status = StepStatusView(phase="Pending", attempt=1, job_name=name)
    return Progress(status, first_job=NewJob(ctx.step.name, 1, name))


def _blocked(
    ctx: StepContext, name: str, ready_since: datetime | None, waiting: StepStatusView
) -> Progress | None:
    """Why a Job is not created although its attempt is due; None if nothing blocks it.

    `waiting` is the status of the attempt while it waits. The queue timeout runs from `ready_since`.
    """
    why = what_blocks(ctx, name)
    if why is None:
        return None
    counts = {
        "attempt": waiting.attempt,
        "disruptions": waiting.disruptions,
        "preemptions": waiting.preemptions,
        "earlier_seconds": waiting.earlier_seconds,
        "attempts": waiting.attempts,
    }
    if isinstance(why, StepStatusView):
        return Progress(msgspec.structs.replace(why, **counts))
    limit = ctx.snapshot.limits.queue_timeout
    over = ready_since + timedelta(seconds=limit) if ready_since is not None else None
    if over is not None and ctx.now >= over:
        message = f"waited longer than the queue timeout of {limit:g} s: it {why.message}"
        ended = ended_without_job(ctx, conditions.STEP_QUEUE_TIMED_OUT, message)
        return Progress(msgspec.structs.replace(ended, **counts))
    message = ctx.sentence(why.message)
    known = ctx.snapshot.execution.status.steps.get(ctx.step.name)
    if why.ask_again and known and (known.attempt, known.reason) == (waiting.attempt, why.reason):
        # The same refusal in other words (how much of the quota is left) is not worth a write.
        message = known.message or message
    status = msgspec.structs.replace(waiting, reason=why.reason, message=message)
    return Progress(
        status,
        write_by=why.show_at or ctx.now,
        look_at=_earliest(why.ask_again, over),
        waits_since=ready_since,
    )


def _attempt(ctx: StepContext) -> Progress:
    recorded = ctx.recorded
    name = ctx.job_name(recorded.attempt)
    attempt = ctx.attempt(recorded.attempt)
    if recorded.job_name is None and attempt.job is None and not attempt.pods:
        return _create_recorded(ctx, name)
    if recorded.job_name is None:
        # Its Job exists now: why it was blocked is over.
        ctx = replace(ctx, recorded=msgspec.structs.replace(recorded, reason=None, message=None))
    return _record(ctx, name, attempt, state_of(ctx, name, attempt))


def _create_recorded(ctx: StepContext, name: str) -> Progress:
    """A further attempt is recorded, or will be by this plan, and its Job is to be created."""
    recorded = ctx.recorded
    ended = _last_ended(ctx, recorded.attempt)
    # Why the last attempt ended is no longer recorded: assume the longer delay, the program's.
    ready_since = ended and retrying.next_attempt_at(ctx.resolved, ended, None, recorded.disruptions)
    blocked = _blocked(ctx, name, ready_since, recorded)
    return blocked or Progress(recorded, later_job=NewJob(ctx.step.name, recorded.attempt, name))


def _last_ended(ctx: StepContext, attempt: int) -> datetime | None:
    """When the attempt before this one ended, which is no longer recorded.

    If it is unknown and no Pod of the run has started, the run has waited since it could begin. A run that
    has started ends by its own timeout: None.
    """
    last, execution = ctx.attempt(attempt - 1), ctx.snapshot.execution
    ends = [end.finished_at for pod in last.pods if (end := step_termination(pod)) and end.finished_at]
    if last.job is not None and last.job.status.end is not None:
        ends.append(last.job.status.end.last_transition_time or ctx.now)
    if not ends and execution.status.start_time is None:
        return waits_since(execution)
    return max(ends, default=None)


def _record(ctx: StepContext, name: str, attempt: Attempt, state: AttemptState) -> Progress:
    recorded = ctx.recorded
    base = StepStatusView(
        phase=recorded.phase,
        attempt=recorded.attempt,
        disruptions=recorded.disruptions,
        preemptions=recorded.preemptions,
        earlier_seconds=recorded.earlier_seconds,
        job_name=name,
        attempts=recorded.attempts,
    )
    match state:
        case Succeeded(lookups=lookups) | Failed(lookups=lookups) if lookups:
            return Progress(recorded, lookups=lookups)
        case Succeeded():
            status = msgspec.structs.replace(
                base,
                phase="Completed",
                start_time=state.started or recorded.start_time,
                completion_time=_not_before(state.finished, state.started),
                exit_code=state.exit_code,
                usage=step_usage(ctx, recorded.attempt),
            )
            return Progress(status)
        case Failed():
            return _failed(ctx, base, state, attempt)
        case Runs():
            return _runs(ctx, base, state)
        case Waits():
            return _waits(ctx, base, state)


def _runs(ctx: StepContext, base: StepStatusView, runs: Runs) -> Progress:
    recorded = ctx.recorded
    message = ctx.sentence(runs.message) if runs.message else None
    if runs.reason == recorded.reason == conditions.STEP_SIDECAR:
        message = recorded.message  # its output may differ each time, and is worth one write
    status = msgspec.structs.replace(
        base, phase="Running", start_time=runs.started, reason=runs.reason, message=message
    )
    # A start may wait to be written with other changes; that a problem began or ended may not.
    problems = (conditions.STEP_NODE_LOST, conditions.STEP_SIDECAR, conditions.STEP_NOT_WATCHED)
    urgent = runs.reason or recorded.reason in problems
    window = timedelta(seconds=ctx.snapshot.limits.status_window)
    return Progress(
        status,
        write_by=ctx.now if urgent else runs.started + window,
        look_at=runs.look_at,
        force_delete=runs.force_delete,
        lookups=runs.lookups,
        deadline=runs.deadline,
    )


def _waits(ctx: StepContext, base: StepStatusView, waits: Waits) -> Progress:
    recorded = ctx.recorded
    job = ctx.attempt(recorded.attempt).job
    reason: str | None = waits.reason
    message: str | None = ctx.sentence(waits.message)
    short = ctx.now < waits.show_at
    if recorded.reason == waits.reason:
        # The same reason in other words (numbers of nodes) is not worth a write of its own.
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
        waits_since=job.metadata.creation_timestamp if job is not None else None,
    )


def _failed(ctx: StepContext, base: StepStatusView, failed: Failed, attempt: Attempt) -> Progress:
    next_ = retrying.after_failure(
        ctx.resolved,
        ctx.snapshot.limits,
        failed,
        base.attempt,
        base.disruptions,
        base.preemptions,
        cordoned=ctx.cordon is not None,
    )
    ended = _not_before(failed.finished, failed.started)
    again = isinstance(next_, retrying.Again)
    message = failed.message if isinstance(next_, retrying.Again) else next_.message
    status = msgspec.structs.replace(
        base,
        phase="Retrying" if again else "Failed",
        disruptions=next_.disruptions,
        preemptions=next_.preemptions,
        start_time=failed.started or ctx.recorded.start_time,
        completion_time=ended,
        exit_code=failed.exit_code,
        reason=failed.reason,
        message=ctx.sentence(message),
        usage=step_usage(ctx, base.attempt),
    )
    may_go_on = any(may_run(pod) for pod in attempt.pods)
    if may_go_on and failed.blame is Blame.PROGRAM:
        # It timed out. Ended before that is recorded, a program that exits with 0 would pass for disrupted.
        return Progress(status, look_at=ctx.now, record_first=True)
    # An attempt that is given up (its image cannot be pulled) may still have a Pod.
    delete = _job_of(attempt) if may_go_on or _without_pod(attempt) else ()
    if not again:
        return Progress(status, delete_jobs=delete)
    due = retrying.next_attempt_at(ctx.resolved, ended, failed.reason, next_.disruptions)
    return Progress(status, look_at=due, delete_jobs=delete)


def _retrying(ctx: StepContext) -> Progress:
    recorded = ctx.recorded
    ended = recorded.completion_time or ctx.now
    name = ctx.job_name(recorded.attempt)
    last = ctx.attempt(recorded.attempt)
    live = next((pod for pod in last.pods if is_live(pod)), None)
    if live is not None:
        return _behind(ctx, name, last, live)
    due = retrying.next_attempt_at(ctx.resolved, ended, recorded.reason, recorded.disruptions)
    if ctx.now < due:
        return Progress(recorded, look_at=due)
    # Never two at once: no watch reports a Pod that lost its label, and an operator that has just started
    # may never have seen it.
    over = bool(last.pods) or (last.job is not None and last.job.status.end is not None)
    if not over and name not in ctx.snapshot.absent:
        return Progress(recorded, lookups=(LookForJob(name, has_run=True),))
    attempt = recorded.attempt + 1
    status = StepStatusView(
        phase="Pending",
        attempt=attempt,
        disruptions=recorded.disruptions,
        preemptions=recorded.preemptions,
        earlier_seconds=recorded.earlier_seconds + round(seconds_run(recorded)),
        attempts=recorded.attempts,
    )
    return _create_recorded(replace(ctx, recorded=status), ctx.job_name(attempt))


def _behind(ctx: StepContext, name: str, last: Attempt, live: PodView) -> Progress:
    """The last attempt's Pod has not ended, so the next attempt waits: never two at once.

    Its Job is deleted at once if its program, which was given up, still runs, and after a short time if an
    injected side-car keeps the Pod. If nothing in the Pod runs, its kubelet will report its end.
    """
    recorded = ctx.recorded
    ended = recorded.completion_time or ctx.now
    over = ended if may_run(live) else ended + LINGER
    delete = _job_of(last) if ctx.now >= over and (lingers(live) or may_run(live)) else ()
    deletion = live.metadata.deletion_timestamp
    lost = (
        deletion is not None and ctx.now >= deletion and live.spec.node_name not in ctx.snapshot.nodes.ready
    )
    force = lost and ctx.force_deletes
    lookups, ask_at = look_again(ctx, name, last)
    return Progress(
        recorded,
        look_at=_earliest(max(over, ctx.now + _LAST_POD_RECHECK), ask_at),
        delete_jobs=delete,
        force_delete=(OldObject(live.metadata.name, live.metadata.uid),) if force else (),
        lookups=lookups,
    )


def _ended(ctx: StepContext) -> Progress:
    """A step that has ended; if an injected side-car keeps its Pod, its Job is deleted."""
    recorded = ctx.recorded
    attempt = ctx.attempt(recorded.attempt)
    if not any(lingers(pod) for pod in attempt.pods):
        return Progress(recorded)
    over = (recorded.completion_time or ctx.now) + LINGER
    if ctx.now < over:
        return Progress(recorded, look_at=over)
    return Progress(recorded, delete_jobs=_job_of(attempt))


def seconds_run(status: StepStatusView) -> float:
    """For how many seconds the container of the current or last attempt ran, if that has ended."""
    if status.start_time is None or status.completion_time is None:
        return 0.0
    return max(0.0, (status.completion_time - status.start_time).total_seconds())


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
