"""How an attempt ended, by the status of its Pod; that of its Job comes up to a second later.

Rules in order; the first that answers decides. What they rely on is documented behaviour of Pods
(pod-lifecycle), and the kubelet's eviction code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.kube.nativeviews import PodView, Terminated
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Succeeded
from nightcrawler_operator.decisions.causes import rejection
from nightcrawler_operator.decisions.containers import CANNOT_START, how_it_ended, init_containers
from nightcrawler_operator.decisions.context import StepContext
from nightcrawler_operator.decisions.pods import (
    DEADLINE_EXCEEDED,
    deletion_asked,
    disruption,
    has_ended,
    is_forced_out,
    not_after,
    step_termination,
)

_PREEMPTED: Final = "PreemptionByScheduler"
_KILLED: Final = (137, 143)
"""Exit codes of programs that SIGKILL and SIGTERM ended."""
_KUBELET_IS_DONE: Final = timedelta(seconds=5)
"""How soon after the end of its containers a kubelet usually removes a deleted Pod."""
_KUBELET_IS_DONE_WITH_ALL: Final = timedelta(minutes=2)
"""The same if volumes take long; assumed only if a signal ended the program."""
LINGER: Final = timedelta(seconds=10)
"""How long an injected side-car may outlive the step's container before their Job is deleted."""


@dataclass(frozen=True, slots=True)
class EndedPod:
    """A Pod that has ended, as the rules see it."""

    pod: PodView
    ctx: StepContext
    terminated: Terminated | None

    @property
    def started(self) -> datetime | None:
        """When the step's container started, if it did."""
        return self.terminated.started_at if self.terminated else None

    @property
    def finished(self) -> datetime:
        """When the step's container ended; a Pod without one has no such time, so it is now."""
        return (self.terminated.finished_at if self.terminated else None) or self.ctx.now


Result = Succeeded | Failed
Rule = Callable[[EndedPod], Result | None]


def attempt_result(ctx: StepContext, pod: PodView) -> Result | None:
    """How the attempt of this Pod ended; None while its step's container has not."""
    terminated = step_termination(pod)
    if terminated is None and not has_ended(pod):
        return None
    ended = EndedPod(pod, ctx, terminated)
    for rule in RULES:
        result = rule(ended)
        if result is not None:
            return result
    raise AssertionError("the last rule always answers")


def _deadline(end: EndedPod) -> Result | None:
    # Whatever the exit code: a program that catches SIGTERM may exit with 0.
    if end.pod.status.reason != DEADLINE_EXCEEDED:
        return None
    message = f"took longer than its timeout of {end.ctx.step.timeout}"
    if end.started is None:
        message = "had not started when its Pod's time was over"
    return _failed(end, Blame.PROGRAM, conditions.STEP_TIMED_OUT, message)


def _own_disk_use(end: EndedPod) -> Result | None:
    # An eviction under node pressure carries DisruptionTarget; one for the Pod's own use of disk does not.
    if end.pod.status.reason != "Evicted" or disruption(end.pod) is not None or _never_admitted(end.pod):
        return None
    message = f"was evicted: {one_line(end.pod.status.message)}"
    return _failed(end, Blame.PROGRAM, conditions.STEP_DISK, message)


def _disrupted(end: EndedPod) -> Result | None:
    # A disruption after its end did not end it: finished Pods are deleted, too.
    condition = disruption(end.pod)
    if condition is not None and not_after(condition.last_transition_time, end.finished):
        why = one_line(condition.message) or condition.reason
        failed = _failed(
            end, Blame.INFRASTRUCTURE, conditions.STEP_DISRUPTED, f"was ended by the cluster: {why}"
        )
        return replace(failed, preempted=condition.reason == _PREEMPTED)
    return None


def _deleted(end: EndedPod) -> Result | None:
    if not_after(deletion_asked(end.pod), end.finished) or _was_killed_for_its_deletion(end):
        message = f"was ended: its Pod {end.pod.metadata.name} was deleted"
        return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_DISRUPTED, message)
    return None


