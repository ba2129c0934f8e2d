"""Responses that go on: bounded in number, with pings while nothing happens, and an end at shutdown.

An open stream would keep the server from stopping until its grace period is over. A client that does not read
would hold its place for ever: a part that cannot be sent in time ends its stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from starlette.types import Send
from typing_extensions import override

from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import TooManyOfCaller, TooManyStreams

_PING_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 60.0
_END_SECONDS: Final = 1.0


class Streams:
    """The open streams of a process: at most so many, and so many of a caller; none once it is closing."""

    def __init__(self, limit: int, per_caller: int | None = None) -> None:
        self.limit = limit
        self._per_caller = per_caller
        self._open: dict[asyncio.Timeout, str] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    def check(self, caller: Caller) -> None:
        """Raise `TooManyStreams` or `TooManyOfCaller` if there is no room for another."""
        if self._closing:
            raise TooManyStreams("this facade is about to stop; connect again, to another one")
        if len(self._open) >= self.limit:
            raise TooManyStreams(
                f"there are {self.limit} open streams, the most that this facade serves; try again later, "
                "or close one; the administrator can allow more with NIGHTCRAWLER_MAX_STREAMS"
            )

        if self._per_caller is not None:
            own = sum(owner == caller.key for owner in self._open.values())
            if own >= self._per_caller:
                raise TooManyOfCaller(
                    f"{caller} has {own} open streams, the most that one caller may have; close one; the "
                    "administrator can allow more with NIGHTCRAWLER_MAX_STREAMS_PER_CALLER"
                )

    def close(self) -> None:
        """End all streams, each after what it is sending, and take no more."""
        self._closing = True
        for scope in self._open:
            scope.reschedule(0)

    @contextmanager
    def counted(self, scope: asyncio.Timeout, caller: Caller) -> Iterator[None]:
        """Count a stream within the block; `close` ends its scope."""
        self._open[scope] = caller.key
        try:
            yield
        finally:
            del self._open[scope]


class Stream(EventSourceResponse):
    """A response from a generator of parts, each a whole event or line; by default server-sent events.

    It ends when its caller's credentials expire, at `until` in seconds since 1970.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        streams: Streams,
        caller: Caller,
        *,
        media_type: str | None = None,
    ) -> None:
        streams.check(caller)
        headers = {
            "Cache-Control": "no-store",
            # nginx would collect the parts.
            "X-Accel-Buffering": "no",
            # A client that reconnects shall come to another replica if this one stops.
            "Connection": "close",
        }
        super().__init__(parts, headers=headers, media_type=media_type)
        self._parts = parts
        self._streams = streams
        self._caller = caller
        self._seconds = None if caller.expires is None else max(caller.expires - time.time(), 0.0)
        self._ping = KEEPALIVE_COMMENT if media_type is None else None

    @override
    async def stream_response(self, send: Send) -> None:
        """Send the parts until they end, the process does, or the client stops reading."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds) as scope, aclosing(self._parts):
                with self._streams.counted(scope, self._caller):
                    await self._send_parts(send)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_parts(self, send: Send) -> None:
        following = asyncio.ensure_future(anext(self._parts, None))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=_PING_SECONDS if self._ping else None)
                part = following.result() if done else self._ping
                if part is None:
                    return
                async with asyncio.timeout(_SEND_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                if done:
                    following = asyncio.ensure_future(anext(self._parts, None))
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
