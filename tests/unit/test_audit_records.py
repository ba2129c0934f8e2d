"""Audit records of requests: one for each write and refusal, in the log first, and rows later."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiohttp import web
from fastapi import FastAPI
from typing_extensions import override

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.audit.actions import ACTIONS, Operations
from nightcrawler_api.audit.contract import Recorded, RecordQuery
from nightcrawler_api.audit.record import Record, Subject
from nightcrawler_api.audit.recorder import LINES, Recorder
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.settings import Settings
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from tests.support.fakeserver import Answer, store_of
from tests.support.views import execution, workflow

Json = dict[str, Any]
NOW = datetime(2025, 7, 10, 18, 0, tzinfo=UTC)
STEP = {"name": "a", "image": "busybox:1"}
AUDITED = {"security": {"auditLogging": True}}


class Lines(logging.Handler):
    """The lines that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Json] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(json.loads(record.getMessage()))


@pytest.fixture
def lines() -> Iterator[list[Json]]:
    handler, log = Lines(), logging.getLogger(LINES)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler.written
    log.removeHandler(handler)
    log.setLevel(level)


async def kept(request: web.Request) -> web.StreamResponse:
    """An API server that takes everything."""
    if request.method == "GET":
        return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)
    body = await request.json()
    if request.method == "DELETE":
        return web.json_response({})
    name = body["metadata"]["name"] if request.method == "POST" else request.path.rpartition("/")[2]
    made = {"POST": 1}.get(request.method, 2)
    meta = {"name": name, "namespace": "default", "uid": "new", "resourceVersion": "9", "generation": made}
    return web.json_response({**body, "metadata": {**body.get("metadata", {}), **meta}})


