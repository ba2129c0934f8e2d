"""The containers of a Pod beside the step's own: what they are called, which is in the way, which fails.

A kubelet starts the init containers one after the other. The next one waits until a plain one has ended
with 0, and until a side-car (`restartPolicy: Always`) is up: it runs, and its startup probe, if it has one,
has succeeded. A side-car that ends is started again, with a pause of 10 s that doubles up to 5 min and
begins anew after 10 min of running (`kuberuntime/kuberuntime_container.go`, `kubelet.go`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.kube.views import ContainerStatus, PodView, Terminated
from nightcrawler_crds.names import STEP_CONTAINER
from nightcrawler_crds.plaintext import last_line
from nightcrawler_operator.decisions.causes import cause_of
from nightcrawler_operator.decisions.pods import pod_condition, step_status

FEW_RESTARTS: Final = 2
"""A side-car that has been started again so often, and ended, fails for more than what comes up late."""
STEADY: Final = timedelta(minutes=5)
"""A side-car that has run for so long, the longest pause of a kubelet, does not fail any more."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a Pod, under the name by which people know it."""

    status: ContainerStatus
    called: str
    sidecar: bool = False

    @property
    def up(self) -> bool:
        """Whether it runs, as far as what waits for it is concerned."""
        return self.status.state.running is not None and self.status.started is not False

    @property
    def through(self) -> bool:
        """Whether nothing waits for it any more, by what it tells itself."""
        ended = self.status.state.terminated
        return self.up if self.sidecar else ended is not None and ended.exit_code == 0

    @property
    def last_termination(self) -> Terminated | None:
        """How it ended, if it is to be started again: only side-cars are, and with any exit code."""
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
    """The container for which the step's waits, or the step's own, and since when it is its turn.

    The time is None if nothing tells it. A side-car that fails after another container had its turn keeps
    nobody waiting.
    """
    own = step_status(pod)
    line = (*init_containers(pod), *((Container(own, "its container"),) if own else ()))
    since = _ready_since(pod)
    for place, container in enumerate(line):
        later = any(_had_its_turn(one.status) for one in line[place + 1 :])
        if not later and not (container.through and place < len(line) - 1):
            return container, since
        since = _later(since, _through_since(container))
    return None


def failing_beside(pod: PodView, now: datetime) -> tuple[Container, datetime | None] | None:
    """A container that keeps failing while the step's runs, and until when it is said to if it runs again.

    Those that an admission webhook puts beside the step's are containers like it, and not started again.
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
    """How a container ended, in words that follow on its name."""
    output = last_line(end.message)
    if end.reason == "OOMKilled":
        return "ran out of memory; give it more in its resources.limits.memory"
    if end.reason in CANNOT_START:
        return f"could not be started: {output or end.reason}"
    return f"ended with exit code {end.exit_code}" + (f": {output}" if output else "")


CANNOT_START: Final = frozenset({"StartError", "ContainerCannotRun"})
"""What containerd and Docker say of a container whose program is not there or may not be run."""


def _beside(pod: PodView) -> Iterator[Container]:
    for status in pod.status.container_statuses:
        if status.name != STEP_CONTAINER:
            yield Container(status, f"the container {status.name!r}")


def _had_its_turn(status: ContainerStatus) -> bool:
    return status.state.has_begun or status.last_state.terminated is not None


def _ready_since(pod: PodView) -> datetime | None:
    since = pod.status.start_time
    for kind in ("PodReadyToStartContainers", "Initialized"):
        reached = pod_condition(pod, kind)
        if reached is not None and reached.status == "True":
            since = _later(since, reached.last_transition_time)
    return since


def _through_since(container: Container) -> datetime | None:
    state = container.status.state
    if container.sidecar:
        return state.running.started_at if state.running else None
    return state.terminated.finished_at if state.terminated else None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment), default=None)
