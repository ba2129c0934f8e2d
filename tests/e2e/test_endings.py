"""Runs cancelled, deleted or disturbed: programs get SIGTERM, and nothing is left running."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final
from uuid import uuid4

import psutil
import pytest

from localcluster import binaries
from nightcrawler_crds import names
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.history import Change, History
from tests.support.polling import eventually
from tests.support.real_node import NAMESPACE, Installation, Run, container, shell
from tests.support.team import Team

pytestmark = pytest.mark.real_node

GRACEFUL: Final = "trap 'echo terminating; exit 0' TERM; echo running; while true; do sleep 0.1; done"


def graceful(name: str, **fields: Any) -> WorkflowBuilder:
    """A program that runs until SIGTERM, and a second step after it."""
    return (
        a_workflow(name)
        .step("Work", command=[*shell(GRACEFUL), name], **fields)
        .step("After", command=["true"])
    )


def programs(mark: str) -> list[int]:
    """The processes on this machine that have a word in their command line: containers are processes too."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue  # it ended meanwhile
    return found


def gone(run: Run, mark: str) -> None:
    """Wait until neither Pod nor process of a run is left."""
    run.without_pods()
    eventually(lambda: not programs(mark), what=f"{run.name}: the end of its processes", within=30)


@pytest.fixture
def name() -> str:
    """A name for a workflow and its run, and a mark by which its processes are found."""
    return f"graceful-{uuid4().hex[:8]}"