@asynccontextmanager
async def facade(
    answer: Answer = kept, **settings: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, FastAPI], None]:
    """A facade that knows the workflows `w` and, with audited reads, `audited`, with the run `e`."""
    async with store_of(answer) as store:
        app = create_app(Settings(namespace="default", **settings), store)
        cluster = app.state.facade.cluster
        for informer in cluster._informers:
            informer.synced.set()
        cluster.cache_workflow(workflow("w", uid="w", steps=[STEP], priority="low"))
        cluster.cache_workflow(workflow("audited", uid="audited", steps=[STEP], config=AUDITED))
        cluster.cache_execution(execution("e", of="audited", uid="e", owner="audited", phase="Running"))
        transport = httpx.ASGITransport(in_front(app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, app


# --- requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path", "body", "action", "subject", "status"),
    [
        ("POST", "", {"name": "x", "steps": [STEP]}, "workflows.create", {"uid": "new"}, 201),
        ("POST", "", {"name": ""}, "workflows.create", {}, 422),
        ("POST", "/w/clone", None, "workflows.clone", {"kind": "Workflow", "uid": "new"}, 201),
        ("PUT", "/w", {"priority": "high"}, "workflows.update", {"name": "w", "uid": "new"}, 200),
        ("PUT", "/none", {}, "workflows.update", {"name": "none", "kind": "Workflow"}, 404),
        ("DELETE", "/w", None, "workflows.delete", {"name": "w", "uid": "w"}, 200),
        ("POST", "/w/pause", None, "workflows.pause", {"name": "w", "uid": "new"}, 200),
        ("POST", "/w/execute", None, "executions.create", {"workflow": "w"}, 201),
        ("POST", "/none/execute", None, "executions.create", {"name": "none"}, 404),
        ("POST", "/audited/executions/e/cancel", None, "executions.cancel", {"name": "e"}, 202),
        ("PATCH", "/w", None, "PATCH /api/workflows/w", {}, 405),
        ("PUT", "/w", "not json", "workflows.update", {"name": "w"}, 415),
    ],
)  # fmt: skip
async def test_every_write_and_every_refusal_of_one_has_exactly_one_record(
    lines: list[Json], verb: str, path: str, body: Any, action: str, subject: Json, status: int
) -> None:
    sent: Json = {"content": body} if isinstance(body, str) else {} if body is None else {"json": body}
    async with facade() as (client, _):
        answer = await client.request(verb, f"/api/workflows{path}", headers={"X-Request-Id": "r-1"}, **sent)
    assert answer.status_code == status, answer.text
    [line] = lines
    assert (line["action"], line["status"], line["allowed"]) == (action, status, status < 400)
    assert subject.items() <= line["object"].items()
    assert (line["caller"], line["origin"], line["requestId"]) == ("anonymous", "rest", "r-1")
    assert line["reason"] == (answer.json()["detail"] if status >= 400 else "")
    assert line["logger"] == "nightcrawler_api.audit"


async def test_a_change_is_recorded_with_what_it_changed(lines: list[Json]) -> None:
    async with facade() as (client, _):
        await client.post("/api/workflows/w/execute", json={"parameters": {"token": "s3cret"}})
        await client.put("/api/workflows/w", json={"priority": "high"})
        await client.delete("/api/workflows/audited")
    executed, changed, deleted = lines
    assert changed["old"] == {
        "priority": "low",
        "steps": [STEP],
    }  # the fake API server answers with the patch
    assert executed["new"] == {"workflow": "w", "parameters": {"token": "(hidden)"}}
    assert "s3cret" not in json.dumps(lines)
    assert deleted["old"]["steps"] == [STEP]
    assert deleted["new"] is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"name": "x", "token": s3cret}', "the body is not JSON: invalid character (byte 23)"),
        (
            b'{"name": "x", "steps": [{"name": "a", "image": "x", "env": [{"name": "A", "value": 53123}]}]}',
            "refused: /steps/0/env/0/value",
        ),
    ],
)
async def test_a_refusal_quotes_no_value_that_may_be_secret(
    lines: list[Json], body: bytes, reason: str
) -> None:
    async with facade() as (client, _):
        headers = {"Content-Type": "application/json"}
        answer = await client.post("/api/workflows", content=body, headers=headers)
    assert any(secret in answer.json()["detail"] for secret in ("s3cret", "53123")), answer.text
    assert [line["reason"] for line in lines] == [reason]


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        ("/workflows/w", False),
        ("/workflows", False),
        ("/workflows/none", False),
        ("/workflows/audited", True),
        ("/workflows/audited/executions", True),
        ("/workflows/audited/executions/e?logs=false", True),
        ("/workflows/audited/export", True),
        ("/executions/e?logs=false", True),
        ("/executions", False),
        ("/status", False),
    ],
)
async def test_reads_are_recorded_of_workflows_that_ask_for_it(
    lines: list[Json], path: str, recorded: bool
) -> None:
    async with facade() as (client, _):
        first = await client.get(f"/api{path}")
        assert len(lines) == int(recorded)
        await client.get(f"/api{path}", headers={"If-None-Match": first.headers.get("etag", "")})
        await client.head(f"/api{path}")
    assert len(lines) == 3 * int(recorded)
    for line in lines:
        assert (line["object"]["workflow"], line["allowed"]) == ("audited", True)


async def test_what_is_refused_before_its_route_is_known_is_recorded_too(lines: list[Json]) -> None:
    async with facade(max_requests_per_second=1) as (client, _):
        origin = await client.post("/api/workflows/w/execute", headers={"Origin": "https://evil.example"})
        foreign = await client.get("/api/workflows/w", headers={"Host": "evil.example"})
        answers = [await client.post("/api/workflows/w/execute") for _ in range(3)]
    assert (origin.status_code, foreign.status_code) == (403, 403)
    assert 429 in [answer.status_code for answer in answers]
    assert [line["status"] for line in lines] == [403, 403, *(answer.status_code for answer in answers)]
    assert [line["caller"] for line in lines][:2] == ["unknown", "unknown"]
    assert [line["action"] for line in lines] == [
        "executions.create",
        "workflows.get",
        *["executions.create"] * 3,
    ]
    assert {line["object"]["workflow"] for line in lines} == {"w"}


async def test_what_changes_nothing_has_no_record(lines: list[Json]) -> None:
    async with facade() as (client, _):
        asked = {"type": "interval", "interval": "6 hours"}
        assert (await client.post("/api/schedules/preview", json=asked)).status_code == 200
        for dry in (
            "/executions/cancel?status=all&dryRun=yes",
            "/workflows?dryRun=true",
            "/workflows?dryRun=1",
        ):
            await client.post(f"/api{dry}", json={"name": "x", "steps": [STEP]})
        await client.get("/healthz")
        await client.post("/nothing")
        await client.options("/api/workflows/audited")
    assert lines == []


