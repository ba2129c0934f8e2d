"""Requests that cannot be parsed, on a real connection: problem+json, and never within another response."""

from __future__ import annotations

import asyncio
import json
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from nightcrawler_api.__main__ import _listen
from nightcrawler_api.http.protocol import MAX_HEAD_BYTES, HttpProtocol
from nightcrawler_api.settings import Settings

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[Connected, None]:
    """A connection to a server of an application."""
    with _listen(Settings(api_port=0)) as listening:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        server = uvicorn.Server(config)
        served = asyncio.create_task(server._serve(sockets=[listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await served


async def early(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond without reading the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (b"nonsense\r\n\r\n", 400, "not valid HTTP"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        (
            b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD_BYTES + 1, b"x"),
            431,
            f"longer than {MAX_HEAD_BYTES} bytes",
        ),
    ],
    ids=["no HTTP", "no host", "too long"],
)
async def test_an_unparsable_request_is_answered_with_a_problem(
    request_: bytes, status: int, says: str
) -> None:
    async with serving(early) as (reader, writer):
        writer.write(request_)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert f"X-Request-Id: {json.loads(body)['requestId']}".lower() in head.decode().lower()
    assert says in json.loads(body)["detail"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was written to connections, but for nothing."""
    found: list[bytes] = []
    write = _SelectorSocketTransport.write

    def recorded(self: Any, data: bytes) -> None:
        found.extend([data] if data else [])
        write(self, data)

    monkeypatch.setattr(_SelectorSocketTransport, "write", recorded)
    return found


async def test_a_response_of_known_length_is_written_at_once(written: list[bytes]) -> None:
    async with serving(early) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"ok")

    assert [part.endswith(b"\r\n\r\nok") for part in written if part.startswith(b"HTTP/1.1")] == [True, True]


async def test_the_head_of_a_stream_does_not_wait_for_its_first_part() -> None:
    go_on = asyncio.Event()

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"part"})

    async with serving(streaming) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        go_on.set()
        await reader.readuntil(b"part")


async def test_a_body_that_breaks_after_an_early_response_gets_no_second_response() -> None:
    async with serving(early) as (reader, writer):
        writer.write(POST)
        got = await reader.readuntil(b"ok")
        writer.write(b"no chunk\r\n")
        got += await reader.read()
    assert got.count(b"HTTP/1.1") == 1


async def test_a_body_that_breaks_before_the_response_ends_the_request() -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            assert message["type"] == "http.request"
        outcome.set_result("disconnected")

    async with serving(reading) as (reader, writer):
        writer.write(POST + b"2\r\nab\r\n")
        await asyncio.sleep(0)
        writer.write(b"no chunk\r\n")
        assert await reader.read() == b""
        assert await outcome == "disconnected"
