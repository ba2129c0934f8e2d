"""How long steps and runs may take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from localcluster import FakeNode
from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.history import Change, History
from tests.support.team import Json, Team


def length(of: Json) -> timedelta:
    """The time between start and completion, on record."""
    start, end = (datetime.fromisoformat(of[moment]) for moment in ("startTime", "completionTime"))
    return end - start


def test_a_run_over_its_time_fails_and_its_pods_end(shared: Team) -> None:
    workflow = a_workflow("endless").step("fine").step("long", lasts=600, retries=3).step("never")
    (run,) = shared.runs(workflow.config(timeout="5 seconds"))

    status = shared.until_phase(run, "Failed")

    assert shared.condition(names.EXECUTIONS, run, "Finished")["reason"] == "TimedOut"
    assert status["message"] == "took longer than its timeout of 5 seconds"
    assert timedelta(seconds=5) <= length(status) < timedelta(seconds=8)
    steps = status["steps"]
    assert [steps[s]["phase"] for s in ("fine", "long", "never")] == ["Completed", "Failed", "Skipped"]
    assert (steps["long"]["reason"], steps["long"]["attempt"]) == ("TimedOut", 1)
    assert "was ended because the run took longer" in steps["long"]["message"]
    shared.until_no_live_pods(run)


def test_a_run_over_its_time_while_it_waits_for_a_retry_fails_too(shared: Team) -> None:
    workflow = a_workflow("resting").step("one", exit_code=1, retries=1, retry_delay="1 hour")
    history = History(shared)
    (run,) = shared.runs(workflow.config(timeout=5))

    status = shared.until_phase(run, "Failed")

    def rests(change: Change) -> bool:
        steps = change.object.get("status", {}).get("steps", {})
        return change.name == run and steps.get("one", {}).get("phase") == "Retrying"

    history.first(names.EXECUTIONS, rests)
    assert shared.condition(names.EXECUTIONS, run, "Finished")["reason"] == "TimedOut"
    assert len(shared.jobs(run)) == 1
    assert status["steps"]["one"]["phase"] == "Failed"


def test_the_time_of_a_run_begins_with_its_first_pod(
    shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    workflow = a_workflow("queued").step("one", resources={"cpu": 1000}).config(timeout=2)
    (run,) = shared.runs(workflow)
    # It takes two seconds and more until that is shown.
    shared.until_step(run, "one", reason="NoNodeLargeEnough")

    add_node(FakeNode("giant", gpus=0, cpu="2000"))

    shared.until_phase(run, "Completed")


def test_a_step_over_its_time_uses_up_a_retry_whatever_its_exit_code(shared: Team) -> None:
    (run,) = shared.runs(
        a_workflow("strict").step("one", lasts=600, timeout="1m30s", retries=1, retry_delay="0s")
    )
    for attempt in (1, 2):
        shared.until_step(run, "one", attempt=attempt)
        pod = shared.until_pod_runs(run, "one")
        # The Pod gets its deadline once the program has started.
        assert 91 <= shared.until_deadline(pod, below=24 * 3600) <= 93
        # What the kubelet writes when it has ended a Pod that caught the signal and left with 0.
        shared.end_pod(pod, exit_code=0, reason="DeadlineExceeded")

    status = shared.until_phase(run, "Failed")

    one = status["steps"]["one"]
    assert (one["reason"], one["attempt"]) == ("TimedOut", 2)
    assert "took longer than its timeout of 1m30s (in the last of 2 attempts)" in one["message"]
