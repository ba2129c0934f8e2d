"""How an attempt ended: every rule, and that they are asked in the right order."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_result import Result, attempt_result
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Succeeded
from tests.support.snapshots import PodMaker, a_context, a_pod, a_step, at

PROGRAM, INFRASTRUCTURE = Blame.PROGRAM, Blame.INFRASTRUCTURE
NOW: Final = 60.0


def ended(pod: PodMaker, *, limit: str | None = None, **step: Any) -> Result | None:
    made = a_step(**step) if limit is None else a_step(**step, resources={"memory": limit})
    return attempt_result(a_context(at(NOW), made), pod.view)


def failed_init(code: int, message: str = "") -> PodMaker:
    state = {"terminated": {"exitCode": code, "message": message, "finishedAt": "2025-07-10T14:00:03Z"}}
    return a_pod().on_node().container(state, "fetch", init=True).phase("Failed")


NOT_ENDED: Final = {
    "a Pod that was just created": a_pod(),
    "a Pod that waits for its image": a_pod().waiting("ImagePullBackOff"),
    "a Pod whose container runs": a_pod().running(),
    "a Pod that is being deleted while its container runs": a_pod().running().deleted(3),
    "a Pod that is to be preempted and still runs": a_pod().running().disrupted(3),
    "a Pod that exceeded its deadline, and whose container's end is not reported so far": a_pod()
    .running()
    .phase("Failed", "DeadlineExceeded"),
    "a Pod whose init container failed, while the kubelet still tells of it": a_pod()
    .on_node()
    .container({"terminated": {"exitCode": 1}}, "fetch", init=True),
}


@pytest.mark.parametrize("pod", NOT_ENDED.values(), ids=NOT_ENDED)
def test_an_attempt_that_has_not_ended_has_no_result(pod: PodMaker) -> None:
    assert ended(pod) is None


SUCCESSES: Final = {
    "exit code 0": a_pod().exited(0),
    "exit code 0, and the Pod is deleted afterwards": a_pod().exited(0, end=5).deleted(6),
    "exit code 0, with a grace period that began before the end and a request after it": a_pod()
    .exited(0, end=5)
    .deleted(6, grace=0),
    "exit code 0, and the disruption comes afterwards": a_pod().exited(0, end=5).disrupted(6),
    "exit code 0 while a side-car keeps the Pod running": a_pod().exited(0).phase("Running"),
    "a disruption that was taken back": a_pod().exited(0, end=5).condition("DisruptionTarget", "False", 3),
}


@pytest.mark.parametrize("pod", SUCCESSES.values(), ids=SUCCESSES)
def test_an_attempt_succeeds_by(pod: PodMaker) -> None:
    assert ended(pod) == Succeeded(at(1), at(5))


def test_a_succeeded_pod_without_a_container_state_ends_now() -> None:
    assert ended(a_pod().on_node().phase("Succeeded")) == Succeeded(None, at(NOW))


FAILURES: Final[dict[str, tuple[PodMaker, Blame, str, str]]] = {
    "an exit code other than 0": (
        a_pod().exited(3, message="loading\nValueError: no data\n\n"),
        PROGRAM,
        conditions.STEP_ERROR,
        "ended with exit code 3: ValueError: no data",
    ),
    "an exit code and no last words": (
        a_pod().exited(1),
        PROGRAM,
        conditions.STEP_ERROR,
        "ended with exit code 1",
    ),
    "the deadline, although the program caught SIGTERM and ended with 0": (
        a_pod().exited(0).phase("Failed", "DeadlineExceeded"),
        PROGRAM,
        conditions.STEP_TIMED_OUT,
        "took longer than its timeout of 1h",
    ),
    "the deadline before its container ever started": (
        a_pod().on_node().phase("Failed", "DeadlineExceeded"),
        PROGRAM,
        conditions.STEP_TIMED_OUT,
        "had not started when its Pod's time was over",
    ),
    "an eviction for its own use of disk": (
        a_pod().exited(137).phase("Failed", "Evicted", "used 2Gi, more than its limit of 1Gi"),
        PROGRAM,
        conditions.STEP_DISK,
        "was evicted: used 2Gi, more than its limit of 1Gi",
    ),
    "an eviction because the node ran short": (
        a_pod().exited(137, end=5).phase("Failed", "Evicted", "node low on memory").disrupted(4, "kubelet"),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        "was ended by the cluster: kubelet",
    ),
    "a preemption that the program answered with exit code 0": (
        a_pod().exited(0, end=5).disrupted(4),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        "was ended by the cluster: preempted by a Pod of higher priority",
    ),
    "a preemption within the same second": (
        a_pod().exited(0, end=5).disrupted(5),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        "was ended by the cluster: preempted by a Pod of higher priority",
    ),
    "its deletion, asked for before the end although due after it": (
        a_pod().exited(143, end=5).deleted(3, grace=30),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        f"was ended: its Pod {a_pod().view.metadata.name} was deleted",
    ),
    "its deletion, which the program answered with exit code 0": (
        a_pod().exited(0, end=5).deleted(3),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        f"was ended: its Pod {a_pod().view.metadata.name} was deleted",
    ),
    "its deletion, of which only the last request was seen, after a signal": (
        a_pod().exited(137, end=5).deleted(60, grace=0),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        f"was ended: its Pod {a_pod().view.metadata.name} was deleted",
    ),
    "its deletion, of which only the last request was seen, at once": (
        a_pod().exited(1, end=5).deleted(7, grace=0),
        INFRASTRUCTURE,
        conditions.STEP_DISRUPTED,
        f"was ended: its Pod {a_pod().view.metadata.name} was deleted",
    ),
    "a signal, long before somebody deletes the Pod": (
        a_pod().exited(137, end=5).deleted(200, grace=0),
        PROGRAM,
        conditions.STEP_ERROR,
        "ended with exit code 137",
    ),
    "an exit code, long before somebody deletes the Pod": (
        a_pod().exited(1, end=5).deleted(60, grace=0),
        PROGRAM,
        conditions.STEP_ERROR,
        "ended with exit code 1",
    ),
    "a signal that memory was the reason of, before somebody deletes the Pod": (
        a_pod().exited(137, end=5, reason="OOMKilled").deleted(6, grace=0),
        PROGRAM,
        conditions.STEP_OUT_OF_MEMORY,
        "ran out of memory (its limit is 64 MB); give it more in resources.memory",
    ),
    "a node that lost track of the container": (
        a_pod().exited(137, reason="ContainerStatusUnknown"),
        INFRASTRUCTURE,
        conditions.STEP_VANISHED,
        "left no result on node node-1",
    ),
    "a lost track with a made-up exit code 0": (
        a_pod().exited(0, reason="ContainerStatusUnknown"),
        INFRASTRUCTURE,
        conditions.STEP_VANISHED,
        "left no result on node node-1",
    ),
    "the end of its memory": (
        a_pod().exited(137, reason="OOMKilled"),
        PROGRAM,
        conditions.STEP_OUT_OF_MEMORY,
        "ran out of memory (its limit is 64 MB); give it more in resources.memory",
    ),
    "a program that is not there": (
        a_pod().exited(128, reason="StartError", message='exec: "trian":\n not found in $PATH', started=None),
        PROGRAM,
        conditions.STEP_CANNOT_START,
        'could not be started: exec: "trian": not found in $PATH',
    ),
    "a container that cannot run": (
        a_pod().exited(127, reason="ContainerCannotRun", message="no such file"),
        PROGRAM,
        conditions.STEP_CANNOT_START,
        "could not be started: no such file",
    ),
    "an init container": (
        failed_init(2, "connecting\nno route to host"),
        PROGRAM,
        conditions.STEP_INIT,
        "could not begin: the init container 'fetch' ended with exit code 2: no route to host",
    ),
    "a node that did not take the Pod": (
        a_pod().on_node().phase("Failed", "OutOfcpu", "Node didn't have enough\ncpu"),
        INFRASTRUCTURE,
        conditions.STEP_NODE_REFUSED,
        "was not admitted by node node-1: it had not enough CPU left: Node didn't have enough cpu",
    ),
    "a device plugin that lost its devices": (
        a_pod().on_node().phase("Failed", "UnexpectedAdmissionError"),
        INFRASTRUCTURE,
        conditions.STEP_NODE_REFUSED,
        "was not admitted by node node-1: it could not set aside devices, CPUs or memory",
    ),
    "a shutdown of its node before it began": (
        a_pod().on_node().phase("Failed", "NodeShutdown", "Pod was rejected as the node is shutting down"),
        INFRASTRUCTURE,
        conditions.STEP_NODE_REFUSED,
        (
            "was not admitted by node node-1: it was being shut down: "
            "Pod was rejected as the node is shutting down"
        ),
    ),
    "a failed Pod of which nothing else is known": (
        a_pod().on_node().phase("Failed"),
        INFRASTRUCTURE,
        conditions.STEP_NODE_REFUSED,
        "was not admitted by node node-1: no reason given",
    ),
}


@pytest.mark.parametrize(("pod", "blame", "reason", "message"), FAILURES.values(), ids=FAILURES)
def test_an_attempt_fails_by(pod: PodMaker, blame: Blame, reason: str, message: str) -> None:
    result = ended(pod, limit="64 MB", timeout="1h")

    assert isinstance(result, Failed)
    assert (result.blame, result.reason, result.message) == (blame, reason, message)


def test_a_failure_has_the_times_and_exit_code_of_its_container() -> None:
    result = ended(a_pod().exited(3, end=9, started=2))

    assert isinstance(result, Failed)
    assert (result.started, result.finished, result.exit_code) == (at(2), at(9), 3)


def test_a_failure_without_the_containers_end_ends_now() -> None:
    result = ended(a_pod().on_node().phase("Failed", "OutOfpods"))

    assert isinstance(result, Failed)
    assert (result.started, result.finished, result.exit_code) == (None, at(NOW), None)


def test_the_out_of_memory_message_omits_a_limit_that_is_not_set() -> None:
    result = ended(a_pod().exited(137, reason="OOMKilled"))

    assert isinstance(result, Failed)
    assert result.message == "ran out of memory; give it more in resources.memory"


def test_an_init_container_that_succeeded_is_not_blamed() -> None:
    done = a_pod().container({"terminated": {"exitCode": 0}}, "fetch", init=True)

    result = ended(done.exited(4))

    assert isinstance(result, Failed)
    assert result.reason == conditions.STEP_ERROR


def test_the_end_of_a_sidecar_is_not_that_of_the_step() -> None:
    pod = a_pod().running().container({"terminated": {"exitCode": 1}}, "proxy")

    assert ended(pod) is None


def test_a_very_long_last_line_is_cut() -> None:
    result = ended(a_pod().exited(1, message="x" * 4000))

    assert isinstance(result, Failed)
    assert len(result.message) < 600
