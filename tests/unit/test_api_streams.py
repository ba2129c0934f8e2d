"""Streaming responses through all that stands in front of the application, on real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from prometheus_client import generate_latest
from starlette.types import Message, Receive, Scope, Send

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.http.heads import HeadAsGet
from nightcrawler_api.http.json_body import JsonRoute
from nightcrawler_api.settings import Settings
from tests.support.fakeserver import store_of
from tests.unit.test_api_protocol import Connected, serving
from tests.unit.test_api_tags_of_reads import absent

GET = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


class Stream:
    """Events that a test sends, one by one; `ended` is set when the server stops the stream."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()

    @performs(Operation.FOLLOW_CHANGES)
    async def respond(self, _: Request) -> StreamingResponse:
        """A route."""
        return StreamingResponse(self._body(), media_type="text/event-stream")

    async def _body(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield await self.events.get()
        finally:
            self.ended.set()


@asynccontextmanager
async def streaming() -> AsyncGenerator[tuple[Stream, FastAPI, Connected], None]:
    """A facade with a route that streams, and a connection to it."""
    stream = Stream()
    async with store_of(absent) as store:
        app = create_app(Settings(cors_origins=("https://dash.example",)), store)
        app.router.add_api_route("/stream", stream.respond, route_class_override=JsonRoute)
        async with serving(in_front(app)) as connection:
            yield stream, app, connection


def metrics(app: FastAPI) -> str:
    return generate_latest(app.state.facade.metrics.registry).decode()


async def test_each_part_of_a_stream_arrives_before_the_next_one_is_made() -> None:
    async with streaming() as (stream, _, (reader, writer)):
        writer.write(GET)
        for event in (b"data: one\n\n", b"data: two\n\n"):
            stream.events.put_nowait(event)
            assert event in await reader.readuntil(event)


async def test_a_stream_is_counted_and_measured_when_it_begins() -> None:
    async with streaming() as (stream, app, (reader, writer)):
        writer.write(GET)
        stream.events.put_nowait(b"data: one\n\n")
        await reader.readuntil(b"data: one\n\n")
        text = metrics(app)
        assert not stream.ended.is_set()
        stream.events.put_nowait(b"data: two\n\n")
        await reader.readuntil(b"data: two\n\n")
        assert metrics(app).count('requests_total{method="GET",route="/stream",status="200"} 1.0') == 1
    assert 'requests_total{method="GET",route="/stream",status="200"} 1.0' in text
    assert 'request_seconds_count{method="GET",route="/stream"} 1.0' in text


async def test_a_client_that_leaves_ends_its_stream() -> None:
    async with streaming() as (stream, _, (reader, writer)):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await asyncio.wait_for(stream.ended.wait(), 30)


async def test_head_of_a_stream_ends_at_once_and_the_connection_goes_on() -> None:
    async with streaming() as (stream, _, (reader, writer)):
        for _turn in range(2):
            writer.write(HEAD)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"text/event-stream" in head
        writer.write(GET)
        stream.events.put_nowait(b"data: one\n\n")
        assert b"data: one\n\n" in await reader.readuntil(b"data: one\n\n")


# --- HEAD, whatever the application does -----------------------------------------------------------


async def head_of(app: object, *, receive: Receive | None = None) -> list[Message]:
    """The messages of the response to HEAD."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def never() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    scope: Scope = {"type": "http", "method": "HEAD", "path": "/"}
    await HeadAsGet(app)(scope, receive or never, send)  # type: ignore[arg-type]
    return sent


async def test_head_stops_an_application_that_never_looks_at_its_client() -> None:
    stopped = asyncio.Event()

    async def endless(scope: Scope, _: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0)
        finally:
            stopped.set()

    assert await head_of(endless) == [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b""},
    ]
    assert stopped.is_set()


async def test_head_raises_what_the_application_raises_before_it_answers() -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await head_of(broken)


async def test_a_cancelled_head_cancels_its_application() -> None:
    stopped, begun = asyncio.Event(), asyncio.Event()

    async def waiting(_: Scope, receive: Receive, __: Send) -> None:
        begun.set()
        try:
            await receive()
        finally:
            stopped.set()

    request = asyncio.create_task(head_of(waiting))
    await begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert stopped.is_set()


async def test_a_failure_before_the_response_is_counted_as_500() -> None:
    async with store_of(absent) as store:
        app = create_app(Settings(), store)

        @performs(Operation.SHOW_STATUS)
        async def broken() -> None:
            raise ValueError("broken")

        app.add_api_route("/broken", broken)
        transport = httpx.ASGITransport(in_front(app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/broken")).status_code == 500
        assert 'requests_total{method="GET",route="/broken",status="500"} 1.0' in metrics(app)
