"""Which runs have something to follow, and that those come first when all are looked at."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from nightcrawler_crds.views import ExecutionView
from nightcrawler_operator.controller import Controller
from nightcrawler_operator.workqueue import WorkQueue
from nightcrawler_operator.world import ExecutionKey, WorkKey, World
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
