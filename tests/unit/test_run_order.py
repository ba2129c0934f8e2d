"""The order of many runs: those with a finished Pod not in status first, and Pods before status writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.controller import Controller
from nightcrawler_operator.keys import ExecutionKey, WorkKey
from nightcrawler_operator.lanes import Lane, Lanes
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.reconcilers.execution import ExecutionReconciler
from tests.support.modelserver import ModelCluster, ModelServer
from tests.support.replica import Replica, the_servers_time
from tests.support.snapshots import EXECUTION, EXECUTION_UID, PodMaker, a_pod, wire

_NOTHING: Any = None


def _run(name: str, uid: str, **steps: Any) -> ExecutionView:
    body = {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "resourceVersion": "5"},
        "spec": {"workflowRef": {"name": "wf"}},
        "status": {"phase": "Running", "steps": steps},
    }
    return msgspec.convert(body, ExecutionView, strict=False)


def _cluster(*runs: ExecutionView, pod: PodMaker) -> ClusterState:
    cluster = ClusterState(_NOTHING, "", lambda _: None)
    for run in runs:
        cluster.executions.upsert(run)
    cluster.pods.cache.upsert(pod.view)
    return cluster


_RUNNING = {"phase": "Running", "attempt": 1, "startTime": wire(1)}
_COMPLETED = {"phase": "Completed", "attempt": 1, "startTime": wire(1), "completionTime": wire(5)}


@pytest.mark.parametrize(
    ("pod", "steps", "expected"),
    [
        pytest.param(a_pod().running(), {"train": _RUNNING}, False, id="the Pod runs"),
        pytest.param(a_pod().exited(0), {"train": _RUNNING}, True, id="its end is not in status"),
        pytest.param(a_pod().exited(1), {"train": _RUNNING}, True, id="nor is its failure"),
        pytest.param(a_pod().exited(0), {}, True, id="nothing of it is in status"),
        pytest.param(a_pod().exited(0), {"train": _COMPLETED}, False, id="its end is in status"),
    ],
)
def test_a_finished_pod_counts_as_unrecorded_until_it_is_in_status(
    pod: PodMaker, steps: dict[str, Any], expected: bool
) -> None:
    run = _run(EXECUTION, EXECUTION_UID, **steps)
    assert _cluster(run, pod=pod).has_unrecorded_end(run) is expected


async def test_of_all_runs_those_with_an_unrecorded_end_are_queued_first() -> None:
    others = [_run(f"other-{n}", f"uid-{n}", train=_RUNNING) for n in range(3)]
    cluster = _cluster(*others, _run(EXECUTION, EXECUTION_UID, train=_RUNNING), pod=a_pod().exited(0))
    lanes = Lanes(lambda _: Lane.PEOPLE)
    reconcilers: dict[type[WorkKey], Any] = {ExecutionKey: ExecutionReconciler(cluster, _NOTHING, Limits())}
    controller = Controller(lanes, reconcilers, metrics=_NOTHING, leads=lambda: True)
    controller.wake_all()
    first = cast("ExecutionKey", await lanes[Lane.PEOPLE].get())
    assert first.name == EXECUTION
    assert len(lanes) == 3


class _Story:
    """A chain of steps on a model server; its Pods end as soon as they are there."""

    def __init__(self, steps: int, *, busy: bool) -> None:
        self.server = ModelServer()
        self._create(names.WORKFLOWS, "Workflow", "wf", {"steps": _steps(steps)})
        self._create(names.EXECUTIONS, "WorkflowExecution", "run", {"workflowRef": {"name": "wf"}})
        self._cluster = ModelCluster(self.server)
        self._replica = Replica(self.server, Limits(status_spacing=0), others_wait=lambda: busy)
        self.looks: list[tuple[int, int]] = []
        """After each look: how many Pods were made, and how many steps are recorded as Completed."""

    def run(self) -> None:
        with the_servers_time(self.server) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        while self._status().get("phase") != "Completed":
            while await self._replica.work():
                steps = self._status().get("steps", {}).values()
                done = sum(step["phase"] == "Completed" for step in steps)
                self.looks.append((len(self.server.of(names.PODS)), done))
            for where in self._cluster.pods():
                self._cluster.run_pod(where)
            self.server.now += timedelta(seconds=1)
            self._replica.deliver_all()
            assert len(self.looks) < 200, self.looks

    def _status(self) -> Any:
        return self.server.get(names.EXECUTIONS, ("default", "run")).get("status", {})

    def _create(self, resource: names.Resource, kind: str, name: str, spec: dict[str, Any]) -> None:
        meta = {"name": name, "namespace": "default"}
        self.server.create(resource, {"kind": kind, "metadata": meta, "spec": spec})


def _steps(count: int) -> list[dict[str, Any]]:
    return [{"name": f"s{number}", "image": "busybox:1"} for number in range(count)]


@pytest.mark.parametrize("busy", [True, False])
def test_while_others_wait_a_pod_is_made_before_the_step_before_it_is_recorded(busy: bool) -> None:
    story = _Story(3, busy=busy)
    story.run()
    assert ((2, 0) in story.looks) is busy
    assert story.looks[-1] == (3, 3)


def test_the_beginning_of_a_run_is_recorded_at_once_however_many_wait() -> None:
    story = _Story(1, busy=True)
    server = story.server
    seen: list[bool] = []
    server.watchers.append(lambda *_: seen.append(bool(server.of(names.PODS)) and not _accepted(server)))
    story.run()
    assert sum(seen) == 1, "between the Pod and the record there was another write"


def test_writes_are_never_deferred_twice_in_a_row() -> None:
    story = _Story(12, busy=True)
    story.run()
    behind = [pods - done for pods, done in story.looks]
    assert max(behind) <= 3, story.looks


def _accepted(server: ModelServer) -> bool:
    status = server.get(names.EXECUTIONS, ("default", "run")).get("status", {})
    return any(c["type"] == "Accepted" for c in status.get("conditions", ()))
