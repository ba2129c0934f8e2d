"""Why the Pod of an attempt has not started, and whether the attempt is given up.

Rules in order, as in `attempt_result`: the first that answers decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.building.refused import forbidden, in_words
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions import refusals
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Waits
from nightcrawler_operator.decisions.causes import (
    CAUSES,
    MISSING,
    Cause,
    Grace,
    cause_of,
    names_missing_object,
    sentence_of,
)
from nightcrawler_operator.decisions.containers import (
    CANNOT_START,
    FEW_RESTARTS,
    blocking_container,
    how_it_ended,
)
from nightcrawler_operator.decisions.pending import POD_EXPECTED, Pending, newest
from nightcrawler_operator.decisions.pods import pod_condition
from nightcrawler_operator.decisions.schedulerwords import shortened
from nightcrawler_operator.decisions.volumewait import volume_lost, volume_missing, with_volume
from nightcrawler_operator.plan import OldObject
from nightcrawler_operator.snapshot import Refusal

_STARTING_SHOWN: Final = timedelta(seconds=10)
"""A Pod that is being set up is reported only if that takes so long."""

_SET_UP_FAILS: Final = frozenset(
    {
        "FailedAttachVolume",
        "FailedCreatePodContainer",
        "FailedCreatePodSandBox",
        "FailedMapVolume",
        "FailedMount",
        "FailedPodSandBoxStatus",
        "FailedPrepareDynamicResources",
        "NetworkNotReady",
    }
)
"""Events of a kubelet (`pkg/kubelet/events`): all that it reports of a Pod that it cannot set up."""
_KILLED_BY_KUBELET: Final = frozenset({"FailedPostStartHook", "Unhealthy"})
"""Events that say why a kubelet killed a container."""


Rule = Callable[[Pending], Waits | Failed | None]


def waiting(pending: Pending) -> Waits | Failed:
    """Why this attempt has not started."""
    for rule in RULES:
        result = rule(pending)
        if result is not None:
            return with_volume(pending, result)
    raise AssertionError("the last rule always answers")


def _pod_lost(p: Pending) -> Waits | Failed | None:
    """Its Pod has run and is gone: the Job controller reports that within a second or two."""
    if not p.has_run or p.pod is not None or p.job.managed:
        return None
    message = "lost its Pod; its Job does not report that yet"
    # The queue timeout does not apply: the step has run.
    return Waits(conditions.STEP_NO_POD, message, p.show_at, p.now + POD_EXPECTED)


def _queue_timeout(p: Pending) -> Waits | Failed | None:
    limit = timedelta(seconds=p.limits.queue_timeout)
    if p.has_run or p.now < p.created + limit:
        return None
    found = next((r for rule in _WAITS_FOR if isinstance(r := rule(p), Waits)), None)
    why = f": {found.message}" if found else ""
    message = (
        f"waited longer than the queue timeout of {p.limits.queue_timeout:g} s for its Pod to start{why}"
    )
    return Failed(Blame.DEFINITION, conditions.STEP_QUEUE_TIMED_OUT, message, p.now)


def _pod_to_create(p: Pending) -> Waits | Failed | None:
    """The Pod of a managed Job, which the operator creates: not created yet, or refused."""
    if p.pod is not None or not p.job.managed:
        return None
    if p.job.spec.suspend:
        return p.wait(conditions.STEP_NO_POD, "waits, for its Job is suspended")
    if p.job.metadata.deletion_timestamp is not None:
        return p.wait(conditions.STEP_NO_POD, "has no Pod, and its Job is being deleted")
    refusal = p.refusal
    if refusal is not None and refusals.is_final(refusal, p.now, p.limits):
        return _refused(p, refusal.message, refusal.reason)
    if refusal is None or (refusal.ask_again is not None and p.now >= refusal.ask_again):
        meta = p.job.metadata
        wait = p.wait(conditions.STEP_NO_POD, "its Job has no Pod yet")
        missing = OldObject(meta.name, meta.uid)
        return replace(wait, show_at=p.created + _STARTING_SHOWN, missing_pod=missing)
    message = one_line(refusal.message)
    if refusal.reason != conditions.STEP_LAST_POD:
        message = f"waits, its Pod is refused: {message}"
    wait = p.wait(refusal.reason, message, refusal.ask_again)
    return replace(wait, show_at=refusals.show_at(refusal, p.limits) or p.show_at)


def _no_pod(p: Pending) -> Waits | Failed | None:
    if p.pod is not None:
        return None
    uid = p.job.metadata.uid
    failure = newest(p, uid, "FailedCreate")
    if failure is None:
        ask_at = p.ask_at(uid, p.created + POD_EXPECTED)
        wait = p.wait(conditions.STEP_NO_POD, "its Job has no Pod yet", ask_at)
        return replace(wait, show_at=p.created + _STARTING_SHOWN, lookups=p.ask(uid, "Job", ask_at))
    reason, final = forbidden(failure.message)
    ask_at = p.ask_at(uid, p.now)
    refusal = Refusal(in_words(failure.message), None if final else ask_at, reason, p.created)
    if refusals.is_final(refusal, p.now, p.limits):
        return _refused(p, refusal.message)
    wait = p.wait(reason, refusal.message, ask_at)
    return replace(wait, lookups=p.ask(uid, "Job", ask_at))


def _refused(p: Pending, why: str, reason: str = conditions.STEP_FORBIDDEN) -> Failed:
    message = f"the cluster refused its Pod: {one_line(why)}"
    return Failed(Blame.DEFINITION, reason, message, p.now)


def _unschedulable(p: Pending) -> Waits | Failed | None:
    assert p.pod is not None
    scheduled = pod_condition(p.pod, "PodScheduled")
    if scheduled is None or scheduled.status == "True" or p.pod.spec.node_name:
        return None
    message = f"waits for a node: {shortened(one_line(scheduled.message))}"
    return p.wait(conditions.STEP_UNSCHEDULABLE, message)


def _cannot_start(p: Pending) -> Waits | Failed | None:
    """A container that its kubelet cannot start, with the kubelet's reason."""
    assert p.pod is not None
    here = blocking_container(p.pod)
    state = here[0].status.state.waiting if here else None
    found = cause_of(state) if state else None
    if here is None or found is None:
        return None
    container, since = here
    cause, words = found
    sentence = sentence_of(cause, words, container.called, container.status.image)
    return _until(p, cause, sentence, (since or p.created) + _grace(p, cause.grace))


