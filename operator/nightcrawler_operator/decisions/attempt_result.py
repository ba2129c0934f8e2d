"""How an attempt ended, read from its Pod; the Job's own account comes up to a second later.

The rules stand in the order in which they are asked; the first that has something to say
is right. Facts about Pods are Kubernetes' (pod-lifecycle, and the kubelet's eviction code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.kube.views import PodView, Terminated
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import Step, conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Succeeded
from nightcrawler_operator.decisions.causes import rejection
from nightcrawler_operator.decisions.containers import CANNOT_START, how_it_ended, init_containers
from nightcrawler_operator.decisions.pods import (
    ENDED,
    deletion_asked,
    disruption,
    is_forced_out,
    not_after,
    step_termination,
)

_KILLED: Final = (137, 143)
"""Exit codes of programs that were ended by SIGKILL and SIGTERM."""
_KUBELET_IS_DONE: Final = timedelta(seconds=5)
"""How soon after the end of its containers a kubelet lets a deleted Pod go, most often."""
_KUBELET_IS_DONE_WITH_ALL: Final = timedelta(minutes=2)
"""The same where volumes take their time; believed only of a program that a signal ended."""
LINGER: Final = timedelta(seconds=10)
"""How long an injected side-car may outlive the step's container before their Job is deleted."""


@dataclass(frozen=True, slots=True)
class EndedPod:
    """An ended Pod as the rules look at it; `memory_limit` is for the sentence about it."""

    pod: PodView
    step: Step
    now: datetime
    terminated: Terminated | None
    memory_limit: str | None

    @property
    def started(self) -> datetime | None:
        """When the step's container started, if it did."""
        return self.terminated.started_at if self.terminated else None

    @property
    def finished(self) -> datetime:
        """When the step's container ended; when the Pod did, is not recorded, so it is now."""
        return (self.terminated.finished_at if self.terminated else None) or self.now


Result = Succeeded | Failed
Rule = Callable[[EndedPod], Result | None]


def attempt_result(pod: PodView, step: Step, now: datetime, memory_limit: str | None) -> Result | None:
    """How the attempt of this Pod ended; None while its step's container has not."""
    terminated = step_termination(pod)
    if terminated is None and pod.status.phase not in ENDED:
        return None
    ended = EndedPod(pod, step, now, terminated, memory_limit)
    for rule in RULES:
        result = rule(ended)
        if result is not None:
            return result
    raise AssertionError("the last rule always answers")


def _deadline(end: EndedPod) -> Result | None:
    # The kubelet's word stands whatever the exit code: a program that catches SIGTERM may exit 0.
    if end.pod.status.reason != "DeadlineExceeded":
        return None
    message = f"took longer than its timeout of {end.step.timeout}"
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
    # Only what came before the end ended it: a finished Pod may well be deleted afterwards.
    condition = disruption(end.pod)
    if condition is not None and not_after(condition.last_transition_time, end.finished):
        why = one_line(condition.message) or condition.reason
        return _failed(
            end, Blame.INFRASTRUCTURE, conditions.STEP_DISRUPTED, f"was ended by the cluster: {why}"
        )
    return None


def _deleted(end: EndedPod) -> Result | None:
    if not_after(deletion_asked(end.pod), end.finished) or _was_killed_for_its_deletion(end):
        message = f"was ended: its Pod {end.pod.metadata.name} was deleted"
        return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_DISRUPTED, message)
    return None


def _was_killed_for_its_deletion(end: EndedPod) -> bool:
    """Whether a program that failed was most likely ended for a deletion of which only the end was seen.

    When a kubelet is done with a deleted Pod it asks for the deletion again, and if a finalizer keeps the
    Pod, the API server takes that moment for its own: who did not see the Pod before (the operator was
    away) cannot tell it from one that was deleted when it had ended. A signal says how it ended, and a
    request at once who made it. Exit code 0 counts: nothing that went well is run again.
    """
    asked, ended = deletion_asked(end.pod), end.terminated
    if asked is None or ended is None or not is_forced_out(end.pod) or ended.reason == "OOMKilled":
        return False
    soon = _KUBELET_IS_DONE_WITH_ALL if ended.exit_code in _KILLED else _KUBELET_IS_DONE
    return ended.exit_code != 0 and asked <= end.finished + soon


def _status_lost(end: EndedPod) -> Result | None:
    # The kubelet found no trace of the container, after a restart of the node for instance.
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
    limit = f" (its limit is {end.memory_limit})" if end.memory_limit else ""
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
    # Side-cars last: they are ended by a signal when an init container has failed.
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
    # Failed, and no container of it ever started: the kubelet did not take it.
    status = end.pod.status
    message = f"was not admitted by node {end.pod.spec.node_name}: {rejection(status.reason, status.message)}"
    return _failed(end, Blame.INFRASTRUCTURE, conditions.STEP_NODE_REFUSED, message)


RULES: Final[Sequence[Rule]] = (
    _deadline,  # before success: the exit code does not matter then
    _own_disk_use,  # before disruption: it is an eviction too, but the program's
    _disrupted,  # before success: a program that is told to go may go with exit code 0
    _deleted,
    _status_lost,  # before the exit code, which is made up then
    _success,
    _out_of_memory,
    _cannot_start,
    _program_error,
    _init_failed,
    _not_admitted,  # the only one left for a Pod that failed without its container
)


def _never_admitted(pod: PodView) -> bool:
    """Whether a node refused a Pod (it was under pressure): a kubelet then tells of no container."""
    return not (pod.status.container_statuses or pod.status.init_container_statuses)


def _is_lost(ended: Terminated) -> bool:
    """Whether a kubelet, or containerd after a restart ("Unknown", 255), does not know how one ended."""
    return ended.reason == "ContainerStatusUnknown" or (ended.reason, ended.exit_code) == ("Unknown", 255)


def _failed(end: EndedPod, blame: Blame, reason: str, message: str) -> Failed:
    code = end.terminated.exit_code if end.terminated else None
    return Failed(blame, reason, message, end.finished, end.started, code)
