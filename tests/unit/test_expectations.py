"""How long a run takes, waits and costs in an Environment: the numbers that strategies compare."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from nightcrawler_crds.kube.roomviews import AskingPodView
from nightcrawler_crds.kube.views import ExecutionView, PastRunView, PastStepsView
from nightcrawler_crds.planning.cost import expected_cost
from nightcrawler_crds.planning.duration import Past, expected_duration
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_operator.cluster.past import PastRuns
from nightcrawler_operator.decisions.wait import expected_wait
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import LiveRun, Outlook
from tests.support.snapshots import a_spec, a_step, at, wire

Json = dict[str, Any]
LIMITS: Final = Limits()
A100: Final = "NVIDIA-A100-SXM4-80GB"


NODE: Final = NodeRoom("lab-1", {}, {"cpu": 8.0, "memory": 32 * 2.0**30, "pods": 100.0})


def a_revision(*steps: Any, **fields: Any) -> Revision:
    return Revision("wf-rev", a_spec(*steps, **fields))


SPECS: Final = {"slow": EnvironmentSpec(speed=1), "fast": EnvironmentSpec(speed=4)}


@pytest.mark.parametrize(
    ("usual", "revision", "seconds"),
    [
        ({"fast": (10.0, 30.0, 20.0), "slow": (999.0,)}, a_revision("a"), 20.0),
        ({"slow": (400.0, 800.0)}, a_revision("a"), 150.0),
        ({"gone": (400.0,)}, a_revision("a"), 100.0),
        ({}, a_revision(a_step("a", timeout="40s"), a_step("b", timeout="80s")), 30.0),
        (
            {},
            a_revision(a_step("a", timeout="40s"), a_step("b", timeout="80s"), order="Graph"),
            20.0,
        ),
        ({}, a_revision("a", config={"timeout": "400s"}), 100.0),
    ],
)
def test_the_duration_is_the_usual_one_there_or_the_best_guess(
    usual: Any, revision: Revision, seconds: float
) -> None:
    assert expected_duration("fast", SPECS, Past(usual), revision, LIMITS) == seconds


@pytest.mark.parametrize(
    ("steps", "revision", "seconds"),
    [
        pytest.param(
            {"fast": {"a": (10.0, 30.0, 20.0), "b": (5.0,)}},
            a_revision("a", "b"),
            25.0,
            id="medians in sequence",
        ),
        pytest.param(
            {"fast": {"a": (20.0,), "b": (5.0,)}},
            a_revision("a", "b", order="Graph"),
            20.0,
            id="the longest way",
        ),
        pytest.param(
            {"slow": {"a": (80.0,), "b": (40.0,)}}, a_revision("a", "b"), 30.0, id="scaled by speed"
        ),
        pytest.param(
            {"fast": {"a": (20.0,)}, "slow": {"a": (999.0,), "b": (40.0,)}},
            a_revision("a", "b"),
            30.0,
            id="those there go before those elsewhere",
        ),
        pytest.param(
            {"fast": {"a": (20.0,)}},
            a_revision("a", a_step("b", timeout="80s")),
            40.0,
            id="for a step without any its timeout",
        ),
        pytest.param(
            {"fast": {"a": (50.0,)}},
            a_revision("a", "b", config={"timeout": "60s"}),
            60.0,
            id="at most the timeout",
        ),
        pytest.param(
            {"fast": {"gone": (1.0,)}}, a_revision(a_step("a", timeout="40s")), 10.0, id="none of these"
        ),
    ],
)
def test_without_a_completed_run_the_duration_is_that_of_its_steps(
    steps: Any, revision: Revision, seconds: float
) -> None:
    assert expected_duration("fast", SPECS, Past(steps=steps), revision, LIMITS) == seconds
    completed = Past({"fast": (7.0,)}, steps)
    assert expected_duration("fast", SPECS, completed, revision, LIMITS) == 7.0


PRICES: Final = {
    "cpuHour": 0.5,
    "memoryGbHour": 0.1,
    "gpuHour": 1.0,
    "gpuHourByModel": {"A100": 3.0, "H100": 8},
}


@pytest.mark.parametrize(
    ("resources", "cost"),
    [
        ({}, 0.0),
        ({"cpu": 4}, 2.0),
        ({"memory": "10 GB"}, 1.0),
        ({"gpu": "2x A100"}, 6.0),
        ({"gpu": "2x NVIDIA A100 80GB"}, 6.0),
        ({"gpu": "1x H100"}, 8.0),
        ({"gpu": "2x T4"}, 2.0),
        ({"gpu": 2}, 2.0),
        ({"cpu": 2, "memory": "10 GB", "gpu": "1x A100"}, 5.0),
    ],
)
def test_the_cost_of_an_hour_is_what_is_asked_for_at_the_prices_there(resources: Json, cost: float) -> None:
    spec = EnvironmentSpec.model_validate({"prices": PRICES})
    revision = a_revision(a_step(resources=resources))
    assert expected_cost(revision, spec, 3600, {A100}, LIMITS) == pytest.approx(cost)


def test_steps_that_follow_each_other_share_the_time_and_parallel_ones_do_not() -> None:
    spec = EnvironmentSpec.model_validate({"prices": {"cpuHour": 1.0}})
    steps = [a_step(name, resources={"cpu": 1}) for name in ("a", "b")]
    assert expected_cost(a_revision(*steps), spec, 3600, (), LIMITS) == pytest.approx(1.0)
    side_by_side = a_revision(*steps, order="Graph")
    assert expected_cost(side_by_side, spec, 3600, (), LIMITS) == pytest.approx(2.0)


ROOM_FOR_TWO: Final = {"lab-1": {"cpu": 8.0, "memory": 64e9, "pods": 9.0}}


@pytest.mark.parametrize(
    ("outlook", "nodes", "wait"),
    [
        (Outlook(free=ROOM_FOR_TWO), "Fixed", 0.0),
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 1}), "Fixed", 0.0),
        # Nothing of ours runs there, so it is unknown when there will be room.
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 2}), "Fixed", 86400.0),
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 2}), "Autoscaled", 300.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-50), {"lab": (200.0,)}),)}), "Fixed", 150.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-50), {}),)}), "Fixed", 50.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-500), {}),)}), "Fixed", 0.0),
        (
            Outlook(free={}, running={"lab": (LiveRun(at(0), {"lab": (200.0,)}),)}, waiting={"lab": 2}),
            "Fixed",
            400.0,
        ),
        (Outlook(free=None), "Fixed", 86400.0),
    ],
)
def test_the_wait_is_until_there_is_room_for_those_before_it_too(
    outlook: Outlook, nodes: Any, wait: float
) -> None:
    there = Nodes(rooms=(NODE,))
    revision = a_revision(a_step("a", resources={"cpu": 4}), a_step("b", resources={"cpu": 64}))
    spec = EnvironmentSpec(nodes=nodes)
    assert expected_wait("lab", spec, revision, outlook, there, LIMITS, 100.0, at(0)) == wait


@pytest.mark.parametrize(
    ("most", "running", "ahead", "wait"),
    [
        pytest.param(3, (10, 50), 0, 0.0, id="a place is free"),
        pytest.param(2, (10, 50), 0, 10.0, id="until the first has ended"),
        pytest.param(2, (10, 50), 1, 50.0, id="one is ahead"),
        pytest.param(2, (10, 50), 2, 110.0, id="after the one that follows the first"),
        pytest.param(2, (10,), 1, 10.0, id="the other one has its place and has not started"),
        pytest.param(1, (), 1, 100.0, id="the only one has not started"),
        pytest.param(1, (10, 50), 0, 50.0, id="more are under way than may be"),
    ],
)
def test_under_a_limit_the_wait_is_that_for_the_turn_whatever_room_there_is(
    most: int, running: tuple[int, ...], ahead: int, wait: float
) -> None:
    runs = tuple(LiveRun(at(left - 100), {"lab": (100.0,)}) for left in running)
    outlook = Outlook(
        free={"lab-1": {"cpu": 99.0, "pods": 99.0}}, running={"lab": runs}, waiting={"lab": ahead}
    )
    spec = EnvironmentSpec(max_running=most, nodes="Autoscaled")
    there, revision = Nodes(rooms=(NODE,)), a_revision(a_step("a", resources={"cpu": 4}))

    assert expected_wait("lab", spec, revision, outlook, there, LIMITS, 100.0, at(0)) == wait


def a_past_run(number: int, phase: str = "Completed") -> PastRunView:
    status = {
        "phase": phase,
        "environment": "lab",
        "startTime": wire(number * 100),
        "completionTime": wire(number * 100 + number),
    }
    return msgspec.convert(
        {"metadata": {"name": f"run-{number}"}, "status": status}, PastRunView, strict=False
    )


def test_the_usual_time_is_of_the_last_ten_completed_runs() -> None:
    past, workflow = PastRuns(), ("default", "wf")
    assert past.of(workflow) is None
    assert past.runs_of(workflow) == {}
    runs = [a_past_run(number) for number in (12, *range(1, 12))]
    past.note(workflow, [*runs, a_past_run(99, "Failed")])
    assert past.of(workflow) == Past({"lab": tuple(float(number) for number in range(3, 13))})
    past.clear()
    assert past.of(workflow) is None


def with_steps(name: str, phase: str = "Failed", **seconds: int) -> ExecutionView:
    """A run in lab that ended after steps that completed in so many seconds."""
    times = {"startTime": wire(0), "phase": "Completed", "attempt": 1}
    steps = {step: times | {"completionTime": wire(long)} for step, long in seconds.items()}
    steps["last"] = {"phase": "Failed", "startTime": wire(0), "completionTime": wire(999)}
    status = {"phase": phase, "environment": "lab", "startTime": wire(0), "completionTime": wire(60)}
    body = {"metadata": {"name": name, "namespace": "default"}, "spec": {"workflowRef": {"name": "wf"}}}
    return msgspec.convert(body | {"status": status | {"steps": steps}}, ExecutionView, strict=False)


def test_the_times_of_steps_are_known_until_a_run_has_completed() -> None:
    past, workflow = PastRuns(), ("default", "wf")
    past.run_ended(with_steps("before it was looked up", a=5))
    earlier = msgspec.convert(msgspec.to_builtins(with_steps("r", a=10, b=20)), PastStepsView, strict=False)
    past.note(workflow, [], [earlier])
    past.run_ended(with_steps("then", a=30))
    assert past.of(workflow) == Past(steps={"lab": {"a": (10.0, 30.0), "b": (20.0,)}})

    past.run_ended(with_steps("well", "Completed", a=1))
    past.run_ended(with_steps("not so well", a=2))
    assert past.of(workflow) == Past({"lab": (60.0,)})


def test_the_times_of_few_steps_are_kept_in_all() -> None:
    past = PastRuns()
    many: Any = {f"s{number}": 1 for number in range(1_000)}
    view = msgspec.convert(msgspec.to_builtins(with_steps("r", **many)), PastStepsView, strict=False)
    for number in range(21):
        past.note(("default", f"wf-{number}"), [], [view])
    assert past.of(("default", "wf-0")) == Past()
    assert past.of(("default", "wf-1")) != Past()


def test_a_pod_takes_what_its_containers_ask_for_or_its_largest_init_container() -> None:
    def asks(cpu: str, **more: Any) -> Json:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "nodeName": "n",
        "containers": [asks("1"), {"resources": {"limits": {"nvidia.com/gpu": "2", "memory": "1Gi"}}}],
        "initContainers": [asks("500m", restartPolicy="Always"), asks("4")],
        "overhead": {"cpu": "250m"},
    }
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, AskingPodView, strict=False)
    assert dict(pod.spec.requests) == {"cpu": 4.25, "nvidia.com/gpu": 2.0, "memory": 2.0**30}
    assert pod.spec.containers == ()
    as_a_whole = spec | {"resources": {"requests": {"cpu": "8"}}}
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": as_a_whole}, AskingPodView, strict=False)
    assert dict(pod.spec.requests)["cpu"] == 8.25