def _keeps_failing(p: Pending) -> Waits | Failed | None:
    """A side-car that keeps ending before the step's container could start."""
    assert p.pod is not None
    here = blocking_container(p.pod)
    if here is None or (last := here[0].last_termination) is None:
        return None
    container, since = here
    begun = since or p.created
    # One that runs again may still become ready.
    again = container.status.state.running is not None
    often = container.status.restart_count >= FEW_RESTARTS
    if last.reason in CANNOT_START and not again:
        # Between two tries this is all that remains of RunContainerError.
        sentence = f"{container.called} {how_it_ended(last)}"
        return _until(p, CAUSES["RunContainerError"], sentence, begun + _grace(p, Grace.PULL))
    uid = p.pod.metadata.uid
    why = newest(p, uid, *_KILLED_BY_KUBELET)
    hint = f" ({one_line(why.message)})" if why else ""
    what = f"{container.called} {'keeps failing' if often else 'has failed'}: it {how_it_ended(last)}{hint}"
    until = begun + _grace(p, Grace.PULL)
    if p.now >= until and often and not again:
        return Failed(Blame.PROGRAM, conditions.STEP_INIT, f"cannot start: {what}", p.now)
    ask_at = p.ask_at(uid, begun + POD_EXPECTED)
    # From then on its next failure decides; its kubelet reports that.
    look_at = min(until, ask_at) if p.now < until else ask_at
    wait = p.wait(conditions.STEP_CANNOT_START_YET, f"cannot start yet: {what}", look_at)
    return replace(wait, lookups=p.ask(uid, "Pod", ask_at))


