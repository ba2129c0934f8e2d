"""What the cluster does to a step is not the program's fault: it is tried again and costs no retry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from tests.support.audit import Audit
from tests.support.builders import a_workflow
from tests.support.operator import Operators
from tests.support.team import Json, Team


def delete_pod(team: Team, pod: Json) -> None:
    team.delete(names.PODS, pod["metadata"]["name"])


def evict_pod(team: Team, pod: Json) -> None:
    team.evict(pod["metadata"]["name"])


def delete_job(team: Team, pod: Json) -> None:
    team.delete(names.JOBS, pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])


DISRUPTIONS = {"delete its Pod": delete_pod, "evict its Pod": evict_pod, "delete its Job": delete_job}


@pytest.mark.parametrize("disrupt", DISRUPTIONS.values(), ids=DISRUPTIONS)
def test_a_running_step_that_is_disrupted_runs_again_for_free(
    shared: Team, disrupt: Callable[[Team, Json], None]
) -> None:
    workflow = a_workflow(disrupt.__name__.replace("_", "-")).step("one", lasts=600, retries=0).step("two")
    (run,) = shared.runs(workflow)
    pod = shared.until_pod_runs(run, "one")

    disrupt(shared, pod)

    retrying = shared.until_step(run, "one", phase="Retrying")
    assert retrying["reason"] in ("Disrupted", "PodVanished")
    assert retrying["disruptions"] == 1
    shared.until_step(run, "one", attempt=2)
    shared.finish(shared.until_pod_runs(run, "one"))
    status = shared.until_phase(run, "Completed")
    assert (status["steps"]["one"]["attempt"], status["steps"]["one"]["disruptions"]) == (2, 1)
    assert status["steps"]["two"]["attempt"] == 1


def test_a_pod_that_is_deleted_before_it_started_is_replaced(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("unstarted").step("one", resources={"cpu": 1000}, retries=0))
    shared.until_step(run, "one", reason="NoNodeLargeEnough")
    (pod,) = shared.pods(run)

    delete_pod(shared, pod)

    seen = shared.until_step(run, "one", attempt=2, reason="NoNodeLargeEnough")
    assert seen["disruptions"] == 1
    shared.cancel(run)


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded yet"])
def test_an_observed_result_stands_whatever_happens_to_the_pod(shared: Team, recorded: bool) -> None:
    (run,) = shared.runs(
        a_workflow(f"latched-{recorded}".lower()).step("one").step("two", lasts=1.5).step("three")
    )
    shared.until_pod_runs(run, "two")
    (pod,) = shared.pods(run, "one")
    if recorded:
        shared.until_step(run, "one", phase="Completed")

    # After a restart of its node a Pod that had succeeded may be reported as failed.
    shared.end_pod(pod, exit_code=137, why="ContainerStatusUnknown")
    delete_pod(shared, pod)
    delete_job(shared, pod)

    one = shared.until_phase(run, "Completed")["steps"]["one"]
    assert (one["phase"], one["attempt"], one["exitCode"]) == ("Completed", 1, 0)
    assert shared.jobs(run, "one") == []


def test_a_step_that_is_disrupted_too_often_fails(operators: Operators, team: Team, nodes: object) -> None:
    operators.start(max_disruptions=1)
    (run,) = team.runs(a_workflow("unlucky").step("one", lasts=600, retries=3))
    for attempt in (1, 2):
        team.until_step(run, "one", attempt=attempt)
        delete_pod(team, team.until_pod_runs(run, "one"))

    status = team.until_phase(run, "Failed")

    one = status["steps"]["one"]
    assert (one["attempt"], one["disruptions"]) == (2, 2)
    assert one["message"].endswith("(disrupted 2 times, that is enough)")


def test_free_attempts_keep_a_growing_distance(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("patient").step("one", lasts=600))
    made, deleted = [], []
    for attempt in (1, 2, 3):
        shared.until_step(run, "one", attempt=attempt)
        pod = shared.until_pod_runs(run, "one")
        made.append(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])
        deleted.append(pod["metadata"]["name"])
        delete_pod(shared, pod)
    shared.cancel(run)

    audit = Audit(shared)
    gone = {r.name: r.at for r in audit.requests("admin") if r.what == "delete pods"}
    waits = [(audit.made(made[n + 1]) - gone[deleted[n]]).total_seconds() for n in (0, 1)]
    # 2 s, then 4 s; from the end that is on record, to the second before it.
    assert 1 <= waits[0] < 5
    assert 3 <= waits[1] < 8


def test_a_pod_that_its_node_refuses_is_tried_again_for_free(
    cluster: LocalCluster, shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    add_node(FakeNode("moody", labels={POOL: "moody"}))
    cluster.lose_fake_node("moody")  # so that its Pods stay as the test makes them
    pod_spec = {"spec": {"nodeSelector": {POOL: "moody"}}}
    (run,) = shared.runs(a_workflow("refused").step("one", resources={"gpu": 8}, retries=0, pod=pod_spec))
    pod = shared.until_pod_is_on(run, "moody")

    # What a kubelet writes whose device plugin has just been restarted.
    why = (
        "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu"
    )
    shared.end_pod(pod, reason="UnexpectedAdmissionError", message=why)

    retrying = shared.until_step(run, "one", phase="Retrying")
    assert retrying["reason"] == "NodeRefused"
    assert retrying["message"] == (
        f"step 'one' was not admitted by node moody: it could not set aside devices, CPUs or memory: {why}"
    )
    cluster.return_fake_node("moody")
    one = shared.until_phase(run, "Completed")["steps"]["one"]
    assert (one["attempt"], one["disruptions"]) == (2, 1)


def test_an_eviction_for_its_own_use_of_disk_is_the_programs_fault(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("greedy").step("one", lasts=600, retries=0))
    why = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi".'

    shared.end_pod(shared.until_pod_runs(run), exit_code=137, reason="Evicted", message=why)

    one = shared.until_phase(run, "Failed")["steps"]["one"]
    assert (one["reason"], one["attempt"]) == ("OutOfDisk", 1)
    assert "disruptions" not in one
    assert one["message"] == f"step 'one' was evicted: {why}"