class Follower:
    """`kubectl logs --follow` of a Pod: what it says outlives the Pod."""

    def __init__(self, here: Installation, pod: dict[str, Any]) -> None:
        kubectl = here.cluster.folder / "kubectl-cache"
        self._process = subprocess.Popen(
            [
                str(binaries.kube() / "kubectl"),
                f"--kubeconfig={here.cluster.kubeconfig}",
                f"--cache-dir={kubectl}",
                "logs",
                "--follow",
                pod["metadata"]["name"],
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "running\n"

    def rest(self) -> str:
        """All that comes, until the container has ended."""
        return self._process.communicate(timeout=60)[0]


def test_cancelling_signals_the_program_and_leaves_nothing(here: Installation, name: str) -> None:
    run = here.launch(graceful(name))[name]
    follower = Follower(here, run.running_pod())
    assert programs(name), "the program is a process of this machine"
    run.until(lambda status: status.get("phase") == "Running", "that it runs is recorded")
    run.cancel()
    assert follower.rest() == "terminating\n"
    status = run.ended()
    assert (status["phase"], status["message"], status["progress"]) == ("Cancelled", "cancelled", "0/2")
    assert {n: step["phase"] for n, step in status["steps"].items()} == {
        "Work": "Cancelled",
        "After": "Skipped",
    }
    assert not [pod for pod in run.pods if pod["status"]["phase"] not in ("Succeeded", "Failed")], (
        "no Pod is live"
    )
    gone(run, name)
    (finished,) = [one for one in status["conditions"] if one["type"] == "Finished"]
    assert (finished["status"], finished["reason"]) == ("True", "Cancelled")


def test_resources_of_a_cancelled_program_are_free_for_the_next(here: Installation, name: str) -> None:
    node = json.loads(here.kubectl("get", "node", "local-node", "-o", "json"))
    # Operator and facade have some of it; two that want more than half do not fit side by side.
    cores = f"{0.6 * int(node['status']['allocatable']['cpu']):.1f}"
    first = here.launch(graceful(name, resources={"cpu": cores}))[name]
    first.running_pod()
    second = here.launch(a_workflow(f"{name}-2").step("Work", command=["true"], resources={"cpu": cores}))[
        f"{name}-2"
    ]
    waits = second.until(lambda status: status.get("message"), "why it waits")
    assert "Insufficient cpu" in waits["message"]
    first.cancel()
    assert second.ended()["phase"] == "Completed"
    assert first.ended()["phase"] == "Cancelled"


def test_gpus_of_a_cancelled_run_are_free_for_the_next(here: Installation, name: str) -> None:
    def training(number: int, lasts: float) -> WorkflowBuilder:
        return a_workflow(f"{name}-{number}", environments=["gpu"]).step(
            "Train", resources={"gpu": "8x NVIDIA A100"}, lasts=lasts
        )

    # Two nodes with eight each.
    holding = here.launch(training(1, 3_600), training(2, 3_600))
    for run in holding.values():
        run.until(lambda status: status.get("phase") == "Running", "its start")
    third = here.launch(training(3, 0.1))[f"{name}-3"]
    waits = third.until(lambda status: status.get("message"), "why it waits")
    assert "Insufficient nvidia.com/gpu" in waits["message"]
    holding[f"{name}-1"].cancel()
    assert third.ended()["phase"] == "Completed"
    holding[f"{name}-2"].delete()
    holding[f"{name}-2"].without_pods()


def test_deleting_a_running_execution_leaves_no_pod_and_no_process(here: Installation, name: str) -> None:
    run = here.launch(graceful(name))[name]
    pod = run.running_pod()
    assert programs(name)
    run.delete()
    gone(run, name)
    everything = here.kubectl("get", "jobs,pods", "-o", "name")
    assert pod["metadata"]["name"] not in everything
    assert not [line for line in everything.split() if name in line]


def test_a_pod_that_somebody_deletes_is_run_again_free_of_charge(here: Installation, name: str) -> None:
    # No retries: a second attempt is there only if the first one was nobody's fault.
    once = f'test "$NIGHTCRAWLER_ATTEMPT" -gt 1 && echo undisturbed && exit 0; {GRACEFUL}'
    workflow = a_workflow(name).step("Work", command=[*shell(once), name], retries=0)
    run = here.launch(workflow)[name]
    pod = run.running_pod()
    history = History(Team(here.cluster, NAMESPACE))
    here.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    status = run.ended()

    def retries(change: Change) -> bool:
        return change.name == name and change.object["status"]["steps"]["Work"]["phase"] == "Retrying"

    step = history.first(names.EXECUTIONS, retries).object["status"]["steps"]["Work"]
    assert (step["reason"], step["exitCode"]) == ("Disrupted", 0), (
        "it exits with 0 when it gets SIGTERM, and is not done"
    )
    assert step["message"] == f"step 'Work' was ended: its Pod {pod['metadata']['name']} was deleted"
    done = status["steps"]["Work"]
    assert (status["phase"], done["attempt"], done["disruptions"], done["exitCode"]) == ("Completed", 2, 1, 0)
    assert "reason" not in done, "nothing of the first attempt stays"
    assert run.log("Work") == "undisturbed\n"


def test_a_further_attempt_never_runs_beside_the_one_before(here: Installation, name: str) -> None:
    # Ignores SIGTERM for a while.
    slow = (
        'test "$NIGHTCRAWLER_ATTEMPT" -gt 1 && exit 0; '
        "trap 'sleep 6; exit 0' TERM; echo running; while true; do sleep 0.1; done"
    )
    run = here.launch(a_workflow(name).step("Work", command=[*shell(slow), name]))[name]
    first = run.running_pod()["metadata"]
    history = History(Team(here.cluster, NAMESPACE))
    here.kubectl("delete", "pod", first["name"], "--wait=false")
    assert run.ended()["phase"] == "Completed"

    def ends(change: Change) -> bool:
        state = container(change.object, "step").get("state", {})
        return change.uid == first["uid"] and "terminated" in state

    def follows(change: Change) -> bool:
        of_it = change.object["metadata"].get("labels", {}).get(names.LABEL_EXECUTION) == name
        return change.kind == "ADDED" and of_it

    assert history.first(names.PODS, ends).number < history.first(names.PODS, follows).number
