"""Requests that are sent again with an Idempotency-Key: done once, whoever answers, whenever it is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from localcluster import LocalCluster
from tests.support.builders import a_workflow
from tests.support.facade import PROBLEM, Json, Served, serving, serving_too
from tests.support.resources import path_of

STEP: Json = {"name": "a", "image": "busybox:1"}
BODY: Json = {"name": "Once", "steps": [STEP]}
SENT = 5


@pytest.fixture(scope="module")
def two(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two facades of one namespace."""
    with serving(cluster, tmp_path_factory.mktemp("two")) as one, serving_too(one) as other:
        yield one, other


def send(served: Served, key: str, path: str = "", body: Any = None) -> httpx.Response:
    sent = {} if body is None else {"json": body}
    return served.http.post(f"/api/workflows{path}", headers={"Idempotency-Key": key}, **sent)


def at_once(two: tuple[Served, Served], key: str, path: str = "", body: Any = None) -> list[httpx.Response]:
    """The answers to one request, sent at the same moment by five clients to two facades."""
    barrier = Barrier(SENT)

    def one(number: int) -> httpx.Response:
        barrier.wait()
        return send(two[number % 2], key, path, body)

    with ThreadPoolExecutor(SENT) as pool:
        return list(pool.map(one, range(SENT)))


def stored(served: Served, kind: str) -> set[str]:
    listed = served.cluster.api.get(path_of(kind, served.namespace))["items"]
    return {item["metadata"]["name"] for item in listed}


def test_sent_five_times_at_once_to_two_facades_a_workflow_is_created_and_executed_once(
    two: tuple[Served, Served],
) -> None:
    for number in range(5):
        before = stored(two[0], "Workflow")
        answers = at_once(two, f"create-{number}", body=BODY)
        assert [answer.status_code for answer in answers] == [201] * SENT, [a.text for a in answers]
        [workflow] = stored(two[0], "Workflow") - before
        assert {answer.json()["id"] for answer in answers} == {workflow}
        assert {answer.headers["location"] for answer in answers} == {f"/api/workflows/{workflow}"}
        assert Counter(a.headers.get("idempotent-replayed") for a in answers) == {None: 1, "true": SENT - 1}

        before = stored(two[0], "WorkflowExecution")
        answers = at_once(two, f"run-{number}", f"/{workflow}/execute", {"parameters": {"n": number}})
        assert [answer.status_code for answer in answers] == [201] * SENT, [a.text for a in answers]
        [execution] = stored(two[0], "WorkflowExecution") - before
        assert {answer.json()["executionId"] for answer in answers} == {execution}
        assert Counter(a.headers.get("idempotent-replayed") for a in answers) == {None: 1, "true": SENT - 1}


def test_copies_imports_and_repeated_runs_are_made_once_too(two: tuple[Served, Served]) -> None:
    workflow = two[0].create(**BODY)
    execution = two[0].execute(workflow)
    manifest = a_workflow("imported-once").step("a").manifest()
    nameless = {**manifest, "metadata": {}, "spec": {**manifest["spec"], "displayName": "Imported"}}
    latest = {"revision": "latest"}
    for path, body in (
        (f"/{workflow}/clone", None),
        (f"/{workflow}/clone", {"name": "Named"}),
        ("/import", manifest),
        ("/import", nameless),
        (f"/{workflow}/executions/{execution}/rerun", latest),
    ):
        answers = at_once(two, f"other than above {path} {body}".replace(" ", "_")[:200], path, body)
        assert [answer.status_code for answer in answers] == [201] * SENT, [a.text for a in answers]
        assert len({answer.headers["location"] for answer in answers}) == 1
        assert Counter(a.headers.get("idempotent-replayed") for a in answers) == {None: 1, "true": SENT - 1}


