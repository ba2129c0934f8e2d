"""Executions over REST: starting, what cannot be started, how far they are, cancelling, estimates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import a_workflow, an_environment, an_execution
from tests.support.facade import Json, Served, environments
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}
DAY = "2025-07-10T"


@pytest.fixture(scope="module")
def workflow(served: Served) -> str:
    """A workflow that takes any parameters."""
    return served.create(steps=[STEP, {**STEP, "name": "b"}], environments=["production"])


def shown(served: Served, workflow: str, execution: str) -> Json:
    return served.ask("GET", f"/{workflow}/executions/{execution}")


# --- starting ------------------------------------------------------------------------------------


def test_an_execution_is_created_as_asked_and_tied_to_its_workflow(served: Served, workflow: str) -> None:
    parameters = {"text": "ü $(X) \n", "number": 64, "list": [1, {"a": None}], "nothing": None, "yes": True}
    answer = served.http.post(
        f"/api/workflows/{workflow}/execute", json={"environment": "staging", "parameters": parameters}
    )
    execution = answer.json()["executionId"]
    assert answer.headers["location"] == f"/api/workflows/{workflow}/executions/{execution}"
    stored = served.stored("WorkflowExecution", execution)
    assert stored["spec"] == {
        "workflowRef": {"name": workflow},
        "parameters": parameters,
        "environment": "staging",
        "executor": "anonymous",
        "trigger": {"type": "Manual"},
        "cancel": False,
    }
    assert stored["metadata"]["labels"] == {"nightcrawler.dev/workflow": workflow}
    [owner] = stored["metadata"]["ownerReferences"]
    uid = served.stored("Workflow", workflow)["metadata"]["uid"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Workflow", workflow, uid)
    detail = served.http.get(answer.headers["location"]).json()
    assert (detail["parameters"], detail["environment"]) == (parameters, "staging")


@pytest.mark.parametrize("sent", [{}, {"json": {}}, {"json": {"environment": None, "parameters": None}}])
def test_a_body_may_be_left_out(served: Served, workflow: str, sent: Json) -> None:
    answer = served.http.post(f"/api/workflows/{workflow}/execute", **sent)
    assert answer.status_code == 201
    spec = served.stored("WorkflowExecution", answer.json()["executionId"])["spec"]
    assert set(spec) == {"workflowRef", "executor", "trigger", "cancel"}


def test_parameters_are_checked_against_those_that_are_declared(served: Served) -> None:
    declared = [{"name": "dataset", "required": True}, {"name": "epochs", "default": 10}]
    workflow = served.create(steps=[STEP], parameters=declared)
    assert served.execute(workflow, parameters={"dataset": "s3://x"})
    problem = served.refused("POST", f"/{workflow}/execute", {"parameters": {"epoch": 5}}, code=422)
    assert problem["errors"] == [
        {
            "pointer": "/parameters/epoch",
            "detail": "the workflow has no parameter 'epoch'; it has: dataset, epochs",
        },
        {"pointer": "/parameters/dataset", "detail": "the parameter 'dataset' is required and has no value"},
    ]


@pytest.mark.parametrize(
    ("body", "where", "says"),
    [
        ({"parameters": {"a b": 1}}, "/parameters/a b", "a parameter cannot be named 'a b'"),
        ({"parameters": {"x": "y" * 40_000}}, "/parameters", "at most 32768 are allowed"),
        ({"parameters": {f"p{n}": 1 for n in range(129)}}, "/parameters", "at most 128 entries; it has 129"),
        ({"parameters": {"x": "a\x00b"}}, "/parameters/x", "has a NUL character in it"),
        ({"parameters": [1]}, "/parameters", "must be an object, not a list"),
        ({"parameters": {"x": 2**64}}, "/parameters/x", "does not fit in 64 bits; send it as text"),
        ({"environment": 5}, "/environment", "must be text, not 5"),
        ({"environment": ""}, "/environment", "must not be empty"),
        ({"environment": "x" * 254}, "/environment", "at most 253 characters; it has 254"),
        ({"enviroment": "x"}, "/enviroment", "there is no such field"),
        ([], "", "must be an object"),
        ("now", "", "must be an object"),
    ],
)
def test_problems_of_a_request_are_reported_at_their_field(
    served: Served, workflow: str, body: Any, where: str, says: str
) -> None:
    problem = served.refused("POST", f"/{workflow}/execute", body, code=422)
    [error] = problem["errors"]
    assert error["pointer"] == where
    assert says in error["detail"]
    assert says in problem["detail"]


def test_an_unknown_environment_is_refused_once_some_exist(served: Served, workflow: str) -> None:
    silent = served.create(steps=[STEP])
    with environments(served, an_environment("local", aliases=["staging"])):
        assert served.execute(workflow, environment="staging")
        for asked, says in (
            ({"environment": "nowhere"}, "there is no environment 'nowhere'; there are: local, staging"),
            ({}, "the workflow's own: there is no environment 'production'"),
        ):
            problem = served.refused("POST", f"/{workflow}/execute", asked, code=422)
            assert problem["errors"][0]["pointer"] == "/environment"
            assert says in problem["detail"]
        problem = served.refused("POST", f"/{silent}/execute", {}, code=422)
        assert "neither the request nor the workflow names an environment" in problem["detail"]
    with environments(served, an_environment("local", default=True)):
        assert served.execute(silent)


def test_a_workflow_without_steps_says_what_to_do(served: Served) -> None:
    workflow = served.create()
    problem = served.refused("POST", f"/{workflow}/execute", {}, code=409)
    assert "has no steps to run" in problem["detail"]
    assert f"PUT /api/workflows/{workflow}" in problem["detail"]
    served.ask("PUT", f"/{workflow}", {"steps": [STEP]})
    assert served.execute(workflow)


def test_a_workflow_created_by_kubectl_that_cannot_run_is_not_started(served: Served) -> None:
    served.apply(a_workflow("cyclic").step("a", depends_on=["b"]).step("b", depends_on=["a"]))
    problem = served.refused("POST", "/cyclic/execute", {}, code=409)
    assert "a → b → a" in problem["detail"]
    assert served.ask("GET", "/cyclic/executions")["total"] == 0


# --- how far they are ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(served: Served) -> Json:
    """A workflow with an execution in each state; by the name of the state, the execution."""
    workflow = served.create(steps=[{**STEP, "name": name} for name in "abc"])
    made: Json = {"workflow": workflow}
    begun = {"startTime": f"{DAY}14:45:00Z"}
    ended = {**begun, "completionTime": f"{DAY}14:46:30Z"}
    statuses: Json = {
        "new": {},
        "pending": {"phase": "Pending", "message": "no node has room"},
        "running": {"phase": "Running", **begun, "progress": "1/3"},
        "cancelling": {"phase": "Cancelling", **begun},
        "completed": {"phase": "Completed", **ended},
        "failed": {"phase": "Failed", **ended, "message": "step 'a' ended with exit code 1"},
        "cancelled": {"phase": "Cancelled", **ended, "message": "cancelled"},
    }
    for state, status in statuses.items():
        made[state] = served.execute(workflow)
        if status:
            served.report(made[state], **status)
    eventually(lambda: served.ask("GET", f"/{workflow}/executions", status="cancelled")["total"] == 1)
    return made


def test_each_phase_has_its_word(served: Served, history: Json) -> None:
    rows = served.ask("GET", f"/{history['workflow']}/executions")["executions"]
    words = {row["id"]: row["status"] for row in rows}
    expected = {"new": "running", "pending": "running"}
    assert words == {
        execution: expected.get(state, state) for state, execution in history.items() if state != "workflow"
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("running", {"new", "pending", "running"}),
        ("cancelling", {"cancelling"}),
        ("completed", {"completed"}),
        ("failed", {"failed"}),
        ("cancelled", {"cancelled"}),
        ("", {"new", "pending", "running", "cancelling", "completed", "failed", "cancelled"}),
    ],
)
def test_executions_are_filtered_by_status(
    served: Served, history: Json, status: str, expected: set[str]
) -> None:
    answer = served.ask("GET", f"/{history['workflow']}/executions", status=status)
    assert {row["id"] for row in answer["executions"]} == {history[state] for state in expected}
    assert answer["total"] == len(expected)


def test_limit_and_offset_page_the_list(served: Served, history: Json) -> None:
    path = f"/{history['workflow']}/executions"
    everything = served.ask("GET", path, limit=100)["executions"]
    assert len(everything) == 7
    parts = [served.ask("GET", path, limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [row for part in parts for row in part["executions"]] == everything
    assert {(part["total"], part["limit"]) for part in parts} == {(7, 3)}
    assert [part["offset"] for part in parts] == [0, 3, 6, 9]


def test_waiting_and_failed_executions_say_why(served: Served, history: Json) -> None:
    workflow = history["workflow"]
    assert shown(served, workflow, history["pending"])["message"] == "no node has room"
    assert shown(served, workflow, history["failed"])["error"] == "step 'a' ended with exit code 1"
    assert shown(served, workflow, history["running"])["progress"] == "1/3"
    assert "error" not in shown(served, workflow, history["cancelled"])


def test_steps_go_from_pending_to_their_end_in_both_views(served: Served) -> None:
    # A workflow of its own: of runs that begin in one second the latest is the last by name.
    workflow = served.create(steps=[STEP, {**STEP, "name": "b"}])
    execution = served.execute(workflow)

    def both() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        steps = served.ask("GET", f"/{workflow}")["steps"]
        begun = shown(served, workflow, execution)["stepExecutions"]
        return [(s["status"], s["duration"]) for s in steps], [(s["name"], s["status"]) for s in begun]

    assert both() == ([("pending", "00:00")] * 2, [])
    begun = {"phase": "Running", "attempt": 1, "startTime": f"{DAY}14:45:00Z"}
    served.report(execution, phase="Running", startTime=f"{DAY}14:45:00Z", steps={"a": begun})
    eventually(both, until=lambda seen: seen[1] == [("a", "running")])
    done = {**begun, "phase": "Completed", "completionTime": f"{DAY}14:55:25Z", "exitCode": 0}
    failed = {
        "phase": "Failed",
        "attempt": 2,
        "completionTime": f"{DAY}14:56:00Z",
        "message": "no such image",
    }
    served.report(execution, phase="Failed", message="b failed", steps={"a": done, "b": failed})
    wanted = [("completed", "10:25"), ("failed", "00:00")], [("a", "completed"), ("b", "failed")]
    eventually(both, until=lambda seen: seen == wanted)
    [_, last] = shown(served, workflow, execution)["stepExecutions"]
    assert (last["error"], last["attempt"], last["duration"]) == ("no such image", 2, "00:00:00")


def test_logs_can_be_left_out(served: Served, workflow: str) -> None:
    execution = served.execute(workflow)
    served.report(
        execution, phase="Running", steps={"a": {"phase": "Running", "startTime": f"{DAY}14:45:00Z"}}
    )
    path = f"/{workflow}/executions/{execution}"
    eventually(lambda: served.ask("GET", path)["stepExecutions"])
    assert served.ask("GET", path)["stepExecutions"][0]["logs"] == []
    assert "logs" not in served.ask("GET", path, logs="false")["stepExecutions"][0]


def test_an_execution_of_another_workflow_is_not_found(served: Served, workflow: str) -> None:
    other = served.create(steps=[STEP])
    execution = served.execute(other)
    for verb, path in (("GET", ""), ("POST", "/cancel")):
        problem = served.refused(verb, f"/{workflow}/executions/{execution}{path}", code=404)
        assert problem["detail"] == f"the workflow {workflow!r} has no execution {execution!r}"


def test_executions_created_by_kubectl_are_listed_too(served: Served, workflow: str) -> None:
    name = served.apply(an_execution(workflow, parameters={"x": 1}))["metadata"]["name"]
    assert shown(served, workflow, name)["executor"] == "anonymous"


# --- cancelling ----------------------------------------------------------------------------------


def test_a_cancelled_execution_is_cancelling_at_once_and_can_be_cancelled_again(
    served: Served, workflow: str
) -> None:
    execution = served.execute(workflow)
    path = f"/{workflow}/executions/{execution}"
    first = served.ask("POST", f"{path}/cancel", code=202)
    assert shown(served, workflow, execution)["status"] == "cancelling"
    version = served.stored("WorkflowExecution", execution)["metadata"]["resourceVersion"]
    assert served.ask("POST", f"{path}/cancel", code=202) == first
    stored = served.stored("WorkflowExecution", execution)
    assert stored["spec"]["cancel"] is True
    assert stored["metadata"]["resourceVersion"] == version, "nothing more is written"


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Cancelled"])
def test_an_ended_execution_cannot_be_cancelled_even_before_its_end_is_observed(
    served: Served, workflow: str, phase: str
) -> None:
    execution = served.execute(workflow)
    # At once: the facade may not have observed the end yet.
    served.report(execution, phase=phase, completionTime=f"{DAY}16:01:25Z")
    problem = served.refused("POST", f"/{workflow}/executions/{execution}/cancel", code=409)
    assert f"it is {phase.lower()}" in problem["detail"]


# --- estimates -----------------------------------------------------------------------------------


def until_shown_as(served: Served, execution: str, status: str) -> None:
    eventually(lambda: served.ask("GET", execution)["status"], until=lambda seen: seen == status)


def test_an_estimate_gets_better_with_what_is_known(served: Served) -> None:
    workflow = served.create(steps=[STEP, {**STEP, "name": "b"}], config={"timeout": "90 minutes"})

    def estimate() -> str:
        answer = served.ask("POST", f"/{workflow}/execute", {}, code=201)
        return str(answer["estimatedDuration"])

    assert estimate() == "01:30:00"
    step = {"phase": "Completed", "startTime": f"{DAY}14:45:00Z", "completionTime": f"{DAY}14:45:50Z"}
    failed = served.execute(workflow)
    served.report(failed, phase="Failed", completionTime=f"{DAY}15:00:00Z", steps={"a": step, "b": step})
    until_shown_as(served, f"/{workflow}/executions/{failed}", "failed")
    assert estimate() == "00:01:40"
    completed = served.execute(workflow)
    served.report(completed, phase="Completed", startTime=f"{DAY}14:45:00Z", completionTime=f"{DAY}16:00:00Z")
    until_shown_as(served, f"/{workflow}/executions/{completed}", "completed")
    assert estimate() == "01:15:00"