def _until(p: Pending, cause: Cause, sentence: str, until: datetime) -> Waits | Failed:
    if cause.grace is not Grace.NONE and p.now < until:
        return p.wait(cause.waits, f"cannot start yet: {sentence}", until)
    return Failed(cause.blame, cause.fails, f"cannot start: {sentence}", p.now)


def _grace(p: Pending, grace: Grace) -> timedelta:
    of = {Grace.PULL: p.limits.image_pull_timeout, Grace.CONFIG: p.limits.missing_config_grace}
    return timedelta(seconds=of.get(grace, 0.0))


def _missing_volume(p: Pending) -> Waits | Failed | None:
    assert p.pod is not None
    if _has_sandbox(p.pod):
        return None  # volumes are mounted before the sandbox is created
    mount = newest(p, p.pod.metadata.uid, "FailedMount")
    if mount is None or not names_missing_object(mount.message):
        return None
    sentence = sentence_of(MISSING, one_line(mount.message), "a volume of its Pod", "")
    return _until(p, MISSING, sentence, _set_up_since(p) + _grace(p, MISSING.grace))


def _initializing(p: Pending) -> Waits | Failed | None:
    """An init container runs, or a side-car is starting."""
    assert p.pod is not None
    here = blocking_container(p.pod)
    if here is None or here[0].status.state.running is None:
        return None
    container, since = here
    what = "to be up; its startup probe has not succeeded yet" if container.sidecar else "to end"
    wait = p.wait(conditions.STEP_INITIALIZING, f"waits for {container.called} {what}")
    return replace(wait, show_at=max(wait.show_at, (since or p.created) + _STARTING_SHOWN))


def _starting(p: Pending) -> Waits | Failed | None:
    """Its node sets it up, as far as is known; Events are looked up if that takes long."""
    assert p.pod is not None
    node, uid = p.pod.spec.node_name, p.pod.metadata.uid
    grace = timedelta(seconds=p.limits.missing_config_grace)
    # Without a node there are no Events of a kubelet; the watch reports when it gets one.
    ask_at = p.ask_at(uid, _set_up_since(p) + grace) if node else None
    lookups = p.ask(uid, "Pod", ask_at) if ask_at else ()
    failure = newest(p, uid) if node and not _has_sandbox(p.pod) else None
    if failure is not None and failure.reason in _SET_UP_FAILS:
        message = f"cannot start yet: node {node} cannot set its Pod up: {one_line(failure.message)}"
        return replace(p.wait(conditions.STEP_CANNOT_START_YET, message, ask_at), lookups=lookups)
    message = f"is being set up on node {node}" if node else "waits for a node"
    wait = p.wait(conditions.STEP_STARTING, message, ask_at)
    return replace(wait, show_at=p.created + _STARTING_SHOWN, lookups=lookups)


_WAITS_FOR: Final[Sequence[Rule]] = (
    _pod_to_create,
    _no_pod,  # the rules below rely on there being a Pod
    volume_missing,  # before the scheduler's words, which only say that it waits for this
    _unschedulable,
    _cannot_start,
    _keeps_failing,  # after the kubelet's current reason, which is closer to the cause
    _missing_volume,
    _initializing,
    _starting,
)
"""What an attempt waits for. The queue timeout bounds all of it, and quotes it in its message."""

RULES: Final[Sequence[Rule]] = (
    _pod_lost,  # first: all others are about Pods that have never run
    volume_lost,
    _queue_timeout,
    *_WAITS_FOR,
)


def _has_sandbox(pod: PodView) -> bool:
    """Whether volumes, network and sandbox are ready, and only containers have to be started."""
    reached = pod_condition(pod, "PodReadyToStartContainers")
    return reached is not None and reached.status == "True"


def _set_up_since(p: Pending) -> datetime:
    """Since when the node works on what the Pod waits for, not counting containers that ran before."""
    assert p.pod is not None
    here = blocking_container(p.pod)
    return (here[1] if here else p.pod.status.start_time) or p.created
