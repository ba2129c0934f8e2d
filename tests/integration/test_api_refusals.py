"""Every kind of bad input over REST: the right status, a sentence, and where it is wrong."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.support.facade import PROBLEM, Json, Served

STEP: Json = {"name": "a", "image": "busybox:1"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def workflow(served: Served) -> str:
    """Something to be refused a change of."""
    return served.create(steps=[STEP])


def raw(served: Served, body: bytes, path: str = "", headers: dict[str, str] | None = None) -> Json:
    answer = served.http.post(
        f"/api/workflows{path}", content=body, headers=JSON if headers is None else headers
    )
    assert answer.headers["content-type"] == PROBLEM
    problem: Json = answer.json()
    assert problem["status"] == answer.status_code
    return problem


@pytest.mark.parametrize("path", ["", "/{workflow}/execute"])
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "the body is not JSON"),
        (b'{"name": NaN}', 400, "near"),
        (b'{"name": "\xff"}', 400, "it is not UTF-8"),
        (b'{"name": "\\ud800"}', 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "nested more than 100 levels deep"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 400, "nested more than 100 levels deep"),
        (b'{"a": 1e400}', 422, "too large"),
        (b'{"a": 18446744073709551616}', 422, "does not fit in 64 bits"),
        (b'{"a": 0.12345678901234567890}', 422, "would become 0.12345678901234568"),
        (b'"text"', 422, "must be an object"),
        (b"[]", 422, "must be an object, not a list"),
        (b"5", 422, "must be an object, not 5"),
        (b'{"name": "' + b"x" * (1 << 20) + b'"}', 413, "larger than 1048576 bytes (1 MiB)"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_body_is_refused(
    served: Served, workflow: str, path: str, body: bytes, status: int, says: str
) -> None:
    problem = raw(served, body, path.format(workflow=workflow))
    assert problem["status"] == status, problem
    assert says in problem["detail"]


def test_creating_needs_a_body(served: Served) -> None:
    problem = raw(served, b"")
    assert (problem["status"], problem["detail"]) == (422, "a JSON object is required as the body")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_types_of_content_are_415(served: Served, kind: str) -> None:
    problem = raw(served, b'{"name": "x"}', headers={"Content-Type": kind} if kind else {})
    assert problem["status"] == 415
    assert "Content-Type: application/json" in problem["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_type_may_be_written_in_other_ways(served: Served, kind: str) -> None:
    answer = served.http.post("/api/workflows", content=b'{"name": "x"}', headers={"Content-Type": kind})
    assert answer.status_code == 201


def test_a_body_that_does_not_say_its_size_is_413_as_soon_as_it_is_too_large(served: Served) -> None:
    url = served.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(
            b"POST /api/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(17):
            connection.sendall(chunk)
        # The end of the body is never sent.
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(
    ("verb", "path", "status", "says"),
    [
        ("GET", "/nowhere", 404, "there is no workflow 'nowhere'"),
        ("GET", "/nowhere/executions", 404, "there is no workflow 'nowhere'"),
        ("GET", "/{workflow}/executions/nowhere", 404, "has no execution 'nowhere'"),
        ("POST", "/{workflow}/executions/nowhere/cancel", 404, "has no execution 'nowhere'"),
        ("PUT", "/nowhere", 404, "there is no workflow 'nowhere'"),
        ("DELETE", "/nowhere", 404, "there is no workflow 'nowhere'"),
        ("POST", "/nowhere/execute", 404, "there is no workflow 'nowhere'"),
        ("GET", "/Not_A-Name", 404, "there is no workflow 'Not_A-Name'"),
        ("GET", "/..%2f..%2fnamespaces", 404, "/docs"),
        ("GET", "/%00", 404, "there is no workflow"),
        ("GET", "/a%0a", 404, "there is no workflow"),
        ("GET", "/" + "x" * 5000, 404, "there is no workflow"),
        ("GET", "/a/b/c/d", 404, "/docs lists what there is"),
        ("PATCH", "", 405, "it takes GET, POST"),
        ("PATCH", "/x", 405, "it takes GET, PUT, DELETE"),
        ("GET", "/x/execute", 405, "it takes POST"),
        ("DELETE", "/x/executions/y", 405, "it takes GET"),
    ],
)
def test_an_unknown_name_or_action_is_refused_with_the_existing_ones(
    served: Served, workflow: str, verb: str, path: str, status: int, says: str
) -> None:
    body: Json | None = {} if verb in {"PUT", "POST"} else None
    problem = served.refused(verb, path.format(workflow=workflow), body, code=status)
    assert says in problem["detail"]


def test_a_method_that_is_not_allowed_gets_the_allowed_ones(served: Served) -> None:
    assert served.http.patch("/api/workflows").headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("path", "query", "parameter", "says"),
    [
        ("", {"status": "running"}, "status", "must be active, inactive or all, not 'running'"),
        ("", {"status": "ACTIVE"}, "status", "must be active, inactive or all, not 'ACTIVE'"),
        ("", {"priority": "urgent"}, "priority", "must be low, medium, high or critical, not 'urgent'"),
        ("", {"page": "0"}, "page", "must be at least 1"),
        ("", {"page": "-1"}, "page", "must be at least 1"),
        ("", {"page": "two"}, "page", "must be a whole number, not 'two'"),
        ("", {"page": "1.5"}, "page", "must be a whole number, not '1.5'"),
        ("", {"page": ""}, "page", "must be a whole number, not ''"),
        ("", {"pageSize": "0"}, "pageSize", "must be at least 1"),
        ("", {"pageSize": "101"}, "pageSize", "must be at most 100, not '101'"),
        ("", {"search": "x" * 257}, "search", "must have at most 256 characters; it has 257"),
        ("/{workflow}/executions", {"status": "active"}, "status", "must be completed, failed, running,"),
        ("/{workflow}/executions", {"limit": "101"}, "limit", "must be at most 100"),
        ("/{workflow}/executions", {"limit": "NaN"}, "limit", "must be a whole number"),
        ("/{workflow}/executions", {"offset": "-1"}, "offset", "must be at least 0"),
        ("/{workflow}/executions/x", {"logs": "perhaps"}, "logs", "must be true or false, not 'perhaps'"),
    ],
)
def test_queries_are_refused_by_the_name_of_the_parameter(
    served: Served, workflow: str, path: str, query: dict[str, str], parameter: str, says: str
) -> None:
    answer = served.http.get(f"/api/workflows{path.format(workflow=workflow)}", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    [error] = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert says in error["detail"]


def test_a_bad_schedule_is_refused_at_once_with_the_field_and_what_it_accepts(served: Served) -> None:
    schedule = {"type": "cron", "cron": "99 * * * *"}
    answer = served.refused("POST", "", {"name": "x", "config": {"schedule": schedule}}, code=422)
    [error] = answer["errors"]
    assert error["pointer"] == "/config/schedule/cron"
    assert "minute '99' is not understood; it takes 0 to 59" in error["detail"]
    workflow = served.create()
    schedule = {"type": "interval", "interval": "9 seconds"}
    answer = served.refused("PUT", f"/{workflow}", {"config": {"schedule": schedule}}, code=422)
    assert [error["pointer"] for error in answer["errors"]] == ["/config/schedule/interval"]


def test_a_schedule_is_previewed_or_refused_before_it_is_saved(served: Served) -> None:
    schedule = {"type": "cron", "cron": "0 6 * * 1", "timeZone": "Europe/Berlin"}
    answer = served.http.post("/api/schedules/preview", json=schedule)
    assert answer.status_code == 200
    assert len(answer.json()["times"]) == 10
    refused = served.http.post("/api/schedules/preview", json={**schedule, "timeZone": "Europe/Berlim"})
    assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM)
    [error] = refused.json()["errors"]
    assert error["pointer"] == "/timeZone"
    assert "'Europe/Berlin'" in error["detail"]


SERVER_RULES: list[tuple[Json, str, str]] = [
    (
        {"config": {"schedule": {"type": "cron"}}},
        "/config/schedule",
        "a schedule of type cron needs the field cron, one of type interval the field interval",
    ),
    ({"steps": [{**STEP, "nodes": 2}]}, "/steps/0/nodes", "a step on several nodes is not supported yet"),
    (
        {
            "steps": [
                {
                    **STEP,
                    "env": [
                        {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
                    ],
                }
            ]
        },
        "/steps/0/env/0",
        "a variable has either value or valueFrom",
    ),
]


@pytest.mark.parametrize(("body", "pointer", "says"), SERVER_RULES)
def test_rules_that_only_the_api_server_knows_are_422_with_its_sentence_and_our_pointer(
    served: Served, workflow: str, body: Json, pointer: str, says: str
) -> None:
    for verb, path in (("POST", ""), ("PUT", f"/{workflow}")):
        problem = served.refused(verb, path, {"name": "x", **body}, code=422)
        found = {error["pointer"]: error["detail"] for error in problem["errors"]}
        assert says in found[pointer], problem


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"name": 5, "priority": "urgent", "unheard": 1}, {"/name", "/priority", "/unheard"}),
        (
            {"name": "x", "steps": [STEP, {**STEP, "dependsOn": ["z"]}]},
            {"/steps/1/name", "/steps/1/dependsOn/0"},
        ),
        (
            {"name": "x", "config": {"resources": {"cpu": [], "gpu": {}}}},
            {"/config/resources/cpu", "/config/resources/gpu"},
        ),
        ({"name": "x", "steps": [{**STEP, "name": f"s{n}"} for n in range(1001)]}, {"/steps"}),
        ({"name": "x", "description": "\x00"}, {"/description"}),
    ],
)
def test_bad_workflows_are_422_by_every_way_of_writing(
    served: Served, workflow: str, body: Json, pointers: set[str]
) -> None:
    for verb, path in (("POST", ""), ("PUT", f"/{workflow}")):
        problem = served.refused(verb, path, body, code=422)
        assert {error["pointer"] for error in problem["errors"]} == pointers


def test_nothing_is_left_of_what_was_refused(served: Served, workflow: str) -> None:
    before = served.ask("GET", "")["total"]
    served.refused("POST", "", {"name": "x", "config": {"schedule": {"type": "cron"}}}, code=422)
    assert served.ask("GET", "")["total"] == before


NAMES: list[Any] = [
    "训练管线",
    "🚀👩‍🚀",
    "مرحبا بالعالم",
    "a\u0301",
    "𝔘𝔫𝔦",
    "<script>alert(1)</script>",
    "'; DROP TABLE",
    "{{x}}",
    "%s$(x)`y`",
    "\u202egnp.exe",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_every_script_are_returned_as_sent(served: Served, name: str) -> None:
    workflow = served.create(name=name, description=name + "\n\tsecond line")
    answer = served.ask("GET", f"/{workflow}")
    assert (answer["name"], answer["description"]) == (name, name + "\n\tsecond line")
    assert workflow in json.dumps(served.ask("GET", "", search=name))