def _was_killed_for_its_deletion(end: EndedPod) -> bool:
    """Whether a failed program was most likely ended by a deletion that was not observed when it began.

    When a kubelet is done with a deleted Pod it requests the deletion again, and if a finalizer keeps the
    Pod, the API server replaces the deletionTimestamp: an operator that was down before cannot tell it from a
    Pod that was deleted after its end. A signal, and a request right after the end, tell. Exit code 0
    counts as success: nothing that succeeded is run again.
    """
    asked, ended = deletion_asked(end.pod), end.terminated
    if asked is None or ended is None or not is_forced_out(end.pod) or ended.reason == "OOMKilled":
        return False
    soon = _KUBELET_IS_DONE_WITH_ALL if ended.exit_code in _KILLED else _KUBELET_IS_DONE
    return ended.exit_code != 0 and asked <= end.finished + soon


def _status_lost(end: EndedPod) -> Result | None:
    # The kubelet no longer knows the container, for example after a restart of the node.
    if end.terminated is not None and _is_lost(end.terminated):
        message = f"left no result on node {end.pod.spec.node_name}"
        return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message)
    return None


def _success(end: EndedPod) -> Result | None:
    if end.terminated is not None and end.terminated.exit_code == 0:
        return Succeeded(end.started, end.finished)
    if end.terminated is None and end.pod.status.phase == "Succeeded":
        return Succeeded(None, end.finished)
    return None


def _out_of_memory(end: EndedPod) -> Result | None:
    if end.terminated is None or end.terminated.reason != "OOMKilled":
        return None
    resolved = end.ctx.resolved
    memory, shared = resolved.resources.memory, resolved.shared_memory
    more = f", and {shared.quantity} for /dev/shm" if shared is not None else ""
    limit = f" (its limit is {memory}{more})" if memory is not None else ""
    message = f"ran out of memory{limit}; give it more in resources.memory"
    return _failed(end, Blame.PROGRAM, conditions.STEP_OUT_OF_MEMORY, message)


def _cannot_start(end: EndedPod) -> Result | None:
    if end.terminated is None or end.terminated.reason not in CANNOT_START:
        return None
    message = f"could not be started: {one_line(end.terminated.message)}"
    return _failed(end, Blame.PROGRAM, conditions.STEP_CANNOT_START, message)


def _program_error(end: EndedPod) -> Result | None:
    if end.terminated is None:
        return None
    return _failed(end, Blame.PROGRAM, conditions.STEP_ERROR, how_it_ended(end.terminated))


def _init_failed(end: EndedPod) -> Result | None:
    # Side-cars last: the kubelet kills them when an init container has failed.
    for container in sorted(init_containers(end.pod), key=lambda one: one.sidecar):
        ended = container.status.state.terminated
        if ended is None or ended.exit_code == 0:
            continue
        if _is_lost(ended):
            message = f"left no result on node {end.pod.spec.node_name}, which lost {container.called}"
            return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_VANISHED, message)
        message = f"could not begin: {container.called} {how_it_ended(ended)}"
        return _failed(end, Blame.PROGRAM, conditions.STEP_INIT, message)
    return None


def _not_admitted(end: EndedPod) -> Result | None:
    # Failed without having started a container: the kubelet did not admit it.
    status = end.pod.status
    message = f"was not admitted by node {end.pod.spec.node_name}: {rejection(status.reason, status.message)}"
    return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_NODE_REFUSED, message)


RULES: Final[Sequence[Rule]] = (
    _deadline,  # before success: the exit code does not matter then
    _own_disk_use,  # before disruption: it is an eviction too, but the program's
    _disrupted,  # before success: a program that gets SIGTERM may exit with 0
    _deleted,
    _status_lost,  # before the exit code, which the kubelet invents then
    _success,
    _out_of_memory,
    _cannot_start,
    _program_error,
    _init_failed,
    _not_admitted,  # the only one left for a Pod that failed without its container
)


def _never_admitted(pod: PodView) -> bool:
    """Whether a node did not admit a Pod (it was under pressure): it then has no container statuses."""
    return not (pod.status.container_statuses or pod.status.init_container_statuses)


def _is_lost(ended: Terminated) -> bool:
    """Whether the kubelet, or containerd after a restart ("Unknown", 255), does not know how it ended."""
    return ended.reason == "ContainerStatusUnknown" or (ended.reason, ended.exit_code) == ("Unknown", 255)


def _failed(end: EndedPod, blame: Blame, reason: str, message: str) -> Failed:
    code = end.terminated.exit_code if end.terminated else None
    return Failed(blame, reason, message, end.finished, end.started, code)
