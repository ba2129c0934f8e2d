"""Init containers and side-cars: which blocks the step, when it is given up, and reports meanwhile."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.kube.nativeviews import EventView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_result import attempt_result
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Waits
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.decisions.pending import Pending
from nightcrawler_operator.decisions.waiting import waiting
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForEvents, Plan, Waiting
from nightcrawler_operator.snapshot import ObservedEvents
from tests.support.snapshots import PodMaker, a_context, a_job, a_pod, a_snapshot, a_step, an_event, at, wire

LIMITS: Final = Limits(image_pull_timeout=120, missing_config_grace=20)
LOOP: Final = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting"}}
TO_COME: Final = {"waiting": {"reason": "PodInitializing"}}


def ended(code: int = 1, reason: str = "Error", message: str = "", end: float = 5) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": wire(end)}}


def runs(since: float = 1) -> dict[str, Any]:
    return {"running": {"startedAt": wire(since)}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def decided(pod: PodMaker, now: float, *events: EventView) -> Waits | Failed:
    observed = {pod.view.metadata.uid: ObservedEvents(at(now), events)} if events else {}
    return waiting(Pending(a_job(), pod.view, at(now), LIMITS, observed))


def falling(restarts: int, last: dict[str, Any], state: dict[str, Any] = LOOP) -> PodMaker:
    pod = a_pod().on_node().sidecar(state, lastState=last, restartCount=restarts)
    return pod.container(TO_COME)


NEVER_UP: Final = falling(3, ended(7, message="loading\n\x1b[31mno route\x1b[0m"))
KEEPS_FAILING: Final = "the side-car 'proxy' keeps failing: it ended with exit code 7: no route"


def test_a_sidecar_that_keeps_failing_is_waited_for_and_then_given_up() -> None:
    early, late = decided(NEVER_UP, 119), decided(NEVER_UP, 120)

    assert isinstance(early, Waits)
    assert (early.reason, early.message) == (
        conditions.STEP_CANNOT_START_YET,
        f"cannot start yet: {KEEPS_FAILING}",
    )
    assert early.look_at is not None
    assert early.look_at <= at(120)
    assert isinstance(late, Failed)
    assert (late.blame, late.reason) == (Blame.PROGRAM, conditions.STEP_INIT)
    assert late.message == f"cannot start: {KEEPS_FAILING}"


def test_a_sidecar_that_crashed_once_after_a_long_start_gets_another_chance() -> None:
    result = decided(falling(1, ended()), 900)

    assert isinstance(result, Waits)
    assert result.message == "cannot start yet: the side-car 'proxy' has failed: it ended with exit code 1"


def test_a_sidecar_that_runs_again_is_not_given_up() -> None:
    assert isinstance(decided(falling(9, ended(), state=runs()), 900), Waits)


def test_a_sidecar_that_exits_with_0_is_not_running_either() -> None:
    result = decided(falling(2, ended(0), state=ended(0, "Completed")), 120)

    assert isinstance(result, Failed)
    assert result.message == "cannot start: the side-car 'proxy' keeps failing: it ended with exit code 0"


def test_a_sidecar_without_its_program_is_the_definitions_fault_during_back_off_too() -> None:
    result = decided(falling(1, ended(128, "StartError", 'exec: "trian": not found')), 120)

    assert isinstance(result, Failed)
    assert (result.blame, result.reason) == (Blame.DEFINITION, conditions.STEP_CANNOT_START)
    assert result.message == (
        "cannot start: the side-car 'proxy' could not be started: exec: \"trian\": not found"
    )


def test_why_the_kubelet_killed_it_is_looked_up_and_reported() -> None:
    wait = decided(NEVER_UP, 60)
    assert isinstance(wait, Waits)
    assert wait.lookups == (LookForEvents(NEVER_UP.view.metadata.uid, "Pod"),)

    result = decided(NEVER_UP, 120, an_event("Unhealthy", "Startup probe failed: refused"))
    assert result.message == f"cannot start: {KEEPS_FAILING} (Startup probe failed: refused)"


def test_out_of_memory_is_reported_as_such() -> None:
    result = decided(falling(2, ended(137, "OOMKilled")), 120)

    assert result.message.endswith("it ran out of memory; give it more in its resources.limits.memory")


IN_THE_WAY: Final[dict[str, tuple[PodMaker, str, str]]] = {
    "a side-car's image": (
        a_pod().on_node().sidecar(waits("ErrImagePull", "no route")).container(TO_COME),
        conditions.STEP_PULLING,
        "cannot start yet: the image 'busybox:1' of the side-car 'proxy' cannot be pulled: no route",
    ),
    "an init container that runs": (
        a_pod().on_node().container(runs(), "fetch", init=True).container(TO_COME),
        conditions.STEP_INITIALIZING,
        "waits for the init container 'fetch' to end",
    ),
    "a side-car whose startup probe has not succeeded": (
        a_pod().on_node().sidecar(runs(), started=False).container(TO_COME),
        conditions.STEP_INITIALIZING,
        "waits for the side-car 'proxy' to be up; its startup probe has not succeeded yet",
    ),
    "a side-car that has failed and runs again": (
        a_pod().on_node().sidecar(runs(), started=False, lastState=ended(), restartCount=9),
        conditions.STEP_CANNOT_START_YET,
        "cannot start yet: the side-car 'proxy' keeps failing: it ended with exit code 1",
    ),
    "an init container, though a side-car before it falls": (
        a_pod()
        .on_node()
        .sidecar(LOOP, lastState=ended(), restartCount=9)
        .container(runs(), "fetch", init=True)
        .container(TO_COME),
        conditions.STEP_INITIALIZING,
        "waits for the init container 'fetch' to end",
    ),
    "the step's own image, though an injected container's is bad": (
        a_pod()
        .on_node()
        .container(waits("InvalidImageName", "bad"), "injected")
        .container(waits("ErrImagePull", "no route")),
        conditions.STEP_PULLING,
        "cannot start yet: the image 'busybox:1' of its container cannot be pulled: no route",
    ),
}


@pytest.mark.parametrize(("pod", "reason", "message"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_a_step_waits_for(pod: PodMaker, reason: str, message: str) -> None:
    result = decided(pod, 30)

    assert isinstance(result, Waits)
    assert (result.reason, result.message) == (reason, message)


@pytest.mark.parametrize("sidecar", [False, True], ids=["has ended", "is up"])
def test_a_containers_time_begins_when_the_one_before_it(sidecar: bool) -> None:
    pod = a_pod().on_node()
    pod = pod.sidecar(runs(300)) if sidecar else pod.container(ended(0, end=300), "fetch", init=True)
    pod = pod.container(waits("ErrImagePull", "x"), "second", init=True).container(TO_COME)

    result = decided(pod, 400)

    assert isinstance(result, Waits)
    assert result.look_at == at(420)


# --- while the step runs ---------------------------------------------------------------------------


def recorded(pod: PodMaker, now: float, **more: Any) -> dict[str, Any]:
    snapshot = a_snapshot("train").recorded("train", "Running", startTime=wire(1), **more).with_pod(pod)
    plan = decide(snapshot.at(now).build())
    step: dict[str, Any] = (plan.status or {}).get("steps", {}).get("train", {})
    return step


def beside(state: dict[str, Any], restarts: int = 2, **last: Any) -> PodMaker:
    return a_pod().running().sidecar(state, lastState=ended(**last), restartCount=restarts)


SAID: Final = (
    "step 'train' runs, but the side-car 'proxy' was started again and again: it ended with exit code 1"
)


def test_a_sidecar_that_keeps_failing_is_reported_while_the_step_runs() -> None:
    assert recorded(beside(LOOP), 60) == {"reason": "SidecarFailing", "message": SAID}


@pytest.mark.parametrize(
    ("pod", "now"),
    [(beside(runs(60)), 60 + 299), (beside(LOOP, message="other words"), 60)],
    ids=["while it runs for less than five minutes", "with other last words"],
)
def test_what_is_reported_of_a_sidecar_stays(pod: PodMaker, now: float) -> None:
    assert recorded(pod, now, reason="SidecarFailing", message=SAID) == {}


def test_a_sidecar_that_runs_again_for_long_is_no_longer_reported() -> None:
    assert recorded(beside(runs(60)), 360, reason="SidecarFailing", message=SAID) == {
        "reason": None,
        "message": None,
    }


@pytest.mark.parametrize("reason", ["", "ContainerCreating", "PodInitializing", "RestartingAllContainers"])
def test_a_container_that_has_not_started_yet_is_not_reported(reason: str) -> None:
    assert recorded(a_pod().running().container(waits(reason), "injected"), 60) == {}


def test_an_injected_container_whose_image_is_bad_is_reported_while_the_step_runs() -> None:
    step = recorded(a_pod().running().container(waits("ErrImagePull", "no route"), "injected"), 60)
    assert step["message"] == (
        "step 'train' runs, but the image 'busybox:1' of the container 'injected' cannot be pulled: no route"
    )


def test_a_sidecar_that_restarted_once_is_not_reported() -> None:
    assert recorded(beside(LOOP, restarts=1), 60) == {}


# --- how an attempt ended --------------------------------------------------------------------------


def failed(pod: PodMaker) -> Failed:
    result = attempt_result(a_context(at(60)), pod.phase("Failed").view)
    assert isinstance(result, Failed)
    return result


def test_an_init_container_out_of_memory_is_reported_as_such() -> None:
    result = failed(a_pod().on_node().container(ended(137, "OOMKilled"), "fetch", init=True))
    assert (result.blame, result.reason) == (Blame.PROGRAM, conditions.STEP_INIT)
    assert result.message == (
        "could not begin: the init container 'fetch' ran out of memory; "
        "give it more in its resources.limits.memory"
    )


def test_a_sidecar_that_was_ended_with_the_pod_is_not_blamed_for_the_init_container() -> None:
    pod = a_pod().on_node().sidecar(ended(143)).container(ended(6), "fetch", init=True)
    assert failed(pod).message == "could not begin: the init container 'fetch' ended with exit code 6"


@pytest.mark.parametrize(("reason", "code"), [("ContainerStatusUnknown", 137), ("Unknown", 255)])
def test_an_init_container_that_its_node_lost_is_the_nodes_fault(reason: str, code: int) -> None:
    result = failed(a_pod().on_node().container(ended(code, reason), "fetch", init=True))
    assert (result.blame, result.reason) == (Blame.INFRASTRUCTURE, conditions.STEP_VANISHED)
    assert "the init container 'fetch'" in result.message


def test_a_lost_sidecar_does_not_hide_the_init_container_that_failed() -> None:
    pod = a_pod().on_node().sidecar(ended(137, "ContainerStatusUnknown"))
    result = failed(pod.container(ended(6), "fetch", init=True))
    assert (result.blame, result.reason) == (Blame.PROGRAM, conditions.STEP_INIT)


def test_a_pod_that_a_node_under_pressure_refused_did_not_fill_its_disk() -> None:
    refused = "Pod was rejected: The node had condition: [DiskPressure]. "
    result = attempt_result(a_context(at(60)), a_pod().on_node().phase("Failed", "Evicted", refused).view)
    assert isinstance(result, Failed)
    assert (result.blame, result.reason) == (Blame.INFRASTRUCTURE, conditions.STEP_NODE_REFUSED)
    assert result.message == (
        "was not admitted by node node-1: it was short of a resource: The node had condition: [DiskPressure]."
    )


HOOK: Final[dict[str, Any]] = {
    "podTemplate": {
        "spec": {
            "containers": [{"name": "step", "lifecycle": {"postStart": {"exec": {"command": ["false"]}}}}]
        }
    }
}


@pytest.mark.parametrize("code", [0, 143])
def test_a_program_killed_because_its_hook_failed_is_reported_as_such(code: int) -> None:
    pod = a_pod().exited(code)
    seen = a_snapshot(a_step(**HOOK)).recorded("train", "Running").with_pod(pod).at(10)
    look = LookForEvents(pod.view.metadata.uid, "Pod", of_its_end=True)
    assert decide(seen.build()).lookups == (look,)

    hook = an_event("FailedPostStartHook", "PostStartHook failed")
    plan = decide(seen.with_fields(events={look.key: ObservedEvents(at(10), (hook,))}).build())
    assert plan.status is not None
    step = plan.status["steps"]["train"]
    assert (step["phase"], step["reason"]) == ("Failed", "Error")
    assert step["message"] == f"step 'train' was ended with exit code {code}, for its postStart hook failed"


def test_a_success_beside_a_hook_is_believed_once_no_event_can_come_any_more() -> None:
    pod = a_pod().exited(0, end=60, started=1)
    look = LookForEvents(pod.view.metadata.uid, "Pod", of_its_end=True)
    seen = a_snapshot(a_step(**HOOK)).recorded("train", "Running").with_pod(pod)

    def decided(now: float, looked: float) -> Plan:
        events = {look.key: ObservedEvents(at(looked), ())}
        return decide(seen.at(now).with_fields(events=events).build())

    early = decided(61, looked=61)
    assert (early.lookups, early.outcome) == ((), Waiting(at(65)))
    assert (early.status or {}).get("phase") != "Completed"
    later = decided(65, looked=61)
    assert (later.lookups, later.outcome) == ((look,), Waiting(at(66)))
    for looked in (65, 59):  # the node's clock is ahead in the second case
        last = decided(66, looked=looked)
        assert last.status is not None
        assert (last.lookups, last.status["phase"]) == ((), "Completed")
