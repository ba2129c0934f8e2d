"""A fake API server, for responses that a real one cannot be made to give."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def store_of(answer: Answer) -> AsyncGenerator[Store, None]:
    """A store all of whose requests get this response."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        connection = Connection(Identity(str(server.make_url("")).rstrip("/")), "test")
        try:
            yield Store(connection)
        finally:
            await connection.close()
