"""Facts about Pods: what may still run, which container runs the step, whether its end was requested.

Sources: Kubernetes' pod-lifecycle page, the kubelet and the API server.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.nativeviews import ContainerStatus, PodView, Terminated
from nightcrawler_crds.names import STEP_CONTAINER

ENDED: Final = ("Succeeded", "Failed")
"""The phases of a Pod in which nothing runs any more."""
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
"""The reason in a Pod's status if its kubelet ended it for its `activeDeadlineSeconds`."""


def step_status(pod: PodView) -> ContainerStatus | None:
    """The state of the container that runs the step."""
    return next((status for status in pod.status.container_statuses if status.name == STEP_CONTAINER), None)


def step_termination(pod: PodView) -> Terminated | None:
    """How the container that runs the step ended, if it has."""
    status = step_status(pod)
    return status.state.terminated if status else None


def has_ended(pod: PodView) -> bool:
    """Whether the Pod has ended and its status shows how.

    A busy kubelet (1.35, measured) reports a Pod that exceeded its deadline as Failed up to seconds before it
    reports the end of the step's container, without which a program seems never to have run.
    """
    status = step_status(pod)
    runs = status is not None and status.state.running is not None
    return pod.status.phase in ENDED and not (pod.status.reason == DEADLINE_EXCEEDED and runs)


def is_live(pod: PodView) -> bool:
    """Whether anything of the Pod may still run.

    With a grace period of 0 it was force-deleted, or deleted before it had a node: then only a finalizer
    keeps it.
    """
    return not has_ended(pod) and not is_forced_out(pod)


def is_forced_out(pod: PodView) -> bool:
    """Whether the Pod was deleted without waiting for its node."""
    return pod.metadata.deletion_timestamp is not None and pod.metadata.deletion_grace_period_seconds == 0


def may_run(pod: PodView) -> bool:
    """Whether the step's program may still run or start.

    A kubelet reports the end of a container seconds before that of the Pod, or minutes if it is busy.
    Deleting such a Pod would only delete its log.
    """
    return is_live(pod) and step_termination(pod) is None


def has_company(pod: PodView) -> bool:
    """Whether another container may still run, and would for ever: an injected side-car.

    In a Pod whose containers have all terminated nothing runs, although a busy kubelet may take minutes to
    set its phase. Init containers do not count: the kubelet ends restartable ones (Kubernetes' side-cars)
    itself, within the grace period, when all containers have terminated.
    """
    return is_live(pod) and any(
        status.name != STEP_CONTAINER and status.state.terminated is None
        for status in pod.status.container_statuses
    )


def lingers(pod: PodView) -> bool:
    """Whether an injected side-car keeps a Pod whose program has ended and that nobody has deleted."""
    over = step_termination(pod) is not None and pod.metadata.deletion_timestamp is None
    return over and has_company(pod)


def pod_condition(pod: PodView, kind: str) -> Condition | None:
    """A condition of the Pod."""
    return next((condition for condition in pod.status.conditions if condition.type == kind), None)


def disruption(pod: PodView) -> Condition | None:
    """The condition that the cluster ends, or has ended, the Pod."""
    condition = pod_condition(pod, "DisruptionTarget")
    return condition if condition is not None and condition.status == "True" else None


def deletion_asked(pod: PodView) -> datetime | None:
    """When the Pod's deletion was requested: its deletionTimestamp is that plus the grace period."""
    meta = pod.metadata
    if meta.deletion_timestamp is None:
        return None
    return meta.deletion_timestamp - timedelta(seconds=meta.deletion_grace_period_seconds or 0)


def as_first_deleted(before: PodView | None, now: PodView) -> PodView:
    """The Pod with the time at which its deletion was first requested.

    When a kubelet is done with a Pod it requests the deletion again, and if a finalizer keeps the Pod, the
    API server replaces the deletionTimestamp: then the program seems to have ended by itself before.
    """
    if before is None or before.metadata.uid != now.metadata.uid:
        return now
    first, last = deletion_asked(before), deletion_asked(now)
    if first is None or last is None or first >= last:
        return now
    meta = now.metadata
    grace = timedelta(seconds=meta.deletion_grace_period_seconds or 0)
    return msgspec.structs.replace(
        now, metadata=msgspec.structs.replace(meta, deletion_timestamp=first + grace)
    )


def was_ended(pod: PodView, finished: datetime) -> bool:
    """Whether the Pod's disruption or deletion was requested before it finished."""
    announced = disruption(pod)
    moments = (announced.last_transition_time if announced else None, deletion_asked(pod))
    return any(not_after(moment, finished) for moment in moments)


def not_after(moment: datetime | None, end: datetime) -> bool:
    """Whether something happened before an end, or in the same second.

    Both times are whole seconds; within the same one, it is taken for the cause.
    """
    return moment is not None and moment <= end
