"""Repeating runs over REST, as they were or as the workflow is now; cancelling many."""

from __future__ import annotations

import pytest

from nightcrawler_crds import names
from tests.support.facade import Json, Served
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}


def revision(served: Served, workflow: str, name: str, **content: object) -> str:
    """A ControllerRevision, as the operator writes it."""
    stored = served.stored("Workflow", workflow)
    owner = {key: stored[key] for key in ("apiVersion", "kind")}
    owner |= {key: stored["metadata"][key] for key in ("name", "uid")}
    served.cluster.api.post(
        f"/apis/apps/v1/namespaces/{served.namespace}/controllerrevisions",
        {
            "metadata": {
                "name": name,
                "labels": {names.LABEL_WORKFLOW: workflow},
                "ownerReferences": [owner],
            },
            "revision": 1,
            "data": content,
        },
    )
    return name


def ran(served: Served, workflow: str, revision: str, **asked: object) -> str:
    """A run of a revision that has failed."""
    run = served.execute(workflow, **asked)
    served.report(run, phase="Failed", revision=revision, completionTime="2099-01-01T00:00:00Z")
    eventually(
        lambda: served.ask("GET", f"/{workflow}/executions/{run}")["status"] == "failed", what="its end"
    )
    return run


def spec_of(served: Served, run: str) -> Json:
    spec: Json = served.stored("WorkflowExecution", run)["spec"]
    return spec


def test_a_run_is_repeated_as_it_was_or_as_the_workflow_is_now(served: Served) -> None:
    workflow = served.create(steps=[STEP], parameters=[{"name": "epochs"}])
    old = revision(served, workflow, f"{workflow}-old", steps=[STEP], parameters=[{"name": "epochs"}])
    first = ran(served, workflow, old, environment="staging", parameters={"epochs": 3})
    served.ask("PUT", f"/{workflow}", {"parameters": [{"name": "rounds"}]})

    again = served.ask("POST", f"/{workflow}/executions/{first}/rerun", code=201)
    assert spec_of(served, again["executionId"]) == {
        "workflowRef": {"name": workflow},
        "environment": "staging",
        "parameters": {"epochs": 3},
        "revision": old,
        "executor": "anonymous",
        "trigger": {"type": "Rerun", "rerunOf": first},
        "cancel": False,
    }
    changed = {"revision": "latest", "parameters": {"rounds": 5}}
    latest = served.ask("POST", f"/{workflow}/executions/{first}/rerun", changed, code=201)
    spec = spec_of(served, latest["executionId"])
    assert ("revision" in spec, spec["parameters"]) == (False, {"rounds": 5})


def test_what_cannot_be_repeated_says_why_and_what_to_do(served: Served) -> None:
    workflow = served.create(steps=[STEP], parameters=[{"name": "epochs"}])
    path = f"/{workflow}/executions"
    fresh = served.execute(workflow)
    assert "has not begun" in served.refused("POST", f"{path}/{fresh}/rerun", code=409)["detail"]
    gone = ran(served, workflow, "not-there-any-more")
    detail = served.refused("POST", f"{path}/{gone}/rerun", code=409)["detail"]
    assert "'not-there-any-more'" in detail
    assert '{"revision": "latest"}' in detail
    unknown = {"revision": "latest", "parameters": {"depth": 1}}
    problem = served.refused("POST", f"{path}/{gone}/rerun", unknown, code=422)
    assert [error["pointer"] for error in problem["errors"]] == ["/parameters/depth"]
    served.refused("POST", f"{path}/nothing/rerun", code=404)
    served.refused("POST", f"{path}/{gone}/rerun", {"revision": "first"}, code=422)


def cancel(served: Served, **query: object) -> Json:
    answer = served.http.post("/api/executions/cancel", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    read: Json = answer.json()
    return read


def test_executions_are_cancelled_by_the_filters_of_their_list(served: Served) -> None:
    workflow = served.create(steps=[STEP], tags=["bulk"])
    other = served.execute(served.create(steps=[STEP]))
    running, pending = served.execute(workflow), served.execute(workflow)
    served.report(running, phase="Running", startTime="2025-07-10T10:00:00Z")
    ended = ran(served, workflow, "any")
    eventually(
        lambda: served.ask("GET", f"/{workflow}/executions", status="pending")["total"] == 1, what="it to run"
    )
    rehearsal = cancel(served, status="all", tags="bulk", dryRun=True)
    assert (set(rehearsal["executions"]), rehearsal["dryRun"]) == ({running, pending}, True)
    assert not spec_of(served, running)["cancel"]

    assert cancel(served, tags="bulk", status="pending")["executions"] == [pending]
    assert cancel(served, status="running", workflow=workflow) == {
        "dryRun": False,
        "executions": [running],
        "notCancelled": [],
        "remaining": 0,
    }
    assert {run: spec_of(served, run)["cancel"] for run in (running, pending, ended, other)} == {
        running: True,
        pending: True,
        ended: False,
        other: False,
    }


@pytest.mark.parametrize(
    ("query", "parameter"),
    [({}, "status"), ({"dryRun": True}, "status"), ({"status": "all", "workflw": "x"}, "workflw")],
)
def test_nothing_is_cancelled_by_a_request_without_filter_or_with_a_misspelt_one(
    served: Served, query: Json, parameter: str
) -> None:
    answer = served.http.post("/api/executions/cancel", params=query)
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
