"""The other containers of a step's Pod: what they are called, which blocks the step, which fails.

A kubelet starts the init containers one after the other. The next one waits until an ordinary one has ended
with 0, or until a side-car (`restartPolicy: Always`) has started: it runs, and its startup probe, if any, has
succeeded. A side-car that ends is restarted, with a back-off of 10 s that doubles up to 5 min and is reset
after 10 min of running (`kuberuntime/kuberuntime_container.go`, `kubelet.go`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.kube.nativeviews import ContainerStatus, PodView, Terminated
from nightcrawler_crds.names import STEP_CONTAINER
from nightcrawler_crds.plaintext import last_line
from nightcrawler_operator.decisions.causes import cause_of
from nightcrawler_operator.decisions.pods import pod_condition, step_status

FEW_RESTARTS: Final = 2
"""A side-car that was restarted so often and ended again does not only wait for something."""
STEADY: Final = timedelta(minutes=5)
"""A side-car that has run for so long, the longest back-off of a kubelet, no longer fails."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a Pod, with its name for messages."""

    status: ContainerStatus
    called: str
    sidecar: bool = False

    @property
    def up(self) -> bool:
        """Whether it has started, so that the next container may start."""
        return self.status.state.running is not None and self.status.started is not False

    @property
    def done(self) -> bool:
        """Whether the next container need not wait for it, by its own status."""
        ended = self.status.state.terminated
        return self.up if self.sidecar else ended is not None and ended.exit_code == 0

    @property
    def last_termination(self) -> Terminated | None:
        """How it last ended, if the kubelet restarts it: only side-cars, whatever the exit code."""
        ended = self.status.state.terminated
        return ended if ended is not None and self.sidecar else self.status.last_state.terminated


def init_containers(pod: PodView) -> tuple[Container, ...]:
    """Init containers and side-cars in the order in which they start."""
    sidecars = {one.name for one in pod.spec.init_containers if one.restart_policy == "Always"}
    return tuple(
        Container(status, f"the side-car {status.name!r}", sidecar=True)
        if status.name in sidecars
        else Container(status, f"the init container {status.name!r}")
        for status in pod.status.init_container_statuses
    )


def blocking_container(pod: PodView) -> tuple[Container, datetime | None] | None:
    """The container that the Pod waits for, which may be the step's own, and since when.

    The time is None if it is unknown. A side-car that fails after the next container has started blocks
    nothing.
    """
    own = step_status(pod)
    line = (*init_containers(pod), *((Container(own, "its container"),) if own else ()))
    since = _ready_since(pod)
    for place, container in enumerate(line):
        later = any(_was_started(one.status) for one in line[place + 1 :])
        if not later and not (container.done and place < len(line) - 1):
            return container, since
        since = _later(since, _done_since(container))
    return None


def failing_beside(pod: PodView, now: datetime) -> tuple[Container, datetime | None] | None:
    """A container that keeps failing while the step's runs, and until when that is reported if it runs again.

    Containers that an admission webhook adds beside the step's are not restarted.
    """
    for container in (*init_containers(pod), *_beside(pod)):
        state = container.status.state
        if state.waiting is not None and cause_of(state.waiting) is not None:
            return container, None
        if container.last_termination is None or container.status.restart_count < FEW_RESTARTS:
            continue
        if state.running is None:
            return container, None
        steady = (state.running.started_at or now) + STEADY
        if now < steady:
            return container, steady
    return None


def how_it_ended(end: Terminated) -> str:
    """How a container ended, as the end of a sentence that begins with its name."""
    output = last_line(end.message)
    if end.reason == "OOMKilled":
        return "ran out of memory; give it more in its resources.limits.memory"
    if end.reason in CANNOT_START:
        return f"could not be started: {output or end.reason}"
    return f"ended with exit code {end.exit_code}" + (f": {output}" if output else "")


CANNOT_START: Final = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of containerd and Docker for a program that does not exist or may not be executed."""


def _beside(pod: PodView) -> Iterator[Container]:
    for status in pod.status.container_statuses:
        if status.name != STEP_CONTAINER:
            yield Container(status, f"the container {status.name!r}")


def _was_started(status: ContainerStatus) -> bool:
    return status.state.has_begun or status.last_state.terminated is not None


def _ready_since(pod: PodView) -> datetime | None:
    since = pod.status.start_time
    for kind in ("PodReadyToStartContainers", "Initialized"):
        reached = pod_condition(pod, kind)
        if reached is not None and reached.status == "True":
            since = _later(since, reached.last_transition_time)
    return since


def _done_since(container: Container) -> datetime | None:
    state = container.status.state
    if container.sidecar:
        return state.running.started_at if state.running else None
    return state.terminated.finished_at if state.terminated else None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment), default=None)
