"""Environments that are cordoned, fixed, or have GPUs of their own; priorities and preemption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, utcnow
from tests.support.builders import EnvironmentBuilder, a_workflow, an_environment
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]
Add = Callable[[EnvironmentBuilder], None]


@pytest.fixture
def add_environment(cluster: LocalCluster) -> Iterator[Add]:
    """Adds an Environment that goes with the test."""
    everywhere, added = Team(cluster, "default"), list[str]()

    def add(environment: EnvironmentBuilder) -> None:
        everywhere.apply(environment)
        added.append(environment.name)

    yield add
    for name in added:
        everywhere.delete(names.ENVIRONMENTS, name)


def change(team: Team, environment: str, **spec: Any) -> None:
    team.cluster.api.merge(team.path(names.ENVIRONMENTS, environment), {"spec": spec})


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
    add_environment: Add, add_node: Callable[[FakeNode], None], shared: Team
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
    add_environment: Add, add_node: Callable[[FakeNode], None], shared: Team
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


PREEMPTED: Final = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "PreemptionByScheduler",
    "message": "preempted by a Pod of higher priority",
}


def test_a_preempted_step_is_retried_for_free(operators: Operators, team: Team) -> None:
    operators.start(max_disruptions=0)
    (run,) = team.runs(a_workflow("humble").step("one", lasts=60, retries=0))
    pod = team.until_pod_runs(run, "one")
    where = team.path(names.PODS, pod["metadata"]["name"])
    told = {**PREEMPTED, "lastTransitionTime": to_wire(utcnow())}
    conditions = [*pod["status"]["conditions"], told]
    team.cluster.api.merge(f"{where}/status", {"status": {"conditions": conditions}})
    team.delete(names.PODS, pod["metadata"]["name"])

    step = eventually(
        lambda: team.step(run, "one"),
        until=lambda step: (step["phase"], step["attempt"]) == ("Running", 2),
        what="the second attempt",
    )
    assert (step["disruptions"], step["preemptions"]) == (1, 1)


def test_the_pods_of_a_workflow_are_of_the_class_of_its_priority(
    cluster: LocalCluster, operators: Operators, team: Team
) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name, value in (("places-medium", 0), ("places-high", 100)):
        body = {"metadata": {"name": name}, "value": value, "preemptionPolicy": "Never"}
        cluster.api.post(path, body)
    try:
        operators.start(priority_class_prefix="places-")
        for priority in ("high", None):
            fields = {"priority": priority} if priority else {}
            (run,) = team.runs(a_workflow(f"of-{priority or 'medium'}", **fields).step("one"))
            team.until_phase(run, "Completed")
            (pod,) = team.pods(run)
            assert pod["spec"]["priorityClassName"] == f"places-{priority or 'medium'}"
            assert pod["spec"]["preemptionPolicy"] == "Never"
    finally:
        for name in ("places-medium", "places-high"):
            cluster.api.delete(f"{path}/{name}")