def test_the_same_json_written_otherwise_is_the_same_body_and_another_is_422(served: Served) -> None:
    first = send(served, "spelled", body=BODY).json()["id"]
    text = b'{"steps": [ {"image": "busybox:1", "name": "a"} ], "name": "\\u004fnce"}'
    headers = {"Idempotency-Key": "spelled", "Content-Type": "application/json"}
    again = served.http.post("/api/workflows", content=text, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, first)
    other = send(served, "spelled", body={**BODY, "priority": "high"})
    assert (other.status_code, other.headers["content-type"]) == (422, PROBLEM)
    [error] = other.json()["errors"]
    assert error["parameter"] == "Idempotency-Key"
    assert f"another body, which created {first!r}" in error["detail"]
    run = send(served, "spelled", f"/{first}/execute", {"parameters": {"a": 1}})
    assert run.status_code == 201, "another route is another request"
    assert send(served, "spelled", f"/{first}/execute", {}).status_code == 422
    assert send(served, "spelled", f"/{first}/execute", {"parameters": {"a": 1}}).status_code == 201


def test_the_key_of_another_caller_is_another_key(served: Served) -> None:
    with serving_too(served, default_user="Jane Roe") as hers:
        mine, other = (send(one, "shared", body=BODY) for one in (served, hers))
        assert (mine.status_code, other.status_code) == (201, 201)
        assert mine.json()["id"] != other.json()["id"]
        assert (mine.json()["creator"], other.json()["creator"]) == ("anonymous", "Jane Roe")
        workflow = mine.json()["id"]
        runs = [send(one, "shared", f"/{workflow}/execute").json()["executionId"] for one in (served, hers)]
    assert runs[0] != runs[1]


def test_a_repetition_is_answered_after_all_that_has_become_of_what_it_created(served: Served) -> None:
    created = send(served, "later", body=BODY).json()
    workflow = created["id"]
    first = send(served, "later-run", f"/{workflow}/execute")
    run = first.json()["executionId"]
    times = {"startTime": "2025-07-10T14:45:00Z", "completionTime": "2025-07-10T14:55:25Z"}
    served.report(run, phase="Failed", **times)
    # It could not be executed any more.
    served.ask("PUT", f"/{workflow}", {"name": "Renamed", "steps": []})
    served.refused("POST", f"/{workflow}/execute", code=409)
    again = send(served, "later-run", f"/{workflow}/execute")
    assert again.status_code == 201, again.text
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == {
        "executionId": run,
        "workflowId": workflow,
        "status": "failed",
        "startTime": times["startTime"],
        "estimatedDuration": "00:10:25",
        "estimatedEnd": times["completionTime"],
    }
    assert send(served, "later", body=BODY).json()["name"] == "Renamed"
    served.ask("DELETE", f"/{workflow}")
    anew = send(served, "later", body=BODY)
    assert (anew.status_code, anew.json()["id"]) == (201, workflow)
    assert "idempotent-replayed" not in anew.headers, "what has been deleted is created again"


def test_a_name_that_is_taken_by_somebody_else_is_never_answered_for(served: Served) -> None:
    workflow = send(served, "taken", body=BODY).json()["id"]
    served.ask("DELETE", f"/{workflow}")
    served.apply(a_workflow(workflow).step("a"))
    refused = send(served, "taken", body=BODY)
    assert refused.status_code == 409
    assert "send another key" in refused.json()["detail"]
    manifest = a_workflow("not-by-key").step("a").manifest()
    served.apply(manifest)
    problem = send(served, "any", "/import", manifest)
    assert problem.status_code == 409
    assert "delete it first" in problem.json()["detail"]


@pytest.mark.parametrize("key", ["", "two words", "a" * 256, "naïve"])
def test_a_key_that_cannot_be_used_is_refused(served: Served, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    refused = served.http.post("/api/workflows", json=BODY, headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM)
    assert [error["parameter"] for error in refused.json()["errors"]] == ["Idempotency-Key"]


def test_two_keys_are_refused(served: Served) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    refused = served.http.post("/api/workflows", json=BODY, headers=headers)
    assert refused.status_code == 422
    assert "stands more than once" in refused.json()["detail"]
