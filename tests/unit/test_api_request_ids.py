"""Ids of requests: in and out, in problems, in the log, and on to the API server."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.requestids import NamesRequest
from nightcrawler_api.settings import Settings
from nightcrawler_crds.logformat import Format, handler
from tests.support.fakeserver import Answer, store_of


async def away(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="{}")


@asynccontextmanager
async def facade(answer: Answer = away, **settings: Any) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with store_of(answer) as store:
        app = create_app(Settings(**settings), store)
        for informer in app.state.facade.cluster._informers:
            informer.synced.set()
        transport = httpx.ASGITransport(in_front(app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/api/workflows", 200),
        ("HEAD", "/api/workflows", 200),
        ("GET", "/api/workflows/Not_There", 404),
        ("GET", "/api/workflows/elsewhere", 503),
        ("GET", "/api/workflows?page=0", 422),
        ("POST", "/api/workflows", 422),
        ("DELETE", "/nothing", 404),
        ("PUT", "/api/workflows", 405),
        ("GET", "/healthz", 503),
        ("GET", "/metrics", 200),
    ],
)
async def test_every_answer_has_the_id_of_its_request(verb: str, path: str, status: int) -> None:
    async with facade() as client:
        given = await client.request(verb, path, headers={"X-Request-Id": "proxy-17/a=b"})
        made = [await client.request(verb, path) for _ in range(2)]
    assert [answer.status_code for answer in (given, *made)] == [status] * 3
    assert given.headers.get_list("x-request-id") == ["proxy-17/a=b"]
    ids = [answer.headers["x-request-id"] for answer in made]
    assert len(set(ids)) == 2
    for answer in (given, *made):
        if status >= 400:
            assert answer.json()["requestId"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("given", ["", "two words", 'a"b', "a" * 129, "a\tb", "naïve", "a\\nb"])
async def test_an_id_that_cannot_stand_in_a_log_is_replaced(given: str) -> None:
    async with facade() as client:
        answer = await client.get("/api/workflows", headers=[(b"X-Request-Id", given.encode())])
    assert answer.status_code == 200
    assert len(answer.headers["x-request-id"]) == 36


async def test_two_ids_are_none() -> None:
    async with facade() as client:
        headers = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
        answer = await client.get("/api/workflows", headers=headers)
    assert answer.headers["x-request-id"] not in ("one", "two")


async def test_the_304_of_a_read_and_answers_to_other_origins_have_it_too() -> None:
    async with facade(cors_origins=("https://dash.example",)) as client:
        first = await client.get("/api/workflows")
        same = await client.get("/api/workflows", headers={"If-None-Match": first.headers["etag"]})
        headers = {"Origin": "https://dash.example", "X-Request-Id": "page-1"}
        page = await client.get("/api/workflows", headers=headers)
        headers = {"Origin": "https://evil.example", "X-Request-Id": "page-2"}
        refused = await client.post("/api/workflows", headers=headers)
    assert same.status_code == 304
    assert same.headers["x-request-id"] != first.headers["x-request-id"]
    assert page.headers["x-request-id"] == "page-1"
    assert "X-Request-Id" in page.headers["access-control-expose-headers"]
    assert (refused.status_code, refused.json()["requestId"]) == (403, "page-2")


@pytest.mark.parametrize("form", ["text", "json"])
async def test_what_is_logged_about_a_request_has_its_id(form: Format) -> None:
    out = handler(form)
    assert isinstance(out, logging.StreamHandler)
    written = io.StringIO()
    out.setStream(written)
    out.addFilter(NamesRequest())
    log = logging.getLogger("nightcrawler_api")
    log.addHandler(out)
    try:
        async with facade() as client:
            for number in range(2):
                asked = client.get("/api/workflows/elsewhere", headers={"X-Request-Id": f"r-{number}"})
                await asyncio.create_task(asked)  # as a server has a task for each request
        log.warning("outside of all requests")
    finally:
        log.removeHandler(out)
    *lines, outside = written.getvalue().splitlines()
    assert len(lines) == 2
    if form == "json":
        assert [json.loads(line)["requestId"] for line in lines] == ["r-0", "r-1"]
        assert "requestId" not in json.loads(outside)
    else:
        assert [line[line.index("[") :] for line in lines] == ["[request r-0]", "[request r-1]"]
        assert not outside.endswith("]")


async def test_the_api_server_gets_the_id_for_its_own_audit_log() -> None:
    asked: list[str | None] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Audit-ID"))
        return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)

    async with facade(note) as client:
        await client.get("/api/workflows/elsewhere", headers={"X-Request-Id": "r-1"})
    assert asked == ["r-1"]