async def test_a_word_that_only_looks_like_a_dry_run_hides_no_change(lines: list[Json]) -> None:
    async with facade() as (client, _):
        await client.put("/api/workflows/w?dryRun=true", json={"priority": "high"})
        await client.post("/api/workflows?dryRun=true&dryRun=false", json={"name": "x", "steps": [STEP]})
        await client.delete("/api/workflows/w?dryRun=true")
    assert [line["action"] for line in lines] == ["workflows.update", "workflows.create", "workflows.delete"]


async def test_a_client_that_leaves_and_a_bug_leave_a_record(lines: list[Json]) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(status=500, text="{}")

    async with facade(slow) as (client, app):
        request = asyncio.create_task(client.delete("/api/workflows/w"))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        go_on.set()
        app.state.facade.workflows.update = None
        assert (await client.put("/api/workflows/w", json={})).status_code == 500
    assert [(line["action"], line["status"]) for line in lines] == [
        ("workflows.delete", 500),
        ("workflows.update", 500),
    ]
    assert "not answered" in lines[0]["reason"]


def test_every_operation_of_the_document_has_a_name_and_is_found_by_its_path() -> None:
    app = create_app(Settings(), Store(Connection(Identity("http://localhost"), "test")))
    operations = Operations(app.routes)
    found = operations.find("POST", "/api/workflows/a%2Fb/executions/e/cancel")
    assert (found.action, found.ids) == ("executions.cancel", {"workflowId": "a/b", "executionId": "e"})
    assert operations.find("POST", "/api/workflows/import").action == "workflows.import"
    names = {op["operationId"] for ops in app.openapi()["paths"].values() for op in ops.values()}
    assert set(ACTIONS) - names == set()
    writes = {
        op["operationId"]
        for path, ops in app.openapi()["paths"].items()
        for verb, op in ops.items()
        if verb != "get"
    }
    assert writes - set(ACTIONS) <= {"preview_schedule"}


# --- rows --------------------------------------------------------------------------------------------


class Rows:
    """Where records are kept, which a test can make fail."""

    def __init__(self) -> None:
        self.kept: list[Record] = []
        self.away = False
        self.complete = asyncio.Event()

    async def add(self, records: Sequence[Record]) -> int:
        if self.away:
            raise HistoryUnavailable("the database is away")
        self.kept += records
        if len(self.kept) >= 450:
            self.complete.set()
        return 0

    async def page(self, query: RecordQuery, most: int) -> Sequence[Recorded]:
        raise NotImplementedError


def a_record(number: int) -> Record:
    return Record(id=str(number), time=NOW, caller="ann", action="x", subject=Subject())


async def test_lines_are_written_and_rows_wait_while_the_database_is_away(
    lines: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightcrawler_api.audit.recorder._BACKOFF_FIRST", 0.001)
    monkeypatch.setattr("nightcrawler_api.audit.recorder._BACKOFF_MOST", 0.001)
    rows = Rows()
    recorder = Recorder(rows)
    rows.away = True
    writing = asyncio.create_task(recorder.run())
    for number in range(450):
        recorder.take(a_record(number))
        assert len(lines) == number + 1
    assert len(recorder) == 450
    rows.away = False
    await asyncio.wait_for(rows.complete.wait(), 30)
    writing.cancel()
    assert [record.id for record in rows.kept] == [str(number) for number in range(450)]
    assert recorder.lost == 0


async def test_of_too_many_rows_the_oldest_are_given_up_and_counted(
    lines: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightcrawler_api.audit.recorder._MOST_WAITING", 3)
    rows = Rows()
    recorder = Recorder(rows)
    for number in range(5):
        recorder.take(a_record(number))
    assert (len(recorder), recorder.lost, len(lines)) == (3, 2, 5)
    await recorder.close()
    assert [record.id for record in rows.kept] == ["2", "3", "4"]
