"""Answers that are given again, and those that are not sent to who has them; without a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from starlette.types import Receive, Scope, Send

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.caller import Identified
from nightcrawler_api.editions import Edition
from nightcrawler_api.mirror import Mirror
from nightcrawler_api.remembered import Remembered
from nightcrawler_api.responses import Tagged
from nightcrawler_api.settings import Settings
from nightcrawler_crds import clock
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from tests.support.answering import store_of
from tests.support.views import execution, workflow

LISTS = ("/api/workflows?pageSize=5", "/api/workflows/w/executions?limit=5")
READS = (*LISTS, "/api/workflows/w", "/api/workflows/w/executions/e?logs=false")


async def absent(_: web.Request) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)


@asynccontextmanager
async def facade(**settings: Any) -> AsyncGenerator[tuple[httpx.AsyncClient, Mirror], None]:
    """A facade that knows the workflow `w` and its run `e`, and is told of changes by the test."""
    async with store_of(absent) as store:
        app = create_app(Settings(namespace="default", **settings), store)
        mirror: Mirror = app.state.facade.mirror
        for informer in mirror._informers:
            informer.synced.set()
        mirror.took_workflow(workflow("w", uid="w", steps=[{"name": "a"}]))
        mirror.took_execution(run(1, "Running"))
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, mirror


def run(version: int, phase: str, **step: Any) -> Any:
    steps = {"a": {"phase": phase, **step}}
    return execution("e", of="w", uid="e", version=version, phase=phase, steps=steps)


def having(answer: httpx.Response) -> dict[str, str]:
    return {"If-None-Match": answer.headers["etag"]}


# --- tags ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", READS)
async def test_who_has_the_answer_is_told_so_until_it_changes(path: str) -> None:
    async with facade() as (client, mirror):
        first = await client.get(path)
        assert first.headers["cache-control"] == "private, no-cache"
        same = await client.get(path, headers=having(first))
        head = await client.head(path, headers=having(first))
        mirror.took_execution(run(2, "Completed"))
        changed = await client.get(path, headers=having(first))
    for answer in (same, head):
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == first.headers["etag"]
        assert answer.headers["cache-control"] == "private, no-cache"
        assert not {"content-type", "content-length"} & set(answer.headers)
    assert (first.status_code, changed.status_code) == (200, 200)
    assert changed.headers["etag"] != first.headers["etag"]
    assert changed.json() != first.json()


async def test_conditions_in_several_lines_are_one_list() -> None:
    async with facade() as (client, _):
        etag = (await client.get(LISTS[0])).headers["etag"]
        answer = await client.get(LISTS[0], headers=[("If-None-Match", '"other"'), ("If-None-Match", etag)])
    assert answer.status_code == 304


async def test_replicas_and_restarts_give_the_same_answer_the_same_tag() -> None:
    tags: list[list[str]] = []
    for _ in range(2):
        async with facade() as (client, _mirror):
            tags.append([(await client.get(path)).headers["etag"] for path in READS])
    assert tags[0] == tags[1]
    assert len(set(tags[0])) == len(READS)


async def test_a_step_that_runs_changes_the_tag_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.utcnow()
    async with facade() as (client, mirror):
        mirror.took_execution(run(2, "Running", startTime=clock.to_wire(began)))
        first = await client.get("/api/workflows/w")
        monkeypatch.setattr(clock, "utcnow", lambda: began + timedelta(days=365))
        later = await client.get("/api/workflows/w", headers=having(first))
    assert later.status_code == 200
    assert later.json()["steps"] != first.json()["steps"]


async def test_other_questions_have_other_tags_unless_the_answer_is_the_same() -> None:
    async with facade() as (client, _):
        one = await client.get("/api/workflows")
        other = await client.get("/api/workflows?page=2", headers=having(one))
        same = await client.get("/api/workflows?page=1&pageSize=10", headers=having(one))
    assert (other.status_code, same.status_code) == (200, 304)


async def test_problems_and_writes_have_no_tag() -> None:
    async with facade() as (client, _):
        missing = await client.get("/api/workflows/other", headers={"If-None-Match": "*"})
        refused = await client.get("/api/workflows?page=0", headers={"If-None-Match": "*"})
    assert (missing.status_code, refused.status_code) == (404, 422)
    assert "etag" not in missing.headers
    assert "etag" not in refused.headers


async def test_pages_of_allowed_origins_may_read_the_tag() -> None:
    async with facade(cors_origins=("https://dash.example",)) as (client, _):
        origin = {"Origin": "https://dash.example"}
        first = await client.get(LISTS[0], headers=origin)
        same = await client.get(LISTS[0], headers=having(first) | origin)
    for answer in (first, same):
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["access-control-allow-origin"] == "https://dash.example"
    assert same.status_code == 304


def test_tags_are_documented() -> None:
    document = create_app(Settings(), Store(Connection(Identity("http://localhost"), "test"))).openapi()
    reads = {
        path for path in document["paths"] if path.startswith("/api/") and "get" in document["paths"][path]
    }
    assert len(reads) == len(READS)
    for path in reads:
        responses = document["paths"][path]["get"]["responses"]
        assert "ETag" in responses["200"]["headers"], path
        assert "content" not in responses["304"], path


# --- giving again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
async def test_lists_are_given_again_until_something_changes(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with facade() as (client, mirror):
        first = await client.get(path)
        made: list[Any] = []
        monkeypatch.setattr(Tagged, "__init__", lambda *args: made.append(args))
        assert (await client.get(path)).content == first.content
        monkeypatch.undo()
        mirror.took_execution(run(2, "Failed"))
        assert made == []
        assert (await client.get(path)).content != first.content
        mirror.gone_workflow(workflow("w", uid="w"))
        last = await client.get(path)
    assert last.status_code == 404 if "executions" in path else last.json()["total"] == 0


async def test_what_is_given_again_is_counted_as_what_it_is() -> None:
    async with facade() as (client, _):
        first = await client.get(LISTS[0])
        await client.get(LISTS[0])
        await client.get(LISTS[0], headers=having(first))
        text = (await client.get("/metrics")).text
    assert 'requests_total{method="GET",route="/api/workflows",status="200"} 2.0' in text
    assert 'requests_total{method="GET",route="/api/workflows",status="304"} 1.0' in text


class Counting:
    """An application whose answers are as long as asked for, and good for ever."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["query_string"].decode())
        await Tagged("x" * 10_000, Edition())(scope, receive, send)


async def asked_again(*queries: str, most_bytes: int = 1 << 20, method: str = "GET") -> list[str]:
    """Which of the questions, asked in this order, got as far as the application."""
    inner = Counting()
    app = Identified(Remembered(inner, most_bytes), "somebody")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        for query in queries:
            await client.request(method, f"/?{query}")
    return inner.asked


async def test_what_was_asked_for_longest_ago_makes_room() -> None:
    assert await asked_again("a", "b", "a", "c", "a", "b", most_bytes=25_000) == ["a", "b", "c", "b"]


async def test_an_answer_for_which_there_is_no_room_is_not_kept() -> None:
    assert await asked_again("a", "a", most_bytes=5_000) == ["a", "a"]


async def test_endless_questions_are_not_kept() -> None:
    assert len(await asked_again("q" * 600, "q" * 600)) == 2


async def test_nobody_is_given_an_answer_that_was_made_for_another() -> None:
    inner = Counting()
    remembered = Remembered(inner)
    for name in ("ada", "grace", "ada"):
        transport = httpx.ASGITransport(Identified(remembered, name))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/?a")
    assert len(inner.asked) == 2


async def test_only_reads_are_given_again() -> None:
    assert len(await asked_again("a", "a", method="POST")) == 2
