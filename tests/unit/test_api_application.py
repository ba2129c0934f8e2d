"""The application without a cluster: its document, its probes, and what all routes have in common."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jsonschema_rs
import pytest
from aiohttp import web
from fastapi import FastAPI
from fastapi.routing import APIRoute

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.settings import Settings
from nightcrawler_api.state import reachability
from nightcrawler_api.state.clustercache import STALE_AFTER_SECONDS
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from tests.support.fakeserver import Answer, store_of

PROBLEM = "application/problem+json"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return create_app(Settings(), Store(Connection(Identity("http://localhost"), "test"))).openapi()


async def away(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="{}")


async def no_namespace(_: web.Request) -> web.StreamResponse:
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "namespaces not found"}
    return web.json_response(status, status=404)


async def no_rights(_: web.Request) -> web.StreamResponse:
    status = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "forbidden"}
    return web.json_response(status, status=403)


async def well(_: web.Request) -> web.StreamResponse:
    return web.json_response({})


def schemas_in(value: Any) -> Iterator[Json]:
    """All objects of a document, at every depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from schemas_in(inner)


def operations_of_ours(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, verb and description of each request below /api."""
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if path.startswith("/api/"):
                yield path, verb, operation


@asynccontextmanager
async def asking(
    silent: dict[str, float], answer: Answer = well, *, follows: bool = True, **settings: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, FastAPI], None]:
    """A client of a facade that has read the cluster, whose watches have been silent for so many seconds."""
    async with store_of(answer) as store:
        app = create_app(Settings(**settings), store)
        for informer in app.state.facade.cluster._informers:
            informer.synced.set()
            informer.last_contact = time.monotonic() - silent.get(informer.resource.plural, 0.0)
        if follows:
            app.state.facade.watch_task = asyncio.create_task(asyncio.Event().wait())
        with pytest.MonkeyPatch.context() as patched:
            # What it finds is tested, not how quickly: a busy machine may take longer than two seconds.
            patched.setattr(reachability, "_PROBE_TIMEOUT", 60.0)
            await app.state.facade.cluster.reachability.probe()
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, app
        if follows:
            app.state.facade.watch_task.cancel()


# --- the document ----------------------------------------------------------------------------------


def test_every_problem_is_documented_as_it_is_sent(document: Json) -> None:
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            for code, response in operation["responses"].items():
                if code >= "400":
                    assert response["content"] == {PROBLEM: reference}, (path, verb, code)
    assert set(document["components"]["schemas"]["Problem"]["required"]) == {
        "type",
        "title",
        "status",
        "detail",
        "requestId",
    }


def test_models_of_responses_are_made_for_the_document_alone(document: Json) -> None:
    app = create_app(Settings(), Store(Connection(Identity("http://localhost"), "test")))
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]
    assert {route.path for route in routes} == set(document["paths"])
    assert not any(route.response_fields or route.response_field for route in routes)
    assert app.openapi() is app.openapi()


def test_a_manifest_may_be_yaml_by_the_document_too(document: Json) -> None:
    content = document["paths"]["/api/workflows/import"]["post"]["requestBody"]["content"]
    assert content["application/yaml"] == content["application/json"]


def test_probes_and_metrics_are_documented_as_they_are_sent(document: Json) -> None:
    for path in ("/healthz", "/readyz"):
        responses = document["paths"][path]["get"]["responses"]
        assert set(responses) == {"200", "503"}
        assert responses["200"]["content"]["application/json"]["schema"]["$ref"]
    assert set(document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


def test_every_example_is_of_the_form_that_is_documented(document: Json) -> None:
    def problems(content: Json, example: Any) -> list[str]:
        schema = {**content["schema"], "components": document["components"]}
        return [str(error) for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(example)]

    for path, verb, operation in operations_of_ours(document):
        for code in (code for code in operation["responses"] if code < "300"):
            for content in operation["responses"][code].get("content", {}).values():
                assert problems(content, content["example"]) == [], (path, verb, code)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for name, example in content["examples"].items():
                assert problems(content, example["value"]) == [], (path, verb, name)


def test_every_read_has_a_tag_and_every_list_pages(document: Json) -> None:
    untagged = set()
    for path, verb, operation in operations_of_ours(document):
        if verb != "get":
            continue
        if (
            "ETag" not in operation["responses"]["200"].get("headers", {})
            or "304" not in operation["responses"]
        ):
            untagged.add(path)
        content = operation["responses"]["200"]["content"].get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "total" in document["components"]["schemas"].get(name, {}).get("properties", {}):
            asked = {parameter["name"] for parameter in operation["parameters"]}
            assert {"cursor", "sort"} <= asked, path
            assert asked >= {"page", "pageSize"} or asked >= {"limit", "offset"}, path
    # They differ each time they are asked.
    assert untagged == {"/api/events", "/api/status"}


def test_no_field_has_a_default_that_it_would_refuse(document: Json) -> None:
    for schema in schemas_in(document):
        if "minLength" in schema and isinstance(schema.get("default"), str):
            assert len(schema["default"]) >= schema["minLength"], schema
    put = document["paths"]["/api/workflows/{workflowId}"]["put"]["requestBody"]
    schema = put["content"]["application/json"]["schema"]
    assert schema["properties"]["name"]["minLength"] == 1
    assert "required" not in schema


# --- probes ----------------------------------------------------------------------------------------


async def test_a_facade_whose_watches_are_all_fresh_is_ready() -> None:
    async with asking({"workflows": STALE_AFTER_SECONDS - 30}) as (client, _):
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["ready"], body["notYetRead"], body["silentTooLong"]) == (True, [], [])
    assert body["silentSeconds"]["workflows"] >= STALE_AFTER_SECONDS - 30
    assert body["silentSeconds"]["environments"] < 30


async def test_a_stale_watch_is_named_while_others_are_fresh() -> None:
    async with asking({"workflowexecutions": STALE_AFTER_SECONDS + 1}) as (client, _):
        answers = [await client.get(path) for path in ("/readyz", "/healthz")]
        text = (await client.get("/metrics")).text
    for answer in answers:
        assert answer.status_code == 200, "what was read can still be shown"
        assert answer.json()["silentTooLong"] == ["workflowexecutions"]
        assert answer.json()["apiServer"]["reachable"] is True
    said = re.search(r'nightcrawler_api_silence_seconds{kind="workflowexecutions"} (\d+)', text)
    assert said
    assert 151 <= int(said[1]) < 300


async def test_an_api_server_outage_makes_no_replica_unready() -> None:
    async with asking({}, away) as (client, _):
        answers = [await client.get(path) for path in ("/readyz", "/healthz")]
        text = (await client.get("/metrics")).text
        listed = await client.get("/api/workflows")
    for answer in answers:
        assert (answer.status_code, answer.json()["apiServer"]["reachable"]) == (200, False)
    assert "nightcrawler_api_server_reachable 0.0" in text
    assert listed.status_code == 200


async def test_a_missing_namespace_is_reported_with_what_to_do() -> None:
    async with asking({}, no_namespace) as (client, _):
        answers = [await client.get(path) for path in ("/readyz", "/api/workflows")]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
        assert answer.json()["detail"].startswith("the namespace 'nightcrawler-workflows' does not exist;")
        assert "kubectl create namespace nightcrawler-workflows" in answer.json()["detail"]


async def test_missing_rights_are_reported_only_where_nothing_could_be_read() -> None:
    async with asking({}, no_rights) as (client, app):
        assert (await client.get("/readyz")).status_code == 200
        app.state.facade.cluster._workflows["nightcrawler-workflows"].synced.clear()
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "the facade has no rights in it" in answer.json()["detail"]
    assert answer.json()["notYetRead"] == ["workflows"]


async def test_a_facade_that_has_stopped_watching_is_neither_healthy_nor_ready() -> None:
    async with asking({}, follows=False) as (client, _):
        for path in ("/healthz", "/readyz"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
            assert answer.json()["detail"] == "the facade has stopped watching the cluster"


async def test_a_facade_that_has_stopped_writing_audit_records_is_not_healthy() -> None:
    class Broken:
        async def add(self, _: Any) -> int:
            raise RuntimeError("a bug")

    async with asking({}) as (client, app):
        facade = app.state.facade
        assert (await client.get("/healthz")).status_code == 200
        facade.recorder.records = Broken()
        facade.recorder_task = asyncio.create_task(facade.recorder.run())
        await client.delete("/api/workflows/w")
        await asyncio.wait([facade.recorder_task])
        answer = await client.get("/healthz")
        assert isinstance(facade.recorder_task.exception(), RuntimeError)
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert answer.json()["detail"] == "the facade has stopped writing audit records"


# --- all routes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/workflows", "/api/workflows/Not_There", "/readyz", "/metrics", "/docs"]
)
async def test_head_answers_as_get_does_without_the_body(path: str) -> None:
    async with asking({}) as (client, _):
        got, head = await client.get(path), await client.head(path)
    assert head.status_code == got.status_code
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.content == b""


async def test_head_of_a_path_without_get_is_405() -> None:
    async with asking({}) as (client, _):
        head = await client.head("/api/workflows/x/execute")
    assert (head.status_code, head.headers["allow"]) == (405, "POST")
