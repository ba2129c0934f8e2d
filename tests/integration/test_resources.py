"""What a step's Pod asks for: what was written, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.nodes import PRODUCT
from tests.support.team import Json, Team


def pod_of(team: Team, run: str, step: str) -> Json:
    """The Pod of a step as kubectl shows it."""
    (pod,) = team.pods(run, step)
    shown: Json = json.loads(
        team.cluster.kubectl("get", "pod", pod["metadata"]["name"], "-n", team.namespace, "-o", "json")
    )
    return shown


def asks_for(team: Team, run: str, step: str) -> Any:
    (container,) = pod_of(team, run, step)["spec"]["containers"]
    return container["resources"]


def test_a_gpu_step_requests_exactly_what_was_written(shared: Team) -> None:
    resources = {"cpu": "16 cores", "memory": "64 GB", "gpu": "8x NVIDIA A100"}
    (run,) = shared.runs(a_workflow("gpu").step("train", resources=resources))
    shared.until_phase(run, "Completed")

    assert asks_for(shared, run, "train") == {
        "requests": {"cpu": "16", "memory": "64G", "nvidia.com/gpu": "8"},
        "limits": {"memory": "64G", "nvidia.com/gpu": "8"},
    }
    pod = pod_of(shared, run, "train")
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    expected = {"key": names.GPU_PRODUCT_LABEL, "operator": "In", "values": [PRODUCT]}
    assert terms == {"nodeSelectorTerms": [{"matchExpressions": [expected]}]}


def test_unset_resources_are_not_requested(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("modest").step("one"))
    shared.until_phase(run, "Completed")

    pod = pod_of(shared, run, "one")

    assert asks_for(shared, run, "one") == {}
    assert "affinity" not in pod["spec"]
    assert "activeDeadlineSeconds" not in pod["spec"]
    assert "volumes" not in pod["spec"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["restartPolicy"] == "Never"


def test_a_step_overrides_the_workflow_field_by_field(shared: Team) -> None:
    workflow = (
        a_workflow("layered")
        .config(resources={"cpu": "500m", "memory": "256Mi", "gpu": 1}, storage={"ephemeralStorage": "1Gi"})
        .step("as all", pod={})
        .step("own", resources={"memory": "1Gi", "gpu": "None"})
    )
    (run,) = shared.runs(workflow)
    shared.until_phase(run, "Completed")

    assert asks_for(shared, run, "as all") == {
        "requests": {"cpu": "500m", "memory": "256Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "256Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"},
    }
    assert asks_for(shared, run, "own") == {
        "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "1Gi", "ephemeral-storage": "1Gi"},
    }
    (container,) = pod_of(shared, run, "own")["spec"]["containers"]
    assert {"name": "scratch", "mountPath": "/scratch"} in container["volumeMounts"]


def test_gpus_are_assigned_and_the_other_steps_wait(shared: Team) -> None:
    # Two nodes with eight each: three steps of eight do not fit side by side.
    graph = a_workflow("crowded", order="Graph")
    for number in range(3):
        graph = graph.step(f"s{number}", resources={"gpu": 8}, lasts=1)
    (run,) = shared.runs(graph)

    status = shared.until_phase(run, "Completed")

    assert {step["attempt"] for step in status["steps"].values()} == {1}
    assert {pod["spec"]["nodeName"] for pod in shared.pods(run)} == {"gpu-1", "gpu-2"}
