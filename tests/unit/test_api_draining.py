"""How the facade ends: no request that a client may send is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from nightcrawler_api.http.draining import DrainingServer
from nightcrawler_api.http.protocol import HttpProtocol

_REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
_LONG_DRAIN = 30
_WITHIN = 25
"""Seconds that everything is waited for: fewer than a long drain, which must not be what ends it."""


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


class Client:
    """A client that keeps its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self) -> str:
        """The head of the answer to a request; empty if there is none."""
        self._writer.write(_REQUEST)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            assert await self._reader.readexactly(5) == b"hello"
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""
        return head.decode().lower()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def is_closed(self) -> bool:
        """Whether the server has closed the connection, once it has sent something or closed."""
        return await asyncio.wait_for(self._reader.read(1), _WITHIN) == b""


@asynccontextmanager
async def connected(listening: socket.socket) -> AsyncIterator[Client]:
    """A client, connected until the block ends."""
    client = Client(*await asyncio.open_connection(*listening.getsockname()))
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def serving(drain: float) -> AsyncIterator[tuple[DrainingServer, Client, asyncio.Task[None]]]:
    """A server, a client that has had one answer, and the task that ends with the server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # An idle connection is not closed by itself.
        config = uvicorn.Config(
            _hello, http=HttpProtocol, log_config=None, lifespan="off", timeout_keep_alive=10 * _LONG_DRAIN
        )
        server = DrainingServer(config, drain)
        # Without taking over the test's own signals, which `serve` does.
        task = asyncio.create_task(server._serve([listening]))
        async with connected(listening) as client:
            first = await client.ask()
            assert "200 ok" in first
            assert "connection: close" not in first
            yield server, client, task


async def _draining(server: DrainingServer) -> None:
    """Tell the server to end, and wait until it drains."""
    server.should_exit = True
    async with asyncio.timeout(_WITHIN):
        while (b"connection", b"close") not in server.server_state.default_headers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_keeps_its_connection_has_its_last_request_answered() -> None:
    async with serving(drain=_LONG_DRAIN) as (server, client, task):
        await _draining(server)
        last = await client.ask()
        assert "200 ok" in last
        assert "connection: close" in last
        assert await client.is_closed()
        await asyncio.wait_for(task, _WITHIN)


async def test_a_connection_that_stays_idle_is_closed_in_the_end() -> None:
    async with serving(drain=0.3) as (server, client, task):
        await _draining(server)
        assert await client.is_closed()
        await asyncio.wait_for(task, _WITHIN)


async def test_a_second_ctrl_c_waits_for_nobody() -> None:
    async with serving(drain=_LONG_DRAIN) as (server, client, task):
        await _draining(server)
        server.force_exit = True
        assert await client.is_closed()
        await asyncio.wait_for(task, _WITHIN)


async def test_a_client_that_connects_late_is_answered_too() -> None:
    async with serving(drain=_LONG_DRAIN) as (server, client, task):
        await _draining(server)
        async with connected(server.servers[0].sockets[0]) as late:
            assert "connection: close" in await late.ask()
        await client.ask()
        await asyncio.wait_for(task, _WITHIN)
