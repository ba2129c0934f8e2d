"""Cancelling a run: whenever it comes, it is Cancelled once, and nothing of it runs any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow, an_execution
from tests.support.history import History
from tests.support.operator import Operators
from tests.support.polling import always
from tests.support.team import Json, Team


def cancelled(team: Team, run: str) -> Json:
    """Cancel a run; its last status."""
    team.cancel(run)
    status = team.until_phase(run, "Cancelled")
    assert status["completionTime"]
    assert team.condition(names.EXECUTIONS, run, "Finished")["reason"] == "Cancelled"
    assert not [
        p["metadata"]["name"] for p in team.pods(run) if p["status"]["phase"] in ("Pending", "Running")
    ]
    return status


def test_a_running_execution_is_cancelled_only_when_its_pods_have_ended(shared: Team) -> None:
    history = History(shared)
    (run,) = shared.runs(a_chain("running", 2).step("long", lasts=600).step("never"))
    pod = shared.until_pod_runs(run, "long")["metadata"]["name"]

    status = cancelled(shared, run)

    steps = status["steps"]
    phases = [steps[s]["phase"] for s in ("s1", "s2", "long", "never")]
    assert phases == ["Completed", "Completed", "Cancelled", "Skipped"]
    assert (status["progress"], status["message"]) == ("2/4", "cancelled")
    assert history.phases(run)[-2:] == ["Cancelling", "Cancelled"]
    over = history.first(names.PODS, lambda c: c.name == pod and (c.phase == "Failed" or c.kind == "DELETED"))
    said = history.first(names.EXECUTIONS, lambda c: c.name == run and c.phase == "Cancelled")
    assert over.number < said.number
    # Cancelled was written once, and nothing after it.
    assert [c.phase for c in history.of(names.EXECUTIONS) if c.name == run].count("Cancelled") == 1


def test_all_parallel_steps_are_ended(shared: Team) -> None:
    graph = a_workflow("wide", order="Graph")
    for number in range(5):
        graph = graph.step(f"s{number}", lasts=600)
    (run,) = shared.runs(graph)
    for number in range(5):
        shared.until_pod_runs(run, f"s{number}")

    status = cancelled(shared, run)

    assert {step["phase"] for step in status["steps"].values()} == {"Cancelled"}


def test_an_execution_that_waits_for_a_node_is_cancelled(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("waiting").step("one", resources={"cpu": 1000}))
    shared.until_step(run, "one", phase="Pending")

    status = cancelled(shared, run)

    assert status["steps"]["one"]["phase"] == "Cancelled"


def test_an_execution_that_waits_for_a_gpu_has_nothing_to_end(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("gpuless").step("one", resources={"gpu": "NVIDIA H100"}))
    shared.until_step(run, "one", reason="NoSuchGPU")

    status = cancelled(shared, run)

    assert status["steps"]["one"]["phase"] == "Skipped"


def test_an_execution_between_two_attempts_makes_no_further_attempt(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("between").step("one", exit_code=1, retries=3, retry_delay="4s"))
    shared.until_step(run, "one", phase="Retrying")

    status = cancelled(shared, run)

    assert status["steps"]["one"]["phase"] == "Cancelled"
    made = len(shared.jobs(run))
    always(lambda: len(shared.jobs(run)) == made, during=5, what="no further Job")


def test_an_execution_that_waits_for_its_workflow_is_cancelled(shared: Team) -> None:
    run = shared.run("not-there")
    shared.until_condition(names.EXECUTIONS, run, "Accepted", "Unknown")

    status = cancelled(shared, run)

    assert status["message"] == "cancelled before it began"


def test_an_execution_created_cancelled_never_begins(shared: Team) -> None:
    shared.apply(a_workflow("stillborn").step("one"))
    run = shared.begin(an_execution("stillborn", cancel=True))

    status = shared.until_phase(run, "Cancelled")

    assert status["message"] == "cancelled before it began"
    assert shared.jobs(run) == []


def test_an_execution_that_has_ended_stays_as_it_was(shared: Team) -> None:
    history = History(shared)
    good, bad = [shared.runs(a_workflow(f"over-{code}").step("one", exit_code=code))[0] for code in (0, 1)]
    before = [shared.until_ended(run) for run in (good, bad)]

    for run in (good, bad):
        shared.cancel(run)

    # The operator may have no say any more; a run that begins and ends now shows that it has looked.
    shared.until_phase(shared.run("over-0"), "Completed")
    assert [shared.status(run) for run in (good, bad)] == before
    assert (history.phases(good)[-1], history.phases(bad)[-1]) == ("Completed", "Failed")


def test_a_cancellation_that_races_with_the_end_leads_to_one_of_the_two(shared: Team) -> None:
    history = History(shared)
    runs = []
    for tenths in range(6):
        (run,) = shared.runs(a_workflow(f"race-{tenths}").step("one", lasts=tenths / 10))
        shared.until_step(run, "one", attempt=1)
        shared.cancel(run)
        runs.append(run)

    for run in runs:
        shared.until_ended(run)
    for run in runs:
        status = shared.status(run)
        seen = [phase for phase in history.phases(run) if phase in ("Completed", "Cancelled", "Failed")]
        assert seen == [status["phase"]]
        assert status["steps"]["one"]["phase"] == status["phase"] != "Failed"


@pytest.mark.usefixtures("nodes")
def test_a_pod_that_does_not_end_is_named_when_the_grace_is_over(
    cluster: LocalCluster, operators: Operators, team: Team, add_node: Callable[[FakeNode], None]
) -> None:
    operators.start(cancel_grace=2)
    add_node(FakeNode("silent", labels={POOL: "silent"}))
    (run,) = team.runs(
        a_workflow("stuck").step("one", lasts=600, pod={"spec": {"nodeSelector": {POOL: "silent"}}})
    )
    pod = team.until_pod_runs(run)["metadata"]["name"]
    cluster.lose_fake_node("silent")  # its Pods never end

    team.cancel(run)

    assert team.until_phase(run, "Cancelling")["message"] == "its Pods are being ended"
    status = team.until_phase(run, "Cancelled")
    assert status["message"] == f"cancelled; after 2 s these Pods were still there: {pod}"
    assert team.condition(names.EXECUTIONS, run, "Finished")["reason"] == "CancelledWithPodsLeft"
