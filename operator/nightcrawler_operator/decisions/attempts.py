"""What can be said of an attempt, from whatever the cluster still has of it.

The Pod is asked first; the Job's own account is used only when the Pod is gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import names, words
from nightcrawler_crds.kube.views import JobView, PodView
from nightcrawler_crds.names import STEP_CONTAINER
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import Step, conditions
from nightcrawler_operator.decisions.attempt_result import Result, attempt_result
from nightcrawler_operator.decisions.attempt_state import AttemptState, Blame, Failed, Runs, Succeeded, Waits
from nightcrawler_operator.decisions.causes import cause_of, sentence_of
from nightcrawler_operator.decisions.containers import failing_beside, how_it_ended
from nightcrawler_operator.decisions.pods import is_live, step_status
from nightcrawler_operator.decisions.waiting import Pending, waiting
from nightcrawler_operator.plan import Deadline, LookForEvents, LookForJob, Lookup, OldObject
from nightcrawler_operator.resources import effective_resources
from nightcrawler_operator.snapshot import Attempt, Snapshot

_DEADLINE_SLACK: Final = timedelta(seconds=30)
"""The kubelet enforces a step's timeout; this much later we do, for a node that does not answer."""
_ASK_AGAIN: Final = timedelta(seconds=5)
"""How often an attempt is asked for of which no watch tells."""
_GRAIN: Final = timedelta(seconds=1)
"""Moments of Pods are whole seconds: with one more, no program is ended before its time."""


def state_of(
    step: Step, job_name: str, attempt: Attempt, snapshot: Snapshot, *, has_run: bool, force_delete: bool
) -> AttemptState:
    """The state of a begun attempt of a step; `has_run` if its start is on record."""
    verdict = _by_what_is_there(step, job_name, attempt, snapshot, has_run=has_run, force_delete=force_delete)
    lookups, ask_at = look_again(job_name, attempt, snapshot)
    if ask_at is None or not isinstance(verdict, Runs | Waits):
        return verdict
    look_at = min(verdict.look_at or ask_at, ask_at)
    verdict = replace(verdict, look_at=look_at, lookups=(*verdict.lookups, *lookups))
    if isinstance(verdict, Runs) and verdict.reason is None:
        pods = ", ".join(pod.metadata.name for pod in attempt.pods)
        message = f"runs, but its Pod {pods} has lost the label {names.LABEL_EXECUTION_UID!r}; put it back"
        return replace(verdict, reason=conditions.STEP_NOT_WATCHED, message=message)
    return verdict


def look_again(
    job_name: str, attempt: Attempt, snapshot: Snapshot
) -> tuple[tuple[Lookup, ...], datetime | None]:
    """The look-up of an attempt of which no watch tells, if it is time for it, and when it will be."""
    if attempt.looked_up_at is None:
        return (), None
    ask_at = attempt.looked_up_at + _ASK_AGAIN
    lookup = LookForJob(job_name, has_run=bool(attempt.pods))
    return ((lookup,) if snapshot.now >= ask_at else ()), ask_at


def _by_what_is_there(
    step: Step, job_name: str, attempt: Attempt, snapshot: Snapshot, *, has_run: bool, force_delete: bool
) -> AttemptState:
    live = next((pod for pod in attempt.pods if is_live(pod)), None)
    limit = memory_limit(step, snapshot)
    results = [
        _unless_ended_otherwise(result, step, pod, snapshot)
        for pod in attempt.pods
        if (result := attempt_result(pod, step, snapshot.now, limit)) is not None
    ]
    job = attempt.job
    over = _job_finished(job) if job is not None else None
    if job is not None and over is not None and over[0] and job.managed and _is_lost(results):
        return _by_job(job, over, snapshot)
    # One success among several Pods is a success: the Job controller may have made a second one.
    for result in sorted(results, key=lambda r: isinstance(r, Failed)):
        return result
    if live is not None and (running := _running(step, live, snapshot, force_delete)) is not None:
        return running
    if job is None:
        return _job_gone(job_name, live, snapshot)
    if live is None and over is not None:
        return _by_job(job, over, snapshot)
    if live is None and job.managed and (attempt.pods or attempt.pod_lost or has_run):
        return _pod_gone(attempt, snapshot)
    pending = Pending(
        job,
        live,
        snapshot.now,
        snapshot.limits,
        snapshot.events,
        has_run,
        snapshot.refusals.get(job_name),
    )
    return _not_started(pending, live, snapshot, force_delete)


