"""What comes first where many runs wait: those with something to follow, and Pods before records."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.views import ExecutionView
from nightcrawler_operator.controller import Controller
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.workqueue import WorkQueue
from nightcrawler_operator.world import ExecutionKey, WorkKey, World
from tests.support.modelserver import ModelServer
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


def _world(*runs: ExecutionView, pod: PodMaker) -> World:
    world = World(_NOTHING, "", lambda _: None)
    for run in runs:
        world.executions.upsert(run)
    world.pods.cache.upsert(pod.view)
    return world


_RUNNING = {"phase": "Running", "attempt": 1, "startTime": wire(1)}
_COMPLETED = {"phase": "Completed", "attempt": 1, "startTime": wire(1), "completionTime": wire(5)}


@pytest.mark.parametrize(
    ("pod", "steps", "expected"),
    [
        pytest.param(a_pod().running(), {"train": _RUNNING}, False, id="the Pod runs"),
        pytest.param(a_pod().exited(0), {"train": _RUNNING}, True, id="its end is not on record"),
        pytest.param(a_pod().exited(1), {"train": _RUNNING}, True, id="nor is its failure"),
        pytest.param(a_pod().exited(0), {}, True, id="nothing of it is on record"),
        pytest.param(a_pod().exited(0), {"train": _COMPLETED}, False, id="its end is on record"),
    ],
)
def test_a_pod_that_has_ended_is_news_until_that_is_on_record(
    pod: PodMaker, steps: dict[str, Any], expected: bool
) -> None:
    run = _run(EXECUTION, EXECUTION_UID, **steps)
    assert _world(run, pod=pod).has_news(run) is expected


async def test_of_all_runs_those_with_news_are_looked_at_first() -> None:
    others = [_run(f"other-{n}", f"uid-{n}", train=_RUNNING) for n in range(3)]
    world = _world(*others, _run(EXECUTION, EXECUTION_UID, train=_RUNNING), pod=a_pod().exited(0))
    queue: WorkQueue[WorkKey] = WorkQueue()
    controller = Controller(
        world,
        queue,
        executions=_NOTHING,
        workflows=_NOTHING,
        leftovers=_NOTHING,
        watcher=_NOTHING,
        leads=lambda: True,
    )
    controller.wake_all()
    first = cast("ExecutionKey", await queue.get())
    assert first.name == EXECUTION
    assert len(queue) == 3


def _asked_for(server: ModelServer) -> None:
    def create(kind: str, name: str, spec: dict[str, Any], resource: names.Resource) -> None:
        meta = {"name": name, "namespace": "default"}
        server.create(resource, {"kind": kind, "metadata": meta, "spec": spec})

    steps = [{"name": "train", "image": "busybox:1"}]
    create("Workflow", "wf", {"steps": steps}, names.WORKFLOWS)
    create("WorkflowExecution", "run", {"workflowRef": {"name": "wf"}}, names.EXECUTIONS)


@pytest.mark.parametrize("busy", [True, False])
def test_while_others_wait_a_pod_is_made_before_its_step_is_recorded(busy: bool) -> None:
    server = ModelServer()
    _asked_for(server)
    replica = Replica(server, Limits(), others_wait=lambda: busy)
    looks: list[tuple[int, bool]] = []

    async def work() -> None:
        while not looks or not looks[-1][1]:
            assert await replica.work(), looks
            recorded = bool(server.get(names.EXECUTIONS, ("default", "run")).get("status"))
            looks.append((len(server.of(names.PODS)), recorded))

    with the_servers_time(server) as runner:
        runner.run(work())
    assert ((1, False) in looks) is busy
    assert looks[-1] == (1, True)
