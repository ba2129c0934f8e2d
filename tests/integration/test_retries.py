"""Another attempt after an error of the program: how many, how far apart, and what is on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from nightcrawler_crds import names
from tests.support.audit import Audit
from tests.support.builders import a_workflow
from tests.support.history import History
from tests.support.team import Team


def test_a_failing_step_gets_its_retries_and_the_rest_is_skipped(shared: Team) -> None:
    workflow = (
        a_workflow("failing")
        .step("fine")
        .step(
            "wrong", exit_code=3, says="cannot open the file\nno such dataset\n", retries=2, retry_delay="0s"
        )
    )
    (run,) = shared.runs(workflow.step("never"))

    status = shared.until_phase(run, "Failed")

    message = "step 'wrong' ended with exit code 3: no such dataset (in the last of 3 attempts)"
    assert status["message"] == message
    assert shared.condition(names.EXECUTIONS, run, "Finished")["reason"] == "StepFailed"
    assert status["progress"] == "1/3"
    wrong = status["steps"]["wrong"]
    assert (wrong["phase"], wrong["attempt"], wrong["exitCode"]) == ("Failed", 3, 3)
    assert (wrong["reason"], wrong["message"]) == ("Error", message)
    assert status["steps"]["never"] == {"phase": "Skipped", "attempt": 0, "reason": "Skipped"}
    assert [len(shared.jobs(run, step)) for step in ("fine", "wrong", "never")] == [1, 3, 0]


def test_the_next_attempt_comes_after_the_delay_and_not_much_later(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("slow").step("one", exit_code=1, retries=1, retry_delay="3 seconds"))

    retrying = shared.until_step(run, "one", phase="Retrying")
    shared.until_phase(run, "Failed")

    assert retrying["message"] == "step 'one' ended with exit code 1"
    audit = Audit(shared)
    (pod, _), (_, second) = shared.pods(run), shared.jobs(run)
    (container,) = pod["status"]["containerStatuses"]
    ended = datetime.fromisoformat(container["state"]["terminated"]["finishedAt"])
    waited = audit.made(second["metadata"]["name"]) - ended
    assert 3 <= waited.total_seconds() < 6


def test_a_retry_that_succeeds_makes_the_run_complete(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("better").step("one", lasts=600, retries=3, retry_delay="0s").step("two"))
    shared.finish(shared.until_pod_runs(run, "one"), exit_code=1)
    shared.until_step(run, "one", attempt=2)
    shared.finish(shared.until_pod_runs(run, "one"))

    status = shared.until_phase(run, "Completed")

    one = status["steps"]["one"]
    assert (one["phase"], one["attempt"], one["exitCode"]) == ("Completed", 2, 0)
    # How long the first attempt ran is part of the cost, unless that was less than a second.
    shown = one.keys() - {"earlierSeconds"}
    assert shown == {"phase", "attempt", "startTime", "completionTime", "jobName", "exitCode"}


def test_a_further_attempt_is_recorded_before_its_job_is_created(shared: Team) -> None:
    history = History(shared)
    (run,) = shared.runs(a_workflow("recorded").step("one", exit_code=1, retries=1, retry_delay="0s"))
    shared.until_phase(run, "Failed")
    _, job = shared.jobs(run)

    record = history.first(
        names.EXECUTIONS,
        lambda c: c.object.get("status", {}).get("steps", {}).get("one", {}).get("attempt") == 2,
    )
    made = history.first(names.JOBS, lambda c: c.name == job["metadata"]["name"])

    assert record.number < made.number
    # Nothing of the first attempt's result is left in it.
    status = record.object["status"]["steps"]["one"]
    status.pop("earlierSeconds", None)  # how long the first attempt ran, which is part of the cost
    assert status == {"phase": "Pending", "attempt": 2}


# enableRetry, config.retries, the step's own retries → attempts
MATRIX = [
    (None, None, None, 1),
    (None, 1, None, 2),
    (True, None, None, 4),
    (True, 1, None, 2),
    (False, 2, None, 1),
    (False, None, 1, 2),
    (True, 3, 0, 1),
]


def written(enable_retry: bool | None, retries: int | None) -> dict[str, Any]:
    options = {} if enable_retry is None else {"options": {"enableRetry": enable_retry}}
    config: dict[str, Any] = {"retryDelay": "0s"} | ({} if retries is None else {"retries": retries})
    return {**options, "config": config}


@pytest.fixture(scope="module")
def matrix(shared: Team) -> list[str]:
    """A run of each row, side by side."""
    runs = []
    for number, (enable_retry, of_all, own, _) in enumerate(MATRIX):
        fields: dict[str, Any] = {} if own is None else {"retries": own}
        workflow = a_workflow(f"row-{number}", **written(enable_retry, of_all))
        runs += shared.runs(workflow.step("one", exit_code=1, **fields))
    return runs


@pytest.mark.parametrize("row", range(len(MATRIX)), ids=[str(row) for row in MATRIX])
def test_the_number_of_attempts_follows_the_settings(shared: Team, matrix: list[str], row: int) -> None:
    shared.until_phase(matrix[row], "Failed")
    assert len(shared.jobs(matrix[row])) == MATRIX[row][-1]


def test_a_failure_ends_the_parallel_steps(shared: Team) -> None:
    graph = a_workflow("beside", order="Graph").step("wrong", lasts=1, exit_code=1).step("long", lasts=600)
    (run,) = shared.runs(graph.step("after", depends_on=["long"]))

    status = shared.until_phase(run, "Failed")

    steps = status["steps"]
    assert [steps[name]["phase"] for name in ("wrong", "long", "after")] == ["Failed", "Cancelled", "Skipped"]
    assert steps["long"]["message"] == "step 'long' was ended because step 'wrong' failed"
    shared.until_no_live_pods(run)
