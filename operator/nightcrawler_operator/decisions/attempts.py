"""The state of an attempt, from what the cluster still has of it.

The Pod decides; the status of the Job is used only if the Pod is gone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import JobView, PodView
from nightcrawler_crds.names import STEP_CONTAINER
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.planning.fitting import allowed_nodes, larger_than_all
from nightcrawler_crds.planning.onenode import nodes_with_devices
from nightcrawler_crds.v1alpha1 import Step, conditions
from nightcrawler_operator.decisions.attempt_result import Result, attempt_result
from nightcrawler_operator.decisions.attempt_state import AttemptState, Blame, Failed, Runs, Succeeded, Waits
from nightcrawler_operator.decisions.causes import cause_of, sentence_of
from nightcrawler_operator.decisions.containers import failing_beside, how_it_ended
from nightcrawler_operator.decisions.context import StepContext
from nightcrawler_operator.decisions.pending import Pending
from nightcrawler_operator.decisions.pods import is_live, step_status
from nightcrawler_operator.decisions.waiting import waiting
from nightcrawler_operator.plan import Deadline, LookForEvents, LookForJob, Lookup, OldObject
from nightcrawler_operator.snapshot import Attempt, Snapshot

_DEADLINE_SLACK: Final = timedelta(seconds=30)
"""The kubelet enforces a step's timeout; so much later the operator does, for a node that does not answer."""
_ASK_AGAIN: Final = timedelta(seconds=5)
"""How often an attempt is looked up that no watch reports."""
_GRAIN: Final = timedelta(seconds=1)
"""Times in a Pod's status are whole seconds: with one more, no program is ended early."""
_EVENTS_AFTER: Final = timedelta(seconds=5)
"""How long after the end of a program an Event about it may come: a busy kubelet sends Events late."""


def state_of(ctx: StepContext, job_name: str, attempt: Attempt) -> AttemptState:
    """The state of an attempt whose Job has been created."""
    state = _observed_state(ctx, job_name, attempt)
    lookups, ask_at = look_again(ctx, job_name, attempt)
    if ask_at is None or not isinstance(state, Runs | Waits):
        return state
    look_at = min(state.look_at or ask_at, ask_at)
    state = replace(state, look_at=look_at, lookups=(*state.lookups, *lookups))
    if isinstance(state, Runs) and state.reason is None:
        pods = ", ".join(pod.metadata.name for pod in attempt.pods)
        message = f"runs, but its Pod {pods} has lost the label {names.LABEL_EXECUTION_UID!r}; put it back"
        return replace(state, reason=conditions.STEP_NOT_WATCHED, message=message)
    return state


def look_again(
    ctx: StepContext, job_name: str, attempt: Attempt
) -> tuple[tuple[Lookup, ...], datetime | None]:
    """The look-up of an attempt that no watch reports, if it is due, and when it is."""
    if attempt.looked_up_at is None:
        return (), None
    ask_at = attempt.looked_up_at + _ASK_AGAIN
    lookup = LookForJob(job_name, has_run=bool(attempt.pods))
    return ((lookup,) if ctx.now >= ask_at else ()), ask_at


def _observed_state(ctx: StepContext, job_name: str, attempt: Attempt) -> AttemptState:
    snapshot, has_run = ctx.snapshot, ctx.recorded.start_time is not None
    live = next((pod for pod in attempt.pods if is_live(pod)), None)
    results = [
        _unless_killed(ctx, result, pod)
        for pod in attempt.pods
        if (result := attempt_result(ctx, pod)) is not None
    ]
    job = attempt.job
    over = _job_finished(job) if job is not None else None
    if job is not None and over is not None and over[0] and job.managed and _results_lost(results):
        return _by_job(job, over, snapshot)
    # One success among several Pods is a success: the Job controller may have created a second one.
    for first in sorted(results, key=lambda r: isinstance(r, Failed)):
        return first
    if live is not None and (running := _running(ctx, job_name, live)) is not None:
        return running
    if job is None:
        return _job_gone(job_name, live, snapshot)
    if live is None and over is not None:
        return _by_job(job, over, snapshot)
    if live is None and job.managed and (attempt.pods or attempt.pod_lost or has_run):
        return _pod_gone(attempt, snapshot)
    refusal = snapshot.refusals.get(job_name)
    volume = ctx.run.volume
    pending = Pending(
        job,
        live,
        ctx.now,
        snapshot.limits,
        snapshot.events,
        has_run,
        refusal,
        volume,
        snapshot.volume_claim,
        claim_absent=volume is not None and volume.claim in snapshot.absent,
    )
    return _not_started(ctx, pending, live)


def _results_lost(results: Sequence[Result | Runs]) -> bool:
    """Whether the Pods that have ended no longer show how.

    After a restart of its node a Pod that had succeeded may be reported as failed. Its Job's status has its
    earlier result, and other steps may have begun because of that.
    """
    return bool(results) and all(isinstance(r, Failed) and r.blame is Blame.INFRASTRUCTURE for r in results)


