"""Steps that cannot start yet: why is shown, and they start when they can, or are given up in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster import FakeNode
from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Team

BIG = {"cpu": "1000"}
"""More than any node has."""


def set_quota(team: Team, **hard: str) -> None:
    """Create or change the namespace's quota, and wait until it is in force."""
    path = f"/api/v1/namespaces/{team.namespace}/resourcequotas"
    body: dict[str, Any] = {"metadata": {"name": "quota"}, "spec": {"hard": hard}}
    if team.cluster.api.exists(f"{path}/quota"):
        team.cluster.api.merge(f"{path}/quota", body)
    else:
        team.cluster.api.post(path, body)
    eventually(
        lambda: team.cluster.api.get(f"{path}/quota").get("status", {}).get("hard"),
        what="the quota to be in force",
        until=lambda seen: seen == hard,
    )


@pytest.mark.usefixtures("nodes")
def test_an_unschedulable_step_says_why_and_fails_when_the_queue_timeout_is_over(
    operators: Operators, team: Team
) -> None:
    operators.start(queue_timeout=4, status_window=0.5)
    (run,) = team.runs(a_workflow("big").step("one", resources=BIG, retries=3).step("two"))

    waiting = team.until_step(run, "one", reason="NoNodeLargeEnough")
    status = team.status(run)
    assert (status["phase"], waiting["phase"]) == ("Pending", "Pending")
    assert status["message"] == waiting["message"]
    assert "waits for a larger node: it asks for 1000 CPU, and the largest node" in status["message"]
    assert (status["waitingReason"], status["waitingSince"]) == (
        "NoNodeLargeEnough",
        team.jobs(run)[0]["metadata"]["creationTimestamp"],
    )
    assert "startTime" not in status

    status = team.until_phase(run, "Failed")
    assert team.condition(names.EXECUTIONS, run, "Finished")["reason"] == "QueueTimedOut"
    assert "waited longer than the queue timeout of 4 s" in status["message"]
    assert "Insufficient cpu" in status["message"]
    assert "waitingReason" not in status
    assert [status["steps"][s]["phase"] for s in ("one", "two")] == ["Failed", "Skipped"]
    assert len(team.jobs(run)) <= 1, "waiting in vain used up retries"
    team.until_no_live_pods(run)


def test_a_step_runs_once_a_node_has_room_for_it(shared: Team, add_node: Callable[[FakeNode], None]) -> None:
    (run,) = shared.runs(a_workflow("roomy").step("one", resources=BIG))
    shared.until_step(run, "one", reason="NoNodeLargeEnough")

    add_node(FakeNode("giant", gpus=0, cpu="2000"))

    status = shared.until_phase(run, "Completed")
    assert status["steps"]["one"]["attempt"] == 1
    assert "reason" not in status["steps"]["one"]


def test_a_step_waits_for_a_gpu_of_the_model_it_asks_for(
    shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    (run,) = shared.runs(a_workflow("picky").step("one", resources={"gpu": "2x NVIDIA H100"}))
    waiting = shared.until_step(run, "one", reason="NoSuchGPU")
    assert waiting["message"] == (
        "step 'one' waits for a node with the GPU it asks for, '2x NVIDIA H100'; "
        "those there are: NVIDIA-A100-SXM4-80GB"
    )
    assert shared.jobs(run) == []

    add_node(FakeNode("hopper", product="NVIDIA-H100-80GB-HBM3"))

    shared.until_phase(run, "Completed")
    (pod,) = shared.pods(run)
    assert pod["spec"]["nodeName"] == "hopper"


def test_a_gpu_that_never_appears_fails_the_step_when_the_queue_timeout_is_over(
    operators: Operators, team: Team
) -> None:
    operators.start(queue_timeout=2)
    (run,) = team.runs(a_workflow("hopeless").step("one", resources={"gpu": "NVIDIA H100"}))

    status = team.until_phase(run, "Failed")

    assert "queue timeout of 2 s" in status["message"]
    assert "'NVIDIA H100'" in status["message"]
    assert status["steps"]["one"]["reason"] == "QueueTimedOut"
    assert team.jobs(run) == []


@pytest.mark.usefixtures("nodes", "operator")
def test_a_step_waits_for_the_quota_and_runs_when_there_is_room(team: Team) -> None:
    set_quota(team, pods="0")
    (run,) = team.runs(a_workflow("thrifty").step("one", retries=0))
    waiting = team.until_step(run, "one", reason="ExceededQuota")
    assert "exceeded quota: quota" in waiting["message"]
    assert team.status(run)["message"] == waiting["message"]

    set_quota(team, pods="10")

    # The Job controller's own back-off decides when.
    status = team.until_phase(run, "Completed", within=40)
    assert status["steps"]["one"]["attempt"] == 1


@pytest.mark.usefixtures("nodes", "operator")
def test_a_job_refused_by_the_quota_is_reported_and_created_again(team: Team) -> None:
    set_quota(team, **{"count/jobs.batch": "0"})
    (run,) = team.runs(a_workflow("jobless").step("one"))

    waiting = team.until_step(run, "one", reason="ExceededQuota")

    assert "its Job is refused" in waiting["message"]
    assert team.status(run)["phase"] == "Pending"
    team.cancel(run)
    team.until_phase(run, "Cancelled")


@pytest.fixture
def restricted(shared: Team) -> Iterator[None]:
    """Pod security forbids for a while what is not locked down; it is asked when a Pod is made, not a Job."""
    path, key = f"/api/v1/namespaces/{shared.namespace}", "pod-security.kubernetes.io/enforce"
    shared.cluster.api.merge(path, {"metadata": {"labels": {key: "restricted"}}})
    yield
    shared.cluster.api.merge(path, {"metadata": {"labels": {key: None}}})


@pytest.mark.usefixtures("restricted")
def test_a_pod_that_the_cluster_forbids_fails_its_step(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("forbidden").step("one", retries=3))

    status = shared.until_phase(run, "Failed")

    assert status["steps"]["one"]["reason"] == "PodForbidden"
    assert "violates PodSecurity" in status["message"]
    assert status["steps"]["one"]["attempt"] == 1


def test_a_job_that_the_api_server_finds_wrong_fails_its_step(shared: Team) -> None:
    mounts = [{"name": "step", "volumeMounts": [{"name": "nothing", "mountPath": "/data"}]}]
    (run,) = shared.runs(a_workflow("wrong").step("one", retries=3, pod={"spec": {"containers": mounts}}))

    status = shared.until_phase(run, "Failed")

    assert status["steps"]["one"]["reason"] == "JobRefused"
    assert "step 'one' cannot be run" in status["message"]
    assert "nothing" in status["message"]
