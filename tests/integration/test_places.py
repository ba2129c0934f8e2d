"""Environments that are cordoned, fixed, or have GPUs of their own; priorities and preemption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, utcnow
from tests.support.builders import a_workflow, an_environment
from tests.support.environments import Add, change
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]
AddNode = Callable[[FakeNode], None]
CLASSES: Final = "/apis/scheduling.k8s.io/v1/priorityclasses"


def test_a_cordoned_environment_gets_no_step_and_what_runs_there_goes_on(
    add_environment: Add, shared: Team
) -> None:
    add_environment(an_environment("first"))
    add_environment(an_environment("second"))
    workflow = a_workflow("moving", environments=["first", "second"]).step("one", lasts=2).step("two")
    (run,) = shared.runs(workflow)
    shared.until_pod_runs(run, "one")

    change(shared, "first", state="Cordoned")

    eventually(
        lambda: shared.step(run, "two").get("reason"),
        until=lambda reason: reason == "Cordoned",
        what="the second step to wait",
    )
    assert shared.step(run, "one")["phase"] == "Completed"
    assert (
        shared.step(run, "two")["message"] == "step 'two' waits for the environment 'first': it is cordoned"
    )
    other = shared.run(workflow)
    shared.until_phase(other, "Completed")
    message = shared.condition(names.EXECUTIONS, other, "Placed")["message"]
    assert message == "runs in second: the workflow's number 2; passed over, because cordoned: first"

    change(shared, "first", state="Open")

    shared.until_phase(run, "Completed")


def test_a_run_waits_for_the_end_of_a_maintenance_if_it_has_no_other_place(
    add_environment: Add, shared: Team
) -> None:
    now = utcnow()
    window = {"start": to_wire(now - timedelta(hours=1)), "end": to_wire(now + timedelta(seconds=6))}
    add_environment(an_environment("serviced", maintenance=[window]))
    (run,) = shared.runs(a_workflow("patient", environments=["serviced"]).step("one"))
    accepted = shared.until_condition(names.EXECUTIONS, run, "Accepted", "Unknown")
    assert accepted["reason"] == "Cordoned"
    assert f"serviced: it is under maintenance until {window['end']}" in accepted["message"]
    shared.until_phase(run, "Completed")


def test_a_fixed_environment_refuses_what_no_node_of_it_could_hold(
    add_environment: Add, add_node: AddNode, shared: Team
) -> None:
    add_node(FakeNode("fixed-1", gpus=2, cpu="16", memory="64Gi", labels={POOL: "fixed"}))
    add_environment(an_environment("fixed", nodes="Fixed", node_selector={POOL: "fixed"}))
    large = a_workflow("large", environments=["fixed"]).step("one", resources={"gpu": "4x A100"})

    def refused() -> Json:
        run = shared.run(large)
        return shared.until_phase(run, "Failed")

    shared.apply(large)
    message = (
        "no node of the environment 'fixed' could hold the step 'one': it asks for 4 nvidia.com/gpu, and the "
        "largest node, fixed-1, has 2 nvidia.com/gpu"
    )
    # The first may come before the operator has observed the node.
    eventually(lambda: refused()["message"], until=lambda said: said == message, what="the refusal")
    fitting = a_workflow("fits", environments=["fixed"]).step("one", resources={"gpu": "2x A100", "cpu": 8})
    (run,) = shared.runs(fitting)
    shared.until_phase(run, "Completed")


def test_a_pool_scaled_to_zero_gets_a_pending_pod_for_its_autoscaler(
    add_environment: Add, add_node: AddNode, shared: Team
) -> None:
    h100 = {"model": "NVIDIA H100 80GB", "nodeSelector": {POOL: "from-zero"}}
    add_environment(an_environment("from-zero", gpu_models=[h100]))
    workflow = a_workflow("patient-gpu", environments=["from-zero"])
    (run,) = shared.runs(workflow.step("one", resources={"gpu": "2x H100"}))
    step = eventually(
        lambda: shared.step(run, "one"),
        until=lambda step: step.get("reason") == "Unschedulable",
        what="the Pod to wait for a node",
    )
    assert step["phase"] == "Pending"

    add_node(FakeNode("h100-1", product="NVIDIA-H100-80GB-HBM3", labels={POOL: "from-zero"}))

    shared.until_phase(run, "Completed")
    (pod,) = shared.pods(run)
    assert pod["spec"]["nodeName"] == "h100-1"


def a_class(cluster: LocalCluster, name: str, value: int, policy: str = "Never") -> str:
    """Create a PriorityClass; its path."""
    body = {"metadata": {"name": name}, "value": value, "preemptionPolicy": policy}
    cluster.api.post(CLASSES, body)
    return f"{CLASSES}/{name}"


@pytest.fixture
def classes(cluster: LocalCluster) -> Iterator[str]:
    """PriorityClasses as the chart creates them; the prefix of their names."""
    values = {"low": 0, "medium": 100, "high": 200, "critical": 300}
    made = [a_class(cluster, f"places-{name}", value) for name, value in values.items()]
    yield "places-"
    for path in made:
        cluster.api.delete(path)


def unschedulable_for(team: Team, run: str) -> float:
    """For how many seconds the scheduler has found no node for a run's Pod."""
    (pod,) = team.pods(run)
    (refused,) = [one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    return (utcnow() - datetime.fromisoformat(refused["lastTransitionTime"])).total_seconds()


def test_of_two_runs_that_wait_the_more_urgent_one_starts_first(
    classes: str, add_environment: Add, add_node: AddNode, operators: Operators, team: Team
) -> None:
    operators.start(priority_class_prefix=classes)
    add_node(FakeNode("narrow-1", gpus=0, cpu="4", labels={POOL: "narrow"}))
    add_environment(an_environment("narrow", node_selector={POOL: "narrow"}))

    def filling(priority: str, **step: Any) -> str:
        workflow = a_workflow(priority, environments=["narrow"], priority=priority)
        (run,) = team.runs(workflow.step("one", resources={"cpu": 4}, **step))
        return run

    first = filling("medium", lasts=3600)
    (pod,) = [team.until_pod_runs(first)]
    assert pod["spec"]["priorityClassName"] == "places-medium"
    assert pod["spec"]["preemptionPolicy"] == "Never"
    humble, urgent = filling("low"), filling("critical", lasts=3600)
    for run in (humble, urgent):
        # None of them ends what runs.
        team.until_step(run, "one", reason="Unschedulable")
    eventually(
        lambda: min(unschedulable_for(team, run) for run in (humble, urgent)),
        until=lambda seconds: seconds > 2,
        what="the pause to be over that the scheduler makes after its first try, of a second",
    )

    team.cancel(first)

    team.until_pod_runs(urgent)
    assert "startTime" not in team.status(humble)
    team.cancel(urgent)
    team.until_phase(humble, "Completed")


def test_a_step_that_a_foreign_pod_preempts_is_retried_for_free(
    cluster: LocalCluster, add_node: AddNode, operators: Operators, team: Team
) -> None:
    operators.start(max_disruptions=0)
    add_node(FakeNode("contested-1", gpus=0, cpu="4", labels={POOL: "contested"}))
    there, asked = {"nodeSelector": {POOL: "contested"}}, {"cpu": 4}
    workflow = a_workflow("humble").step("one", lasts=60, retries=0, resources=asked, pod={"spec": there})
    (run,) = team.runs(workflow)
    team.until_pod_runs(run)
    foreign = a_class(cluster, "places-foreign", 1000, "PreemptLowerPriority")
    try:
        container = {"name": "one", "image": "busybox:1", "resources": {"requests": {"cpu": "4"}}}
        spec = {**there, "priorityClassName": "places-foreign", "containers": [container]}
        pod = {"kind": "Pod", "metadata": {"name": "foreign"}, "spec": spec}
        team.apply(pod)

        step = team.until_step(run, "one", attempt=2, reason="Unschedulable")
        assert (step["disruptions"], step["preemptions"]) == (1, 1)

        team.delete(names.PODS, "foreign")
        team.until_step(run, "one", attempt=2, phase="Running")
    finally:
        cluster.api.delete(foreign)