def _unless_killed(ctx: StepContext, result: Result, pod: PodView) -> Result | Runs:
    """The result, unless a kubelet killed the program and only an Event reports that.

    A Pod that exceeds its ephemeral storage is evicted, and if its program then exits with 0, the kubelet
    (1.35, measured) sets the Pod's phase to Succeeded. A program whose postStart hook fails is killed, too,
    and only its exit code stays in the status; that it has succeeded is known when no Event can follow.
    """
    if not isinstance(result, Succeeded | Failed):
        return result
    evictable = isinstance(result, Succeeded) and ctx.resolved.resources.ephemeral_storage
    hooked = _has_hook(ctx.step) and (isinstance(result, Succeeded) or result.reason == conditions.STEP_ERROR)
    if not evictable and not hooked:
        return result
    lookup = LookForEvents(pod.metadata.uid, "Pod", of_its_end=True)
    observed = ctx.snapshot.events.get(lookup.key)
    if observed is None:
        return replace(result, lookups=(lookup,))
    times = (result.finished, result.started, result.exit_code)
    for event in observed.events:
        if evictable and event.reason == "Evicted":
            message = f"was evicted: {one_line(event.message)}"
            return Failed(Blame.PROGRAM, conditions.STEP_DISK, message, *times)
        if hooked and event.reason == "FailedPostStartHook":
            message = f"was ended with exit code {result.exit_code}, for its postStart hook failed"
            return Failed(Blame.PROGRAM, conditions.STEP_ERROR, message, *times)
    known_at = result.finished + _EVENTS_AFTER
    # By the clock of its node: if that is ahead, what was observed has to do.
    if hooked and isinstance(result, Succeeded) and result.finished <= observed.at < known_at:
        started = result.started or result.finished
        if ctx.now < known_at:
            return Runs(started, look_at=known_at)
        return Runs(started, look_at=ctx.now + _GRAIN, lookups=(lookup,))
    return result


def _has_hook(step: Step) -> bool:
    """Whether the step's container has a postStart hook."""
    containers = ((step.pod_template or {}).get("spec") or {}).get("containers") or ()
    own = [one.get("lifecycle") or {} for one in containers if one.get("name") == STEP_CONTAINER]
    return any(lifecycle.get("postStart") for lifecycle in own)


def _running(ctx: StepContext, job_name: str, pod: PodView) -> AttemptState | None:
    status = step_status(pod)
    if status is None or status.state.running is None:
        return None
    started = status.state.running.started_at or ctx.now
    deadline = _deadline(ctx, pod, started)
    end_at = _end_at(ctx, pod, started)
    if deadline is None and end_at is not None and ctx.now >= end_at:
        message = f"took longer than its timeout of {ctx.step.timeout}"
        looked_up = ctx.snapshot.looked_up.get(job_name)
        # The cache of Pods may be stale: a program that has ended in time must not be called late.
        sure = looked_up is not None and looked_up >= end_at
        lookups = () if sure else (LookForJob(job_name, has_run=True),)
        return Failed(Blame.PROGRAM, conditions.STEP_TIMED_OUT, message, ctx.now, started, lookups=lookups)
    lost = _lost(ctx, pod)
    if lost is None:
        return _beside(pod, started, end_at, ctx.now, deadline)
    look_at = min((moment for moment in (end_at, lost.look_at) if moment), default=None)
    return Runs(
        started, conditions.STEP_NODE_LOST, lost.message, look_at, lost.force_delete, deadline=deadline
    )


def _beside(
    pod: PodView, started: datetime, end_at: datetime | None, now: datetime, deadline: Deadline | None
) -> Runs:
    """It runs; a side-car that keeps failing is reported, for the program may be waiting for it."""
    failing = failing_beside(pod, now)
    if failing is None:
        return Runs(started, look_at=end_at, deadline=deadline)
    container, until = failing
    waiting_for = container.status.state.waiting
    cause = cause_of(waiting_for) if waiting_for else None
    if cause is not None:
        why = sentence_of(*cause, container.called, container.status.image)
    else:
        assert container.last_termination is not None, "what fails beside a step has a cause, or has ended"
        why = f"{container.called} was started again and again: it {how_it_ended(container.last_termination)}"
    look_at = min((moment for moment in (end_at, until) if moment), default=None)
    return Runs(started, conditions.STEP_SIDECAR, f"runs, but {why}", look_at, deadline=deadline)


def _deadline(ctx: StepContext, pod: PodView, started: datetime) -> Deadline | None:
    """The deadline by which the kubelet ends a program that exceeds its timeout; None if it has it.

    A step's timeout is the program's: image pull and init containers do not count. The kubelet counts a Pod's
    `activeDeadlineSeconds` from when it accepted the Pod, so the value is lowered once the container has
    started; until then it is only a backstop (`building.pod`). So the kubelet ends the program even while no
    operator runs, and the Pod stays with its log and the reason `DeadlineExceeded`, whatever the exit code.
    """
    timeout = ctx.resolved.timeout
    taken, known = pod.status.start_time, pod.spec.active_deadline_seconds
    if timeout is None or taken is None or pod.metadata.uid in ctx.snapshot.deadlines_set:
        return None
    allowed = started - taken + timedelta(seconds=timeout) + _GRAIN
    seconds = max(1, math.ceil(allowed.total_seconds()))
    if known is not None and known <= seconds:
        return None
    return Deadline(pod.metadata.name, pod.metadata.uid, seconds)