def _is_lost(results: list[Result]) -> bool:
    """Whether Pods that have ended do not say any more how.

    After a restart of its node a Pod that had succeeded may be said to have failed. We have told its Job
    what it said before, and other steps may have begun on that.
    """
    return bool(results) and all(isinstance(r, Failed) and r.blame is Blame.INFRASTRUCTURE for r in results)


def _unless_ended_otherwise(result: Result, step: Step, pod: PodView, snapshot: Snapshot) -> Result:
    """The result, unless a kubelet ended the program, and only an Event tells of that.

    Over its ephemeral storage a Pod is evicted, and if its program takes that for a polite end, with exit
    code 0, the kubelet (1.35, measured) says that the Pod has Succeeded. A program whose postStart hook
    fails is ended, too, and its exit code is all that stays in the status.
    """
    revision = snapshot.revision
    if revision is None or not isinstance(result, Succeeded | Failed):
        return result
    evictable = isinstance(result, Succeeded) and effective_resources(step, revision.spec).ephemeral_storage
    hooked = _has_hook(step) and (isinstance(result, Succeeded) or result.reason == conditions.STEP_ERROR)
    if not evictable and not hooked:
        return result
    lookup = LookForEvents(pod.metadata.uid, "Pod", of_its_end=True)
    told = snapshot.events.get(lookup.key)
    if told is None:
        return replace(result, lookups=(lookup,))
    times = (result.finished, result.started, result.exit_code)
    for event in told.events:
        if evictable and event.reason == "Evicted":
            said = f"was evicted: {one_line(event.message)}"
            return Failed(Blame.PROGRAM, conditions.STEP_DISK, said, *times)
        if hooked and event.reason == "FailedPostStartHook":
            said = f"was ended with exit code {result.exit_code}, for its postStart hook failed"
            return Failed(Blame.PROGRAM, conditions.STEP_ERROR, said, *times)
    return result


def _has_hook(step: Step) -> bool:
    """Whether the step's container has a postStart hook."""
    containers = ((step.pod_template or {}).get("spec") or {}).get("containers") or ()
    own = [one.get("lifecycle") or {} for one in containers if one.get("name") == STEP_CONTAINER]
    return any(lifecycle.get("postStart") for lifecycle in own)


def memory_limit(step: Step, snapshot: Snapshot) -> str | None:
    """The memory limit of a step as it was written, for a sentence about it."""
    revision = snapshot.revision
    resources = effective_resources(step, revision.spec) if revision else step.resources
    return str(resources.memory) if resources and resources.memory is not None else None


def _running(step: Step, pod: PodView, snapshot: Snapshot, force_delete: bool) -> AttemptState | None:
    status = step_status(pod)
    if status is None or status.state.running is None:
        return None
    started = status.state.running.started_at or snapshot.now
    deadline = _deadline(step, pod, started, snapshot)
    end_at = _end_at(step, pod, started, snapshot)
    if deadline is None and end_at is not None and snapshot.now >= end_at:
        message = f"took longer than its timeout of {step.timeout}"
        return Failed(Blame.PROGRAM, conditions.STEP_TIMED_OUT, message, snapshot.now, started)
    lost = _lost(pod, snapshot, force_delete)
    if lost is None:
        return _beside(pod, started, end_at, snapshot.now, deadline)
    look_at = min((moment for moment in (end_at, lost.look_at) if moment), default=None)
    return Runs(
        started, conditions.STEP_NODE_LOST, lost.message, look_at, lost.force_delete, deadline=deadline
    )


def _beside(
    pod: PodView, started: datetime, end_at: datetime | None, now: datetime, deadline: Deadline | None
) -> Runs:
    """It runs, and its result is its own; but a side-car that keeps failing may be what it waits for."""
    failing = failing_beside(pod, now)
    if failing is None:
        return Runs(started, look_at=end_at, deadline=deadline)
    container, until = failing
    waiting_for = container.status.state.waiting
    cause = cause_of(waiting_for) if waiting_for else None
    if cause is not None:
        why = sentence_of(*cause, container.called, container.status.image)
    else:
        assert container.last_termination is not None, "what fails beside a step has a cause, or has fallen"
        why = f"{container.called} was started again and again: it {how_it_ended(container.last_termination)}"
    look_at = min((moment for moment in (end_at, until) if moment), default=None)
    return Runs(started, conditions.STEP_SIDECAR, f"runs, but {why}", look_at, deadline=deadline)


