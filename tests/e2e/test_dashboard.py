"""The dashboard's whole way, over REST alone, with programs that really run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from tests.support import examples
from tests.support.polling import eventually
from tests.support.real_node import Installation, Run, moment, shell

pytestmark = pytest.mark.real_node

Json = dict[str, Any]

GRACEFUL: Final = shell("trap 'echo terminating; exit 0' TERM; echo at work; while true; do sleep 0.1; done")
PIPELINE: Final[Json] = {
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "priority": "medium",
    "environmentStrategy": "time",
    "traceLevel": "med",
    "environments": {"awsVirginia": True, "dgxCloudCalifornia": False},
    "options": {"enableNotifications": False, "enableLogging": True, "enableRetry": False},
    "steps": [
        {
            "name": "Data Preparation",
            "image": "busybox:1",
            "command": shell('echo "reading $PARAM_datasetPath"; sleep 2; echo "WARNING no labels"'),
        },
        {
            "name": "Model Training",
            "image": "busybox:1",
            "command": shell('echo "batches of $PARAM_batchSize"'),
        },
    ],
}
ASKED: Final[Json] = {
    "environment": "production",
    "parameters": {"datasetPath": "s3://datasets/imagenet", "batchSize": 64, "epochs": 10},
}


@pytest.fixture(scope="module")
def rest(here: Installation) -> httpx.Client:
    """The facade."""
    return here.http


def created(rest: httpx.Client, **changes: Any) -> str:
    """The path of a new workflow."""
    answer = rest.post("/api/workflows", json=PIPELINE | changes)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/workflows/{answer.json()['id']}"
    return str(answer.headers["Location"])


def executed(rest: httpx.Client, workflow: str, **asked: Any) -> str:
    """The path of a new execution."""
    answer = rest.post(f"{workflow}/execute", json=asked)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "running"
    return str(answer.headers["Location"])


def read(rest: httpx.Client, path: str, **query: Any) -> Json:
    """What is at a path."""
    answer: Json = rest.get(path, params=query).raise_for_status().json()
    return answer


def until(rest: httpx.Client, path: str, holds: Callable[[Json], Any], what: str, **query: Any) -> Json:
    """What is at a path once it is as wanted."""
    return eventually(lambda: read(rest, path, **query), until=holds, what=f"{path}: {what}", within=60)


def ended(rest: httpx.Client, execution: str) -> Json:
    """An execution that has ended."""
    until(rest, execution, lambda run: run["status"] not in ("running", "cancelling"), "its end", logs=False)
    return read(rest, execution)


def seconds(clock: str) -> int:
    """Seconds of HH:MM:SS, or of MM:SS."""
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return total


def test_a_workflow_is_created_executed_followed_and_read(rest: httpx.Client) -> None:
    workflow = created(rest)
    before = read(rest, workflow)
    assert (before["status"], before["environments"]) == ("inactive", ["awsVirginia"])
    assert [(s["name"], s["status"], s["duration"]) for s in before["steps"]] == [
        ("Data Preparation", "pending", "00:00"),
        ("Model Training", "pending", "00:00"),
    ]
    execution = executed(rest, workflow, **ASKED)
    first = until(rest, execution, lambda run: run["stepExecutions"], "its first step", logs=False)
    assert (first["status"], [step["status"] for step in first["stepExecutions"]]) == ("running", ["running"])
    assert (read(rest, workflow)["status"], read(rest, workflow)["steps"][0]["status"]) == (
        "active",
        "running",
    )
    run = ended(rest, execution)
    assert (run["status"], run["parameters"], run["progress"]) == ("completed", ASKED["parameters"], "2/2")
    steps = {step["name"]: step for step in run["stepExecutions"]}
    assert list(steps) == ["Data Preparation", "Model Training"], "in the order in which they ran"
    assert {step["status"] for step in steps.values()} == {"completed"}
    said = {name: [(line["level"], line["message"]) for line in step["logs"]] for name, step in steps.items()}
    assert said == {
        "Data Preparation": [("info", "reading s3://datasets/imagenet"), ("warning", "WARNING no labels")],
        "Model Training": [("info", "batches of 64")],
    }
    check_times(run)
    after = until(rest, workflow, lambda one: one["status"] == "inactive", "its rest")
    assert after["lastRun"] == run["startTime"]
    for shown in after["steps"]:
        of_run = steps[shown["name"]]
        assert re.fullmatch(r"\d\d:\d\d", shown["duration"]), "minutes and seconds in workflows"
        assert (shown["status"], seconds(shown["duration"])) == ("completed", seconds(of_run["duration"]))
    listed = read(rest, f"{workflow}/executions")
    assert (listed["total"], listed["executions"][0]) == (
        1,
        {key: run[key] for key in listed["executions"][0]},
    )


def check_times(run: Json) -> None:
    """Times are in order, and durations are what lies between them."""
    for part in (run, *run["stepExecutions"]):
        assert re.fullmatch(r"\d\d:\d\d:\d\d", part["duration"]), "hours, minutes and seconds in executions"
        between = moment(part["endTime"]) - moment(part["startTime"])
        assert seconds(part["duration"]) == int(between.total_seconds())
        assert part["startTime"].endswith("Z")
    preparation, training = run["stepExecutions"]
    # It takes 2 s, but the runtime notes its start a moment late, and seconds are cut off.
    assert 1 <= seconds(preparation["duration"]) < 30
    assert run["startTime"] == preparation["startTime"], "a run begins with its first step"
    assert preparation["endTime"] <= training["startTime"]
    assert training["endTime"] <= run["endTime"]


def test_a_running_execution_is_cancelled_once(here: Installation, rest: httpx.Client) -> None:
    workflow = created(rest, steps=[{"name": "Work", "image": "busybox:1", "command": GRACEFUL}])
    execution = executed(rest, workflow)
    until(rest, execution, lambda run: [s for s in run["stepExecutions"] if s["logs"]], "a line of its log")
    answer = rest.post(f"{execution}/cancel")
    name = execution.rpartition("/")[2]
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "success": True,
            "message": "Execution cancellation requested",
            "executionId": name,
            "status": "cancelling",
        },
    )
    assert read(rest, execution, logs=False)["status"] in ("cancelling", "cancelled"), "at once"
    run = ended(rest, execution)
    (step,) = run["stepExecutions"]
    assert (run["status"], step["status"], step["error"]) == ("cancelled", "failed", "cancelled")
    Run(here, name).without_pods()
    (step,) = read(rest, execution)["stepExecutions"]
    assert step["logs"], "what was read until its Pod was gone"
    again = rest.post(f"{execution}/cancel")
    assert (again.status_code, again.headers["Content-Type"]) == (409, "application/problem+json")
    assert "has ended: it is cancelled" in again.json()["detail"]


def test_a_failed_execution_says_why_and_shows_its_log(rest: httpx.Client) -> None:
    crash = shell("exec 2>&1; echo loading; echo 'ERROR GPU memory allocation failed' >&2; exit 9")
    workflow = created(rest, steps=[{"name": "Train", "image": "busybox:1", "command": crash}])
    run = ended(rest, executed(rest, workflow))
    (step,) = run["stepExecutions"]
    error = "step 'Train' ended with exit code 9: ERROR GPU memory allocation failed"
    assert (run["status"], run["error"], step["status"], step["error"]) == ("failed", error, "failed", error)
    assert step["exitCode"] == 9
    assert sorted((line["level"], line["message"]) for line in step["logs"]) == [
        ("error", "ERROR GPU memory allocation failed"),
        ("info", "loading"),
    ]
    shown = read(rest, workflow)["steps"]
    assert [(one["name"], one["status"]) for one in shown] == [("Train", "failed")]


def test_retries_that_are_enabled_are_made(rest: httpx.Client) -> None:
    third = shell('echo "attempt $NIGHTCRAWLER_ATTEMPT"; test "$NIGHTCRAWLER_ATTEMPT" -eq 3')
    workflow = created(
        rest,
        options={"enableRetry": True},
        config={"retryDelay": "1 second"},
        steps=[{"name": "Flaky", "image": "busybox:1", "command": third}],
    )
    run = ended(rest, executed(rest, workflow))
    (step,) = run["stepExecutions"]
    assert (run["status"], step["attempt"]) == ("completed", 3)
    assert [line["message"] for line in step["logs"]] == ["attempt 3"]


def test_deleting_a_workflow_ends_and_deletes_its_runs(here: Installation, rest: httpx.Client) -> None:
    workflow = created(rest, steps=[{"name": "Work", "image": "busybox:1", "command": GRACEFUL}])
    execution = executed(rest, workflow)
    run = Run(here, execution.rpartition("/")[2])
    run.running_pod()
    answer = rest.delete(workflow)
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "message": "Workflow deleted successfully"},
    )
    assert rest.get(workflow).status_code == 404
    assert workflow.rpartition("/")[2] not in [
        one["id"] for one in read(rest, "/api/workflows", pageSize=100)["workflows"]
    ]
    run.without_pods()
    eventually(
        lambda: here.kubectl("get", "wfe", run.name, "--ignore-not-found", "-o", "name"),
        until=lambda shown: shown == "",
        what="the end of the execution",
    )
    assert rest.get(execution).status_code == 404


def test_the_example_body_of_the_rest_guide_runs(rest: httpx.Client) -> None:
    body = json.loads((examples.FOLDER / "rest" / "prime-search.json").read_text())
    answer = rest.post("/api/workflows", json=body)
    assert answer.status_code == 201, answer.text
    run = ended(rest, executed(rest, answer.headers["Location"], parameters={"limit": 2_000}))
    assert run["status"] == "completed"
    assert {step["name"]: [line["message"] for line in step["logs"]] for step in run["stepExecutions"]} == {
        "Lower Half": ["168 primes below 1000 - the last is 997"],
        "Upper Half": ["135 primes from 1000 to 2000 - the last is 1999"],
        "Compare": ["about 263 primes are to be expected below 2000"],
    }