def _end_at(ctx: StepContext, pod: PodView, started: datetime) -> datetime | None:
    """When the operator ends an attempt itself; a kubelet that answers has done so long before.

    If the deadline was set late, because no operator ran when the program started, the kubelet still gets the
    same time.
    """
    timeout = ctx.resolved.timeout
    if timeout is None:
        return None
    over = started + timedelta(seconds=timeout)
    return max(over, ctx.snapshot.deadlines_set.get(pod.metadata.uid, over)) + _DEADLINE_SLACK


@dataclass(frozen=True, slots=True)
class _Lost:
    """A Pod whose node does not answer. `look_at` is when the grace period of its deletion is over."""

    message: str
    look_at: datetime | None = None
    force_delete: tuple[OldObject, ...] = ()


def _lost(ctx: StepContext, pod: PodView) -> _Lost | None:
    node = pod.spec.node_name
    if not node or node in ctx.snapshot.nodes.ready:
        return None
    message = f"is on node {node}, which does not answer; the program may still be running there"
    deletion = pod.metadata.deletion_timestamp
    if deletion is None or ctx.now < deletion:
        return _Lost(message, look_at=deletion)
    if ctx.force_deletes:
        return _Lost(message, force_delete=(OldObject(pod.metadata.name, pod.metadata.uid),))
    return _Lost(f"{message}. It is tried again once the node is back or its Pod is force-deleted")


def _not_started(ctx: StepContext, pending: Pending, pod: PodView | None) -> AttemptState:
    lost = _lost(ctx, pod) if pod is not None else None
    if lost is None:
        return _no_node_is_large_enough(ctx, waiting(pending))
    wait = pending.wait(conditions.STEP_NODE_LOST, lost.message, lost.look_at)
    return replace(wait, force_delete=lost.force_delete)


def _no_node_is_large_enough(ctx: StepContext, state: Waits | Failed) -> Waits | Failed:
    """A Pod that fits no node, however empty: more than the scheduler's numbers, that is what to know."""
    if not isinstance(state, Waits) or state.reason != conditions.STEP_UNSCHEDULABLE:
        return state
    nodes, run = ctx.snapshot.nodes, ctx.run
    if run.volume is not None and run.volume.on_one_node:
        rooms = nodes_with_devices(run.revision, run.environment, nodes, ctx.snapshot.limits)
        why = larger_than_all(ctx.resolved, rooms, nodes, "the largest node that all steps may use")
    else:
        why = larger_than_all(ctx.resolved, allowed_nodes(ctx.resolved, nodes), nodes)
    if why is None:
        return state
    message = f"waits for a larger node: {why}"
    return replace(state, reason=conditions.STEP_NO_NODE_LARGE_ENOUGH, message=message)


def _job_finished(job: JobView) -> tuple[bool, datetime | None, str] | None:
    """Whether a Job succeeded, when it ended, and its message; None while it has not ended."""
    end = job.status.end
    if end is None:
        return None
    return end.type == "Complete", end.last_transition_time, end.message or end.reason


def _by_job(job: JobView, over: tuple[bool, datetime | None, str], snapshot: Snapshot) -> AttemptState:
    succeeded, ended, words = over
    name = job.metadata.name
    finished = ended or snapshot.now
    if succeeded:
        return Succeeded(job.status.start_time, finished)
    message = f"left no result: the Pod of Job {name} is gone ({one_line(words)})"
    # The cache of Pods may be stale: look it up before the attempt is called failed.
    lookups = () if name in snapshot.absent else (LookForJob(name),)
    return Failed(Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message, finished, lookups=lookups)


def _pod_gone(attempt: Attempt, snapshot: Snapshot) -> AttemptState:
    """A managed Job gets no second Pod: its Pod is gone, or only a finalizer keeps it."""
    assert attempt.job is not None
    name = attempt.job.metadata.name
    message = f"left no result: the Pod of Job {name} was deleted"
    sure = attempt.pods or name in snapshot.absent
    lookups = () if sure else (LookForJob(name, has_run=True),)
    return Failed(Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message, snapshot.now, lookups=lookups)


def _job_gone(name: str, live: PodView | None, snapshot: Snapshot) -> AttemptState:
    now = snapshot.now
    if live is not None:
        message = f"its Job {name} was deleted; its Pod {live.metadata.name} is not gone yet"
        return Waits(conditions.STEP_LAST_POD, message, now, now + timedelta(seconds=10))
    lookups = () if name in snapshot.absent else (LookForJob(name),)
    message = f"left no result: its Job {name} was deleted"
    return Failed(Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message, now, lookups=lookups)