def _deadline(step: Step, pod: PodView, started: datetime, snapshot: Snapshot) -> Deadline | None:
    """The deadline by which the kubelet ends a program that is over its timeout; None if it knows it.

    A step's timeout is the program's: pulling its image and its init containers do not count. The kubelet
    counts a Pod's `activeDeadlineSeconds` from when it took the Pod, so it is lowered once the container
    has started; until then it is only a backstop (`builders.pod`). So the kubelet ends the program, even
    while no operator runs, and the Pod stays with its log and with a reason, `DeadlineExceeded`, that says
    who ended it, whatever the exit code.
    """
    taken, known = pod.status.start_time, pod.spec.active_deadline_seconds
    if step.timeout is None or taken is None or pod.metadata.uid in snapshot.deadlines_set:
        return None
    allowed = started - taken + timedelta(seconds=words.parse_duration(step.timeout)) + _GRAIN
    seconds = max(1, math.ceil(allowed.total_seconds()))
    if known is not None and known <= seconds:
        return None
    return Deadline(pod.metadata.name, pod.metadata.uid, seconds)


def _end_at(step: Step, pod: PodView, started: datetime, snapshot: Snapshot) -> datetime | None:
    """When we end an attempt ourselves; where the kubelet answers, it has done so long before.

    That it was told late, for no operator ran when the program started, gives it the same time to do so.
    """
    if step.timeout is None:
        return None
    over = started + timedelta(seconds=words.parse_duration(step.timeout))
    return max(over, snapshot.deadlines_set.get(pod.metadata.uid, over)) + _DEADLINE_SLACK


@dataclass(frozen=True, slots=True)
class _Lost:
    """A Pod whose node does not answer. `look_at` is when its deletion's grace period is over."""

    message: str
    look_at: datetime | None = None
    force_delete: tuple[OldObject, ...] = ()


def _lost(pod: PodView, snapshot: Snapshot, force_delete: bool) -> _Lost | None:
    node = pod.spec.node_name
    if not node or node in snapshot.nodes.ready:
        return None
    message = f"is on node {node}, which does not answer; the program may still be running there"
    deletion = pod.metadata.deletion_timestamp
    if deletion is None or snapshot.now < deletion:
        return _Lost(message, look_at=deletion)
    if force_delete:
        return _Lost(message, force_delete=(OldObject(pod.metadata.name, pod.metadata.uid),))
    return _Lost(f"{message}. It is tried again once the node is back or its Pod is force-deleted")


def _not_started(
    pending: Pending, pod: PodView | None, snapshot: Snapshot, force_delete: bool
) -> AttemptState:
    lost = _lost(pod, snapshot, force_delete) if pod is not None else None
    if lost is None:
        return waiting(pending)
    wait = pending.wait(conditions.STEP_NODE_LOST, lost.message, lost.look_at)
    return replace(wait, force_delete=lost.force_delete)


def _job_finished(job: JobView) -> tuple[bool, datetime | None, str] | None:
    """Whether a Job succeeded, when it ended, and what it says; None while it has not ended."""
    end = job.status.end
    if end is None:
        return None
    return end.type == "Complete", end.last_transition_time, end.message or end.reason


def _by_job(job: JobView, over: tuple[bool, datetime | None, str], snapshot: Snapshot) -> AttemptState:
    succeeded, ended, said = over
    name = job.metadata.name
    finished = ended or snapshot.now
    if succeeded:
        return Succeeded(job.status.start_time, finished)
    message = f"left no result: the Pod of Job {name} is gone ({one_line(said)})"
    # The Pod may only be late: a fresh look comes before the verdict.
    lookups = () if name in snapshot.absent else (LookForJob(name),)
    return Failed(Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message, finished, lookups=lookups)


def _pod_gone(attempt: Attempt, snapshot: Snapshot) -> AttemptState:
    """A managed Job gets no second Pod: what it had is gone, or kept by nothing but a finalizer."""
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
